import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.shards.formats import parquet
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import SCHEMA, make_row, make_rows, write_files


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def read(store):
    return pq.ParquetFile(store.locate("00003.parquet"))


def test_payload_is_the_last_column_when_some_failed(store):
    rows = make_rows(5, failed=[2])
    write_files(store, "parquet", rows, extension="webp")
    table = read(store).read()
    assert table.column_names == [*SCHEMA.names, "offset", "bytes", "webp"]
    assert table.column("webp").to_pylist() == [row.payload for row in rows]
    assert table.column("bytes").to_pylist() == [
        None if row.payload is None else len(row.payload) for row in rows
    ]
    assert table.column("offset").null_count == 5


def test_schema_is_that_of_img2dataset_when_its_layout_is_asked_for(store):
    write_files(store, "parquet", make_rows(2), with_index=False)
    assert read(store).schema_arrow.equals(
        SCHEMA.append(pa.field("jpg", pa.binary())), check_metadata=True
    )


def test_row_groups_have_100_rows_when_payloads_are_small(store):
    write_files(store, "parquet", make_rows(250))
    assert [read(store).metadata.row_group(i).num_rows for i in range(3)] == [100, 100, 50]


def test_row_groups_are_bounded_in_bytes_when_payloads_are_large(store, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_BYTES", 10_000)
    sizes = [4000, 4000, 4000, 20_000, 0, 9000, 1000, 1]
    write_files(
        store, "parquet", [make_row(i, payload=bytes(size)) for i, size in enumerate(sizes)]
    )
    table = read(store)
    groups = [
        [len(data) for data in table.read_row_group(i)["jpg"].to_pylist()]
        for i in range(table.num_row_groups)
    ]
    assert groups == [[4000, 4000], [4000], [20_000], [0, 9000, 1000], [1]]


def test_column_is_refused_when_it_has_the_name_of_the_payload(store):
    with pytest.raises(
        ConfigurationError, match="column 'url': expected another name than that of the payload"
    ):
        write_files(store, "parquet", [], extension="url")
    assert list(store.list()) == []
