"""Rows as a download makes them, and shards written from them."""

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import Row, ShardFile, ShardRecord
from dataset_assets.shards.commits import write_record
from dataset_assets.shards.naming import sample_key
from dataset_assets.shards.writer import WriterOptions

NAME = "00003"
EXTRA = ("cause", "http_status")
SCHEMA = pa.schema(
    [
        ("score", pa.float64()),
        ("caption", pa.string()),
        ("url", pa.string()),
        ("key", pa.string()),
        ("status", pa.string()),
        ("error_message", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("exif", pa.string()),
        ("sha256", pa.string()),
        ("cause", pa.string()),
        ("http_status", pa.int32()),
    ]
)


def make_options(**changes: Any) -> WriterOptions:
    return WriterOptions(**{"name": NAME, "schema": SCHEMA, "has_caption": True, **changes})


def make_row(
    index: int, *, payload: bytes | None, caption: str | None = "a cat", extension: str = "jpg"
) -> Row:
    ok = payload is not None
    key = sample_key(3, index, 1000, 5)
    columns = {
        "score": index / 8,
        "caption": caption,
        "url": f"http://example.org/{index}.jpg",
        "key": key,
        "status": "success" if ok else "failed_to_download",
        "error_message": None if ok else "HTTP Error 404: Not Found",
        "width": 256 if ok else None,
        "height": 192 if ok else None,
        "exif": "{}" if ok else None,
        "sha256": "0" * 64 if ok else None,
    }
    cause = None if ok else Cause.HTTP_NOT_FOUND
    extra = {"cause": cause, "http_status": 200 if ok else 404}
    return Row(index, key, columns, extra, payload, extension if ok else "", caption, cause)


def make_rows(
    count: int, *, failed: Iterable[int] = (), seed: int = 0, size: int = 700
) -> list[Row]:
    source = random.Random(seed)
    lost = set(failed)
    return [
        make_row(
            i,
            payload=None if i in lost else source.randbytes(source.randint(1, size)),
            caption=f"caption {i}",
        )
        for i in range(count)
    ]


def write_files(
    store: Any, output_format: str, rows: Iterable[Row], **changes: Any
) -> tuple[ShardFile, ...]:
    """Write and commit the files of a shard; discard it on any error."""
    writer = registry.load("output_format", output_format)(store, make_options(**changes))
    try:
        for row in rows:
            writer.write(row)
        writer.close()
        return writer.commit()
    except BaseException:
        writer.discard()
        raise


def make_record(rows: list[Row], files: tuple[ShardFile, ...], **changes: Any) -> ShardRecord:
    ok = sum(row.payload is not None for row in rows)
    values = {
        "count": len(rows),
        "successes": ok,
        "failed_to_download": len(rows) - ok,
        "failed_to_resize": 0,
        "duration": 1.0,
        "start_time": 0.0,
        "end_time": 1.0,
        "status_dict": {"success": ok},
        "name": NAME,
        "shard_id": 3,
        "fingerprint": "f" * 64,
        "causes": dict(Counter(str(row.cause) for row in rows if row.cause is not None)),
        "files": files,
    }
    return ShardRecord(**{**values, **changes})


def write_shard(store: Any, output_format: str, rows: list[Row], **changes: Any) -> ShardRecord:
    """Write a whole shard, record included."""
    name = changes.get("name", NAME)
    record = make_record(
        rows, write_files(store, output_format, rows, **changes), name=name, shard_id=int(name)
    )
    write_record(store, record)
    return record


def contents(store: Any, *, records: bool = True) -> dict[str, bytes]:
    """Return every object of a store."""
    return {
        info.key: store.read(info.key)
        for info in store.list()
        if records or not info.key.endswith("_stats.json")
    }
