"""The same four samples in every layout, for images and videos: path -> bytes."""

import io
import json
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.records.shards import Row
from dataset_assets.shards.commits import write_manifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.sources.files import SplitSource
from dataset_assets.storage.store import open_store
from dataset_assets_tests.shards.sample_rows import make_row, write_shard
from dataset_assets_tests.training.videos import make_video

Files = dict[str, bytes]
SUFFIX = {"image": "jpg", "video": "mp4"}
CAPTIONS = {
    "0001": "A goat.",
    "0002": "A goat, and a mouse.",
    "0003": 'She says "café".',
    "0004": "The end",
}


@cache
def payloads(medium: str) -> Files:
    """Key -> bytes of an image or video."""
    make = _image if medium == "image" else _video
    return {key: make(number) for number, key in enumerate(CAPTIONS)}


def _image(number: int) -> bytes:
    body = io.BytesIO()
    Image.fromarray(np.full((24, 32, 3), number * 40, np.uint8)).save(body, "JPEG")
    return body.getvalue()


def _video(number: int) -> bytes:
    return make_video(3 + number, size=(32, 48))


#: One of each.
JPG = payloads("image")["0001"]
MP4 = payloads("video")["0001"]


def media_files(medium: str, folder: str = "") -> Files:
    suffix = SUFFIX[medium]
    return {f"{folder}{key}.{suffix}": data for key, data in payloads(medium).items()}


def two_file(medium: str, captions: str = "prompt.txt", listing: str = "") -> Files:
    files = media_files(medium, f"{medium}s/")
    lines = "\n".join(files)
    return {
        captions: "\n".join(CAPTIONS.values()).encode(),
        listing or f"{medium}s.txt": lines.encode(),
        **files,
    }


def pairs(medium: str) -> Files:
    texts = {f"{key}.txt": f"{text}\n".encode() for key, text in CAPTIONS.items()}
    return {**media_files(medium), **texts}


def rows(medium: str) -> list[dict[str, str]]:
    return [
        {"file_name": f"{key}.{SUFFIX[medium]}", "caption": text} for key, text in CAPTIONS.items()
    ]


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=3)
    return sink.getvalue().to_pybytes()


def csv_of(table: list[dict[str, str]]) -> bytes:
    quoted = [['"' + value.replace('"', '""') + '"' for value in row.values()] for row in table]
    return "\n".join(",".join(values) for values in [list(table[0]), *quoted]).encode()


METADATA: dict[str, Callable[[list[dict[str, str]]], bytes]] = {
    "csv": csv_of,
    "json": lambda table: json.dumps(table).encode(),
    "jsonl": lambda table: "\n".join(json.dumps(row) for row in table).encode(),
    "parquet": lambda table: parquet(pa.Table.from_pylist(table)),
}


def folder(medium: str, suffix: str = "jsonl") -> Files:
    return {f"metadata.{suffix}": METADATA[suffix](rows(medium)), **media_files(medium)}


def tar_of(members: Files) -> bytes:
    """Return a tar as other programs write it."""
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return body.getvalue()


def webdataset(medium: str) -> Files:
    names = sorted(pairs(medium))
    half = len(names) // 2
    members = pairs(medium)
    return {
        f"{number:05d}.tar": tar_of({name: members[name] for name in part})
        for number, part in enumerate((names[:half], names[half:]))
    }


def table(medium: str) -> Files:
    """A table as `datasets` writes it."""
    columns = {
        "key": list(CAPTIONS),
        "text": list(CAPTIONS.values()),
        medium: [
            {"bytes": data, "path": f"{key}.{SUFFIX[medium]}"}
            for key, data in payloads(medium).items()
        ],
    }
    return {"data/train-00000-of-00001.parquet": parquet(pa.table(columns))}


def shards(medium: str, output_format: str = "webdataset") -> Files:
    with TemporaryDirectory() as path:
        store = open_store(path)
        write_shard(store, output_format, _shard_rows(medium))
        write_manifest(store, fingerprint="f", output_format=output_format)
        return files_below(Path(path))


def _shard_rows(medium: str) -> list[Row]:
    made = [
        make_row(number, payload=data, caption=CAPTIONS[key], extension=SUFFIX[medium])
        for number, (key, data) in enumerate(payloads(medium).items())
    ]
    return [*made, make_row(len(made), payload=None)]


def split(medium: str) -> Files:
    with TemporaryDirectory() as path:
        write(Path(path) / "source", pairs(medium))
        source = SplitSource(open_store(f"{path}/source"))
        split_archives(source, open_store(f"{path}/split"), SplitOptions(ratios={"train": 1.0}))
        return files_below(Path(path) / "split")


#: Layout -> writes it for a medium.
LAYOUTS: dict[str, Callable[[str], Files]] = {
    "two_file": two_file,
    "pairs": pairs,
    "folder": folder,
    "webdataset": webdataset,
    "parquet": table,
    "shards": shards,
    "split": split,
}


@cache
def layout_files(layout: str, medium: str) -> Files:
    return LAYOUTS[layout](medium)


def write(folder: Path, files: Files) -> str:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return str(folder)


def files_below(folder: Path) -> Files:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
