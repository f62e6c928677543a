"""Small images that depend on their number, and datasets and shard sets of them."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from dataset_assets.records.shards import Row
from dataset_assets.shards.commits import write_manifest
from dataset_assets_tests.shards.sample_rows import SCHEMA, make_row, write_shard


def encoded(
    index: int, *, size: tuple[int, int] = (24, 16), mode: str = "RGB", file_format: str = "JPEG"
) -> bytes:
    """Return a file of `size` (width, height)."""
    pixels = np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, file_format)
    return file.getvalue()


def hf_dataset(files: list[bytes | None], **columns: Any) -> Any:
    import datasets

    cells = [None if data is None else {"bytes": data, "path": None} for data in files]
    made = datasets.Dataset.from_dict({"image": cells, "label": list(range(len(files))), **columns})
    return made.cast_column("image", datasets.Image())


def write_shards(
    store: Any,
    payloads: list[list[bytes | None]],
    *,
    labels: bool = True,
    output_format: str = "webdataset",
) -> None:
    """Write a shard for each list of payloads, and the manifest.

    None is a failed row. Labels number all rows, also failed ones.
    """
    schema = SCHEMA.insert(0, pa.field("label", pa.int64())) if labels else SCHEMA
    number = 0
    for shard_id, shard in enumerate(payloads):
        rows: list[Row] = []
        for index, payload in enumerate(shard):
            row = make_row(index, payload=payload)
            row.key = row.columns["key"] = f"{shard_id:05d}{index:04d}"
            if labels:
                row.columns = {"label": number, **row.columns}
            rows.append(row)
            number += 1
        write_shard(store, output_format, rows, name=f"{shard_id:05d}", schema=schema)
    write_manifest(store, fingerprint="f" * 64, output_format=output_format)


def labels_of(stream: Any) -> list[int]:
    """Return the labels of the rest of an epoch."""
    return [int(label) for batch in stream for label in batch["label"]]
