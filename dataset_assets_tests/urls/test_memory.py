import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dataset_assets.errors import ConfigurationError, MissingColumn, UnreadableList
from dataset_assets.urls.lists import ListOptions
from dataset_assets.urls.sources import open_lists

ROWS = [
    {"url": f"http://h/{n}", "text": f"caption {n}", "score": n / 2, "other": object}
    for n in range(10)
]


def read(source, **options):
    (found,) = open_lists(source, ListOptions(**options))
    tables = list(found.read())
    return pa.concat_tables(tables) if tables else None


def plain(keys):
    return [{key: row[key] for key in keys} for row in ROWS]


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: rows,
        tuple,
        pa.Table.from_pylist,
        pd.DataFrame,
        pa.RecordBatch.from_pylist,
        lambda rows: pa.Table.from_pylist(rows).to_batches(max_chunksize=3),
        lambda rows: iter(pa.Table.from_pylist(rows).to_batches(max_chunksize=3)),
        lambda rows: pa.Table.from_pylist(rows).to_reader(max_chunksize=4),
    ],
    ids=["list", "tuple", "table", "pandas", "batch", "batches", "iterator", "reader"],
)
def test_rows_come_back_in_order_whatever_holds_them(make):
    table = read(
        make(plain(["url", "text", "score"])),
        caption_col="text",
        save_additional_columns=("score",),
    )
    assert table.to_pylist() == [
        {"score": r["score"], "caption": r["text"], "url": r["url"]} for r in ROWS
    ]
    assert table.schema.types == [pa.float64(), pa.string(), pa.string()]


@pytest.mark.parametrize(
    "make", [list, tuple, iter, np.array, pd.Series, lambda urls: (url for url in urls)]
)
def test_urls_are_a_list_of_one_column(make):
    urls = [row["url"] for row in ROWS]
    assert read(make(urls)).to_pydict() == {"url": urls}


def test_urls_may_be_null():
    assert read([None, "a", None]).to_pydict() == {"url": [None, "a", None]}
    assert read([None]).to_pydict() == {"url": [None]}
    assert read([]) is None


def test_rows_that_are_not_needed_are_not_converted():
    assert read(ROWS).num_rows == 10
    assert read(pd.DataFrame(ROWS)).num_rows == 10


def test_column_of_mixed_values_in_pandas_becomes_text():
    frame = pd.DataFrame(
        {
            "url": ["a", "b", "c"],
            "x": [1, "two", float("nan")],
            "t": pd.Series(["x", 5, None], dtype=object),
        }
    )
    assert read(frame, caption_col="t", save_additional_columns=("x",)).to_pydict() == {
        "x": ["1", "two", "NaN"],
        "caption": ["x", "5", None],
        "url": ["a", "b", "c"],
    }


def test_column_keeps_its_arrow_type():
    columns = {
        "url": pa.array(["a", "b"]).dictionary_encode(),
        "when": pa.array([dt.date(2020, 1, 1), None]),
        "time": pa.array([dt.datetime(2020, 1, 1), None], pa.timestamp("s", "UTC")),
        "tags": pa.array([["x"], []], pa.list_(pa.string())),
        "kind": pa.array(["k", "k"]).dictionary_encode(),
        "blob": pa.array([b"\xff", None]),
        "small": pa.array([1, 2], pa.int8()),
        "nothing": pa.nulls(2),
        "view": pa.array(["v", "w"], pa.string_view()),
    }
    table = read(
        pa.table(columns), save_additional_columns=tuple(name for name in columns if name != "url")
    )
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == {
        "when": pa.date32(),
        "time": pa.timestamp("ms", "UTC"),
        "tags": pa.list_(pa.string()),
        "kind": pa.string(),
        "blob": pa.binary(),
        "small": pa.int8(),
        "nothing": pa.string(),
        "view": pa.string(),
        "url": pa.string(),
    }
    assert table.to_pydict() == {name: columns[name].to_pylist() for name in table.schema.names}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array([b"a\xe9", b"b"]), ["aé", "b"]),
        (pa.array([1, None]), ["1", None]),
        (pa.array([["x", "y"], None]), ['["x", "y"]', None]),
        (pa.array([{"a": 1}, None]), ['{"a": 1}', None]),
        (
            pa.StringArray.from_buffers(
                2, pa.py_buffer(np.array([0, 2, 3], "i4")), pa.py_buffer(b"a\xe9b")
            ),
            ["aé", "b"],
        ),
    ],
    ids=["large", "bytes", "numbers", "lists", "structs", "not utf-8"],
)
def test_caption_is_text_whatever_its_type(column, expected):
    assert (
        read(pa.table({"url": ["u", "v"], "t": column}), caption_col="t")["caption"].to_pylist()
        == expected
    )


def test_text_that_is_not_utf8_is_repaired_in_kept_columns_and_refused_below_them():
    broken = pa.StringArray.from_buffers(
        2, pa.py_buffer(np.array([0, 2, 3], "i4")), pa.py_buffer(b"a\xe9b")
    )
    assert read(pa.table({"url": ["u", "v"], "t": broken}), save_additional_columns=("t",))[
        "t"
    ].to_pylist() == ["aé", "b"]
    nested = pa.ListArray.from_arrays([0, 1, 2], broken)
    with pytest.raises(UnreadableList, match="leave it out of save_additional_columns"):
        read(pa.table({"url": ["u", "v"], "t": nested}), save_additional_columns=("t",))


def test_boxes_that_cannot_be_read_are_boxes_that_will_be_refused(caplog):
    boxes = ["[[0, 0, 1, 1]]", "", None, "nonsense", "7", '[["a"]]', "[]", "null"]
    table = read([{"url": "u", "faces": each} for each in boxes], bbox_col="faces")
    assert table["faces"].to_pylist() == [[[0, 0, 1, 1]], None, None, [[]], [[]], [[]], [], None]
    assert "not lists of numbers are invalid: 3, the first at row 4" in caplog.text
    table = read(
        pa.table(
            {"url": ["u"], "faces": pa.array([[[0, 1, 1, 1]]], pa.list_(pa.list_(pa.int32())))}
        ),
        bbox_col="faces",
    )
    assert table["faces"].to_pylist() == [[[0.0, 1.0, 1.0, 1.0]]]


def test_record_batches_must_agree():
    batches = [
        pa.record_batch({"url": ["a"], "x": pa.array([1])}),
        pa.record_batch({"url": ["b"], "x": pa.array(["one"])}),
    ]
    with pytest.raises(UnreadableList, match=r"record batches: expected .*at row 2"):
        read(batches, save_additional_columns=("x",))


@pytest.mark.parametrize("source", [5, None, b"bytes", {"url": ["a"]}, [5], iter(ROWS)])
def test_source_is_refused_with_what_is_expected(source):
    with pytest.raises(ConfigurationError, match="expected a path or URL, URLs, dictionaries"):
        read(source)


@pytest.mark.parametrize(
    "source", [ROWS, pd.DataFrame(ROWS), pa.Table.from_pylist(plain(["url", "text", "score"]))]
)
def test_missing_column_is_named(source):
    with pytest.raises(MissingColumn, match=r"'URL'.*did you mean 'url'"):
        read(source, url_col="URL")


def test_one_column_may_serve_twice():
    assert read(
        [{"url": "a", "text": "t"}], caption_col="text", save_additional_columns=("text",)
    ).to_pydict() == {
        "text": ["t"],
        "caption": ["t"],
        "url": ["a"],
    }
