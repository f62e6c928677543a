import gzip
import json

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets.errors import MissingColumn, UnreadableList
from dataset_assets.urls.lists import ListOptions
from dataset_assets.urls.sources import open_lists


def read(path, **options):
    tables = list(
        open_lists(str(path), ListOptions(input_format=path.suffix[1:], **options))[0].read()
    )
    return pa.concat_tables(tables).to_pydict() if tables else {}


def write(tmp_path, content, name="list.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
def test_array_is_the_same_whatever_the_block_size(tmp_path, monkeypatch, block):
    monkeypatch.setattr("dataset_assets.json_stream.BLOCK", block)
    texts = st.text(max_size=8).map("u{}".format)  # numbers alone are refused as no URLs
    rows = st.lists(
        st.fixed_dictionaries(
            {"url": texts | st.none(), "n": st.integers(-5, 5) | st.floats(-1, 1)}
        ),
        max_size=6,
    )

    @settings(
        max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(rows, st.sampled_from([None, 1]), st.booleans())
    def check(rows, indent, ascii_only):
        path = write(
            tmp_path, "\n " + json.dumps(rows, indent=indent, ensure_ascii=ascii_only) + " \n"
        )
        assert read(path).get("url", []) == [row["url"] for row in rows]

    check()


@pytest.mark.parametrize("orient", ["columns", "records"])
def test_what_pandas_writes_is_read(tmp_path, orient):
    frame = pd.DataFrame(
        {"url": ["a", "b", "c"], "caption": ["x", None, "ü"], "score": [1.5, 2.0, None]}
    )
    frame.to_json(tmp_path / "list.json", orient=orient)
    got = read(tmp_path / "list.json", caption_col="caption", save_additional_columns=("score",))
    assert got == {"score": [1.5, 2.0, None], "caption": ["x", None, "ü"], "url": ["a", "b", "c"]}


def test_object_of_lists_is_columns(tmp_path):
    assert read(
        write(tmp_path, {"url": ["a", "b"], "n": [1, 2]}), save_additional_columns=("n",)
    ) == {"n": [1, 2], "url": ["a", "b"]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[{"url": "a"}, {"url": "b"', "after element 1: .*check that the file is complete"),
        ('[{"url": "a"} {"url": "b"}]', "after element 1: expected ',' or ']', got '{"),
        ('[{"url": "a"}', "after element 1: expected ',' or ']', got the end"),
        ('[{"url": "a"}] x', "after element 1: expected the end, got 'x'"),
        ("hello", "expected '\\['.*, got 'hello'"),
        ('{"url": "a"}\n{"url": "b"}', "looks like jsonl"),
        ('{"url": "a"}', "expected an array of objects or URLs"),
        ('{"url": ["a"], "x": []}', "columns of equal length"),
        ("[" * 100_000, "after element 0: expected a JSON value"),
    ],
)
def test_broken_file_is_refused_with_position_and_advice(tmp_path, text, problem):
    with pytest.raises(UnreadableList, match=rf"list\.json.*{problem}"):
        read(write(tmp_path, text))


def test_columns_are_refused_when_they_are_too_large_to_hold(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset_assets.urls.formats.json.MAX_COLUMNS", 100)
    with pytest.raises(UnreadableList, match="convert it to jsonl"):
        read(write(tmp_path, {"url": ["a" * 10] * 20}))


def test_element_is_refused_when_it_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset_assets.urls.formats.json.MAX_ELEMENT", 1000)
    monkeypatch.setattr("dataset_assets.json_stream.BLOCK", 100)
    with pytest.raises(UnreadableList, match="after element 1: expected a JSON value"):
        read(write(tmp_path, '[{"url": "a"}, {"url": "' + "b" * 100_000))


@pytest.mark.parametrize("name", ["list.json", "list.jsonl"])
def test_entry_that_is_no_row_becomes_a_row_without_url(tmp_path, caplog, name):
    rows = [
        '{"url": "a", "n": 1}',
        '"http://h/b"',
        "17",
        "null",
        '{"n": 5}',
        '{"url": "c", "n": 2}',
    ]
    content = f"[{','.join(rows)}]" if name.endswith("json") else "\n".join(rows)
    got = read(write(tmp_path, content, name), save_additional_columns=("n",))
    assert got == {"n": [1, None, None, None, 5, 2], "url": ["a", None, None, None, None, "c"]}
    assert "kept as rows without a URL: 3, the first at row 2" in caplog.text


@pytest.mark.parametrize("name", ["list.json", "list.jsonl", "list.json.gz"])
def test_strings_without_objects_are_urls(tmp_path, caplog, name):
    urls = [None, "http://h/a", "http://h/ü b", "http://h/c"]
    text = "\n".join(map(json.dumps, urls)) if name.endswith("jsonl") else json.dumps(urls)
    data = text.encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (found,) = open_lists(str(path), ListOptions(input_format="auto"))
    assert pa.concat_tables(found.read()).to_pydict() == {"url": urls}
    assert "not strings were kept as rows without a URL: 1, the first at row 1" in caplog.text


def test_later_entries_of_a_list_of_urls_are_rows_too(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("dataset_assets.urls.text.BATCH_ROWS", 2)
    got = read(write(tmp_path, ["http://h/a", "http://h/b", 7, ["http://h/c"], "http://h/d"]))
    assert got == {"url": ["http://h/a", "http://h/b", None, None, "http://h/d"]}
    assert "without a URL: 2, the first at row 3" in caplog.text


def test_list_of_urls_has_one_column(tmp_path):
    path = write(tmp_path, ["http://h/a"])
    assert read(path, url_col="link") == {"url": ["http://h/a"]}
    with pytest.raises(MissingColumn, match=r"a list of URLs, has no column 'caption'"):
        read(path, caption_col="caption")


@pytest.mark.parametrize("name", ["list.json", "list.jsonl"])
@pytest.mark.parametrize("entry", [["http://h/a", "a caption"], 17, True])
def test_list_without_a_row_or_a_url_is_refused(tmp_path, name, entry):
    text = json.dumps([entry, entry]) if name.endswith("json") else f"{json.dumps(entry)}\n" * 2
    with pytest.raises(UnreadableList, match=r"list\.json.*object.*set input_format"):
        read(write(tmp_path, text, name))


def test_broken_line_seven_is_a_row_without_url_and_the_others_are_read(tmp_path, caplog):
    rows = [json.dumps({"url": f"http://h/{n}"}) for n in range(1, 11)]
    rows[6] = '{"url": "http://h/7'
    got = read(write(tmp_path, "\n".join(rows) + "\n\n", "list.jsonl"))
    assert got["url"] == [None if n == 7 else f"http://h/{n}" for n in range(1, 11)]
    assert "kept as rows without a URL: 1, the first at row 7" in caplog.text


def test_file_is_refused_when_no_line_is_an_object(tmp_path):
    with pytest.raises(UnreadableList, match="none of its first 2 lines"):
        read(write(tmp_path, "a\nb\n", "list.jsonl"))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], pa.float64()),
        ([None, None], pa.string()),
        ([[1], [2.5], []], pa.list_(pa.float64())),
        ([{"a": 1}, {"b": "x"}], pa.struct({"a": pa.int64(), "b": pa.string()})),
        ([1, "a", None], pa.string()),
        ([True, 1], pa.string()),
        ([{}, {}], pa.string()),
        ([2**70, 1], pa.string()),
        (["a\ud800b"], pa.string()),
    ],
)
@pytest.mark.parametrize("batch", [1, 100])
def test_kept_column_gets_a_type_for_all_of_its_values(tmp_path, monkeypatch, values, kind, batch):
    monkeypatch.setattr("dataset_assets.urls.text.BATCH_ROWS", batch)
    path = write(
        tmp_path, "\n".join(json.dumps({"url": "u", "x": value}) for value in values), "list.jsonl"
    )
    tables = list(
        open_lists(str(path), ListOptions(input_format="jsonl", save_additional_columns=("x",)))[
            0
        ].read()
    )
    assert {table.schema.field("x").type for table in tables} == {kind}
    got = pa.concat_tables(tables)["x"].to_pylist()
    if kind == pa.string():
        expected = [
            None if each is None else each if isinstance(each, str) else json.dumps(each)
            for each in values
        ]
        assert got == [
            each if each is None else each.replace("\ud800", "\N{REPLACEMENT CHARACTER}")
            for each in expected
        ]


def test_url_and_caption_are_text_whatever_they_were(tmp_path):
    rows = [
        {"url": 5, "t": 1.5},
        {"url": None, "t": None},
        {"url": "a", "t": ["x", 1]},
        {"url": "b", "t": "\udc80"},
    ]
    assert read(write(tmp_path, rows), caption_col="t") == {
        "caption": ["1.5", None, '["x", 1]', "\x80"],
        "url": ["5", None, "a", "b"],
    }


def test_column_may_be_missing_in_some_rows_but_not_in_all(tmp_path):
    path = write(tmp_path, [{"url": "a"}, {"url": "b", "t": "x"}])
    assert read(path, caption_col="t") == {"caption": [None, "x"], "url": ["a", "b"]}
    with pytest.raises(MissingColumn, match="its columns are url, t"):
        read(path, caption_col="text")
