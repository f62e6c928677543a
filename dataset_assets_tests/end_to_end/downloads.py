"""What the tests of `download` share: a call with the usual options, and what came out."""

import hashlib
from pathlib import Path

import pyarrow.parquet as pq

from dataset_assets import download

PARQUET = {
    "input_format": "parquet",
    "caption_col": "caption",
    "save_additional_columns": ["number"],
    "output_format": "webdataset",
    "thread_count": 16,
    "distributor": "serial",
}


def make(gallery, rows=25, out="out", **options):
    options = {
        **PARQUET,
        "number_sample_per_shard": 10,
        "image_size": 64,
        "resize_mode": "keep_ratio",
        **options,
    }
    source = options.pop("source", None)
    return download(
        gallery.list(rows) if source is None else source,
        output_folder=str(gallery.folder / out),
        **options,
    )


def files(folder: Path) -> dict[str, str]:
    """Return the hash of every file that holds data: all but the records, which have times."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "_tmp" and not path.name.endswith("_stats.json")
    )
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
    }


def sidecar(folder: Path, shard: str = "00000") -> list[dict]:
    return pq.read_table(folder / f"{shard}.parquet").to_pylist()
