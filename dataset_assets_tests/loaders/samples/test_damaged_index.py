"""Damaged Parquet indexes: a loader reads all samples, or says in one line what is wrong."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.loaders.samples.shard_rows import ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set


def written(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def damaged(data):
    """Yield damaged forms of a Parquet file, and of the table in it."""
    yield b""
    yield data[: len(data) // 2]
    yield data[:-4]
    yield b"PAR1" + data[4:-200] + bytes(196) + b"PAR1"
    table = pq.read_table(pa.BufferReader(data))
    yield written(table.slice(0, 0))
    yield written(table.slice(0, 1))
    yield written(pa.concat_tables([table, table]))
    others = [["x"], [None], [-5], [2**62], [[1]], [b"\xff"], [float("nan")]]
    arrays = [pa.array(other * len(table)) for other in others]
    arrays += [pa.nulls(len(table), pa.int64()), pa.array([2**64 - 1] * len(table), pa.uint64())]
    for place, name in enumerate(table.column_names):
        yield written(table.drop_columns([name]))
        yield written(table.append_column(name, table.column(place)))
        for array in arrays:
            yield written(table.set_column(place, name, array))


def read_all(store):
    rows = ShardRows(store)
    for index in range(len(rows)):
        rows.read(index)
        rows.describe(index)


@pytest.mark.parametrize("name", ["index.parquet", "00000.parquet"])
def test_damaged_index_ends_with_one_line_about_the_set(tmp_path, name):
    store = Store(str(tmp_path / "set"))
    write_set(store, SetSpec(counts=(2, 3), failed=1, images=True))
    manifest = json.loads(store.read("manifest.json"))
    extra = {file["name"]: file for file in manifest["extra_files"]}
    if name not in extra:  # sets without an index have sidecars
        manifest["extra_files"] = []
        store.delete("staged.json")
    wrong, refused = [], 0
    for data in damaged(store.read(name)):
        store.write(name, data, durable=False)
        if name in extra:
            sha256 = hashlib.sha256(data).hexdigest()
            extra[name].update(bytes=len(data), sha256=sha256)
        store.write("manifest.json", json.dumps(manifest).encode(), durable=False)
        try:
            read_all(store)
        except DatasetAssetsError as exc:
            refused += 1
            if "\n" in str(exc) or store.url not in str(exc):
                wrong.append(str(exc))
        except Exception as exc:
            wrong.append(repr(exc))
    assert wrong == []
    assert refused > 80
