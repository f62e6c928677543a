import datetime as dt
import decimal
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.pipelines.download._fingerprint import shard_fingerprint

BASE = {
    "text": pa.array(["a", None, "", "bc"]),
    "number": pa.array([1, None, 0, -5]),
    "ratio": pa.array([1.5, None, 0.0, float("nan")]),
    "flag": pa.array([True, None, False, True]),
    "boxes": pa.array([[[0.0, 1.0]], None, [], [[], None]], pa.list_(pa.list_(pa.float64()))),
    "info": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": None}, {"a": 2, "b": "y"}]),
    "day": pa.array([dt.date(2020, 1, 1), None, dt.date(2021, 1, 1), dt.date(1, 1, 1)]),
    "time": pa.array(
        [dt.datetime(2020, 1, 1), None, None, dt.datetime(1, 1, 1)], pa.timestamp("ms")
    ),
    "price": pa.array([decimal.Decimal("1.10"), None, None, decimal.Decimal("0.00")]),
    "blob": pa.array([b"\0", None, b"", b"\xff"]),
    "kind": pa.array(["k", None, "k", "l"]).dictionary_encode(),
    "fixed": pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.int8(), 2)),
    "half": pa.array([1.0, None, 2.0, 3.0], pa.float16()),
    "nothing": pa.nulls(4, pa.string()),
}


def through_parquet(table):
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    return pq.read_table(io.BytesIO(sink.getvalue()))


@pytest.mark.parametrize("name", BASE)
def test_fingerprint_stays_however_the_values_are_held(name):
    table = pa.table({name: BASE[name]})
    expected = shard_fingerprint(table)
    assert shard_fingerprint(through_parquet(table)) == expected
    assert (
        shard_fingerprint(pa.concat_tables([table.slice(0, 1), table.slice(1, 2), table.slice(3)]))
        == expected
    )
    assert shard_fingerprint(pa.concat_tables([table, table, table]).slice(4, 4)) == expected
    assert (
        shard_fingerprint(
            pa.table(
                {
                    name: pa.chunked_array(
                        [[], *pa.chunked_array(BASE[name]).chunks], BASE[name].type
                    )
                }
            )
        )
        == expected
    )


@pytest.mark.parametrize("name", BASE)
def test_fingerprint_changes_with_name_values_order_and_rows(name):
    table = pa.table({name: BASE[name]})
    others = [
        table,
        table.rename_columns(["other"]),
        table.take([1, 0, 2, 3]),
        table.slice(0, 3),
        pa.concat_tables([table, table]),
        pa.table({name: BASE[name], "more": pa.nulls(4, pa.int8())}),
    ]
    if name == "nothing":
        others.pop(2)
    assert len({shard_fingerprint(each) for each in others}) == len(others)


def test_fingerprint_tells_types_and_nulls_from_empty_values():
    columns = [
        pa.array(["", "a"]),
        pa.array([None, "a"]),
        pa.array([b"", b"a"]),
        pa.array([0, 1]),
        pa.array([0, 1], pa.int32()),
        pa.array([0.0, 1.0]),
        pa.array([None, 1]),
        pa.array([False, True]),
        pa.array([[], [1]]),
        pa.array([None, [1]]),
        pa.array([[None], [1]]),
        pa.array([{"a": None}, {"a": 1}]),
        pa.array([None, {"a": 1}]),
        pa.array([{"b": None}, {"b": 1}]),
    ]
    assert len({shard_fingerprint(pa.table({"x": column})) for column in columns}) == len(columns)


def test_fingerprint_is_the_same_on_every_machine_and_in_every_release():
    table = pa.table(
        {"url": ["http://h/a", None], "n": pa.array([1, 2], pa.int64()), "tags": [["x"], []]}
    )
    assert (
        shard_fingerprint(table)
        == "2deda8c0edab5566e913ae1cbba94bc9c1290b448e1f47b8679274b94dbd693d"
    )


@settings(deadline=None)
@given(
    st.lists(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3), max_size=8), st.data()
)
def test_fingerprint_does_not_depend_on_chunks(rows, data):
    table = pa.table({"x": pa.array(rows, pa.list_(pa.string()))})
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    pieces = [
        table.slice(start, end - start)
        for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    assert shard_fingerprint(pa.concat_tables(pieces)) == shard_fingerprint(table)
