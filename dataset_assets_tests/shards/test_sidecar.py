import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.shards.sidecar import ShardTable, Sidecar, read_schema, read_table
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import make_options, make_row, make_rows


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


def write(store, schema, rows, **options):
    table = ShardTable(store.stage("t.parquet"), pa.schema(schema), **options)
    for row in rows:
        table.append(row)
    return table.commit()


def footer(store):
    return pq.read_metadata(store.locate("t.parquet"))


def test_sidecar_has_every_row_and_the_index_when_some_failed(store):
    sidecar = Sidecar(store, make_options())
    sidecar.add(make_row(0, payload=b"abc"), 512)
    sidecar.add(make_row(1, payload=None))
    file = sidecar.commit()
    rows = list(read_table(store, file.name))
    assert [
        (row["key"], row["status"], row["cause"], row["offset"], row["bytes"]) for row in rows
    ] == [
        ("00003000", "success", None, 512, 3),
        ("00003001", "failed_to_download", "http_not_found", None, None),
    ]
    assert file.bytes == store.size(file.name)


def test_sidecar_has_exactly_the_given_columns_when_there_is_no_index(store):
    options = make_options(with_index=False)
    sidecar = Sidecar(store, options)
    sidecar.add(make_row(0, payload=b"abc"), 512)
    sidecar.commit()
    assert read_schema(store, "00003.parquet").equals(options.schema, check_metadata=True)


def test_rows_are_read_back_when_there_are_none(store):
    write(store, {"a": pa.int64()}, [])
    assert list(read_table(store, "t.parquet")) == []


def test_row_groups_are_bounded_when_there_are_many_rows(store):
    write(store, {"a": pa.int64()}, ({"a": i} for i in range(2500)))
    assert [footer(store).row_group(i).num_rows for i in range(3)] == [1000, 1000, 500]
    assert [row["a"] for row in read_table(store, "t.parquet")] == list(range(2500))


def test_payloads_are_stored_as_they_are_when_beside_nested_and_dotted_columns(store):
    schema = {
        "tags": pa.list_(pa.string()),
        "box": pa.struct({"x": pa.int64()}),
        "a.b": pa.string(),
        "tar.gz": pa.binary(),
    }
    row = {"tags": ["x", None], "box": {"x": 1}, "a.b": "c", "tar.gz": b"p" * 5000}
    write(store, schema, [row] * 3, payload="tar.gz")
    columns = [footer(store).row_group(0).column(i) for i in range(4)]
    assert [column.compression for column in columns] == ["ZSTD", "ZSTD", "ZSTD", "UNCOMPRESSED"]
    assert set(columns[3].encodings) == {"PLAIN", "RLE"}  # no dictionary
    assert not columns[3].is_stats_set
    assert list(read_table(store, "t.parquet")) == [row] * 3
    assert (
        list(read_table(store, "t.parquet", columns=["a.b", "tar.gz"]))
        == [{"a.b": "c", "tar.gz": b"p" * 5000}] * 3
    )


def test_text_is_escaped_when_it_is_not_unicode(store):
    schema = {"s": pa.string(), "l": pa.list_(pa.string())}
    write(store, schema, [{"s": "\ud800\0", "l": ["a", "\udfff"]}, {"s": "é", "l": None}])
    assert list(read_table(store, "t.parquet")) == [
        {"s": "\\ud800\0", "l": ["a", "\\udfff"]},
        {"s": "é", "l": None},
    ]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int32(), 2**40),
        (pa.int32(), "x"),
        (pa.string(), 3),
        (pa.string(), b"\xff"),
        (pa.float64(), [1]),
    ],
)
def test_message_names_the_column_when_a_value_has_another_type(store, kind, value):
    table = ShardTable(store.stage("t.parquet"), pa.schema({"width": kind}))
    table.append({"width": value})
    with pytest.raises(ConfigurationError, match=r"column 'width': expected values of type"):
        table.close()
    table.discard()
    assert list(store.root.iterdir()) == []


def test_nothing_is_left_when_a_table_is_discarded(store):
    table = ShardTable(store.stage("t.parquet"), pa.schema({"a": pa.int64()}), group_rows=1)
    table.append({"a": 1})
    table.discard()
    table.discard()
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_reading_says_corrupt_when_a_table_is_cut(store, keep):
    sidecar = Sidecar(store, make_options())
    for row in make_rows(50):
        sidecar.add(row)
    file = sidecar.commit()
    store.write(file.name, store.read(file.name)[:keep])
    with pytest.raises(ShardCorrupt, match=r"00003\.parquet: not a readable Parquet file"):
        list(read_table(store, file.name))
    with pytest.raises(ShardCorrupt, match=r"00003\.parquet"):
        read_schema(store, file.name)
