"""Small staged partitions in any store.

They have all files: tars, sidecars, records, index, staged.json, manifest.
"""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.records.causes import SUCCESS, Cause
from dataset_assets.records.shards import Row, ShardFile, ShardRecord
from dataset_assets.records.staged import ClassLabel, License, StagedDataset
from dataset_assets.shards.commits import write_manifest, write_record
from dataset_assets.shards.formats.webdataset import Writer
from dataset_assets.shards.writer import WriterOptions

COLUMNS = (
    ("key", pa.string()),
    ("path", pa.string()),
    ("status", pa.string()),
    ("label", pa.int32()),
)
PARTS = ("annotations.json", "seg.png")


@dataclass(frozen=True, kw_only=True)
class SetSpec:
    """The samples of a set. Sample i has label i, so the labels of a batch identify its samples."""

    counts: tuple[int, ...] = (10, 10, 10)
    """Samples per shard."""
    failed: int = 0
    """Rows without a sample, per shard."""
    prefix: str = "s"
    """Start of the keys."""
    images: bool = False
    """Real JPEGs and label maps, otherwise a few bytes."""
    broken: frozenset[int] = frozenset()
    """Indices of samples whose payload is not an image."""
    staged: bool = True
    """False: a downloaded shard set, without index.parquet and staged.json."""
    padding: int = 0
    """Additional bytes per payload."""


def write_set(store, spec: SetSpec = SetSpec()) -> None:
    """Write a staged partition."""
    index: list[dict] = []
    for shard_id, count in enumerate(spec.counts):
        index += _write_shard(store, spec, shard_id, count, len(index))
    extra: list[ShardFile] = []
    if spec.staged:
        files = {"index.parquet": _index(index), "staged.json": _staged(spec, len(index)).to_json()}
        for name, data in files.items():
            store.write(name, data)
            extra.append(ShardFile(name, len(data), hashlib.sha256(data).hexdigest()))
    write_manifest(store, fingerprint="0" * 64, output_format="webdataset", extra_files=extra)


def payload(spec: SetSpec, number: int) -> bytes:
    """Return the payload of sample `number`."""
    if number in spec.broken:
        return b"no image"
    if not spec.images:
        return f"payload {number} ".encode() + bytes(spec.padding)
    random = np.random.default_rng(number)
    return _encoded(".jpg", random.integers(0, 255, (24 + number % 5, 32, 3), np.uint8))


def mask(spec: SetSpec, number: int) -> bytes:
    """Return the label map of sample `number`."""
    if not spec.images:
        return f"mask {number}".encode()
    labels = np.zeros((24 + number % 5, 32), np.uint8)
    labels[4:20, 4:20] = number % 3 + 1
    return _encoded(".png", labels)


def _encoded(extension: str, pixels) -> bytes:
    return cv2.imencode(extension, pixels)[1].tobytes()


def _write_shard(store, spec: SetSpec, shard_id: int, count: int, first: int) -> list[dict]:
    name = f"{shard_id:05}"
    schema = pa.schema([*COLUMNS, ("cause", pa.string())])
    writer = Writer(store, WriterOptions(name=name, schema=schema, parts=PARTS))
    for place in range(count + spec.failed):
        writer.write(_row(spec, place, first + place if place < count else None, name))
    files = writer.commit()
    causes = {Cause.DECODE_ERROR: spec.failed} if spec.failed else {}
    record = ShardRecord(
        count + spec.failed,
        count,
        0,
        spec.failed,
        0.0,
        0.0,
        0.0,
        {},
        name,
        shard_id,
        "0" * 64,
        causes,
        files,
    )
    write_record(store, record)
    sidecar = pq.read_table(pa.BufferReader(store.read(files[1].name))).to_pylist()
    return [{"shard": shard_id, **row} for row in sidecar if row["status"] == SUCCESS]


def _row(spec: SetSpec, place: int, number: int | None, shard: str) -> Row:
    key = (
        f"{spec.prefix}{number:06}" if number is not None else f"{spec.prefix}-bad-{shard}-{place}"
    )
    columns = {
        "key": key,
        "path": f"images/{key}.jpg",
        "status": SUCCESS if number is not None else "failed_to_resize",
        "label": number,
    }
    if number is None:
        return Row(place, key, columns, {"cause": Cause.DECODE_ERROR}, cause=Cause.DECODE_ERROR)
    parts = {"seg.png": mask(spec, number)} | ({"annotations.json": b"[]"} if number % 2 else {})
    return Row(place, key, columns, {"cause": None}, payload(spec, number), "jpg", parts=parts)


def _index(rows: list[dict]) -> bytes:
    names = (
        "key",
        "shard",
        "offset",
        "bytes",
        "extension",
        "width",
        "height",
        "annotations_json_offset",
        "annotations_json_bytes",
    )
    names += ("seg_png_offset", "seg_png_bytes", "label")
    kinds = {
        "key": pa.string(),
        "extension": pa.string(),
        "shard": pa.int32(),
        "width": pa.int32(),
        "height": pa.int32(),
        "label": pa.int32(),
    }
    fixed = {"extension": "jpg", "width": 32, "height": 24}
    table = pa.table(
        {
            name: pa.array([(fixed | row)[name] for row in rows], kinds.get(name, pa.int64()))
            for name in names
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def _staged(spec: SetSpec, samples: int) -> StagedDataset:
    failed = spec.failed * len(spec.counts)
    return StagedDataset(
        source="coco",
        partition="tiny",
        license=License(
            "CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/", redistributable=True
        ),
        classes=(ClassLabel(1, "cat"), ClassLabel(2, "dog"), ClassLabel(3, "cow")),
        parts=PARTS,
        columns={"label": "int32"},
        rows=samples + failed,
        samples=samples,
        causes={Cause.DECODE_ERROR: failed} if failed else {},
        pixels={},
        images={},
        warnings={},
        archives={},
    )
