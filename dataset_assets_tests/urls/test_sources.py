import datetime as dt
import gzip
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from dataset_assets.errors import ConfigurationError, EmptyList, ObjectMissing, UnreadableList
from dataset_assets.urls.lists import ListOptions
from dataset_assets.urls.sources import open_lists


def names(source, input_format, root=""):
    found = open_lists(source, ListOptions(input_format=input_format))
    return [each.name.removeprefix(f"{root}/") for each in found]


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    """A function that writes a file, and the address of their folder."""
    if request.param == "local":

        def write(key, content=b"http://h\n"):
            path = tmp_path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

        yield write, str(tmp_path)
        return

    def pipe(key, content=b"http://h\n"):
        MemoryFileSystem().pipe_file(f"/sources/{key}", content)

    yield pipe, "memory://sources"
    MemoryFileSystem.store.clear()


def test_folder_gives_the_files_of_the_format_sorted(place):
    write, root = place
    for key in (
        "b.csv",
        "a.csv.gz",
        "c.CSV",
        "d.csv.zst",
        "e.txt",
        ".hidden.csv",
        "_tmp.csv",
        "below/f.csv",
        "csv",
        "g.csv.bak",
    ):
        write(key)
    assert names(root, "csv", root) == ["a.csv.gz", "b.csv", "c.CSV", "d.csv.zst"]
    assert names(f"{root}/", "csv", root) == ["a.csv.gz", "b.csv", "c.CSV", "d.csv.zst"]
    assert names(root, "csv.gz", root) == ["a.csv.gz"]
    assert names(root, "csv.zstd", root) == ["d.csv.zst"]
    assert names(root, "auto", root) == ["a.csv.gz", "b.csv", "c.CSV", "d.csv.zst", "e.txt"]


def test_glob_gives_what_matches_in_any_folder(place):
    write, root = place
    for key in (
        "x/part.csv",
        "y/part.csv",
        "y/z/part.csv",
        "y/other.txt",
        "y/.part.csv",
        "_y/part.csv",
    ):
        write(key)
    assert names(f"{root}/*/part.csv", "csv", root) == ["x/part.csv", "y/part.csv"]
    assert names(f"{root}/**/part.csv", "csv", root) == ["x/part.csv", "y/part.csv", "y/z/part.csv"]
    assert names(f"{root}/y/*", "auto", root) == ["y/other.txt", "y/part.csv"]
    assert names(f"{root}/[x]/pa?t.csv", "csv", root) == ["x/part.csv"]
    assert names(f"{root}/_y/*.csv", "csv", root) == ["_y/part.csv"]


def test_file_is_read_as_told_whatever_its_name(place):
    write, root = place
    write("list.of urls[1]", b"a\nb\n")
    (found,) = open_lists(f"{root}/list.of urls[1]", ListOptions(input_format="txt"))
    assert [url for table in found.read() for url in table["url"].to_pylist()] == ["a", "b"]
    assert found.bytes == 4
    assert found.modified > 0


def test_formats_may_differ_in_a_folder_when_the_format_is_auto(place):
    write, root = place
    write("a.txt", b"u1\n")
    write("b.csv.gz", gzip.compress(b"url\nu2\n"))
    write("c.ndjson", b'{"url": "u3"}\n')
    write("readme.md", b"# not a list")
    urls = [
        url
        for each in open_lists(root, ListOptions(input_format="auto"))
        for table in each.read()
        for url in table["url"].to_pylist()
    ]
    assert urls == ["u1", "u2", "u3"]


def test_nothing_found_says_what_is_there_and_what_to_do(place):
    write, root = place
    write("a.csv")
    write("b.csv")
    write("c.json.gz")
    with pytest.raises(
        EmptyList,
        match=r"No file found at path .* with extension parquet: there is 2 \.csv, 1 \.json\.gz\. "
        "Set input_format",
    ):
        names(root, "parquet")
    with pytest.raises(
        EmptyList, match=r"No file found at path .*absent.*no such file.*check the path"
    ):
        names(f"{root}/absent", "csv")
    with pytest.raises(EmptyList, match="No file found"):
        names(f"{root}/*.none", "csv")


def test_files_of_a_shard_set_are_no_lists_when_folders_coincide(place):
    write, root = place
    for key in (
        "list.parquet",
        "00000.parquet",
        "00000.tar",
        "00000_stats.json",
        "manifest.json",
        "mine.json",
        "00001.parquet",
    ):
        write(key)
    assert names(root, "parquet", root) == ["00001.parquet", "list.parquet"]
    assert names(root, "json", root) == ["mine.json"]
    assert names(f"{root}/*.parquet", "parquet", root) == ["00001.parquet", "list.parquet"]


def test_manifest_is_a_list_like_any_other_when_there_are_no_shards(place):
    write, root = place
    write("manifest.json")
    assert names(root, "json", root) == ["manifest.json"]


def test_format_is_asked_for_when_the_name_does_not_tell(place):
    write, root = place
    write("list")
    with pytest.raises(ConfigurationError, match="ends in one of csv, json.*, got 'list'"):
        names(f"{root}/list", "auto")


def test_relative_and_home_paths_are_resolved(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("u\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (
        "a.txt",
        "./a.txt",
        "~/a.txt",
        Path("a.txt"),
        ".",
        "*.txt",
        "file://" + str(tmp_path / "a.txt"),
        str(tmp_path) + "/",
    ):
        assert [each.name for each in open_lists(source, ListOptions())] == [
            str(tmp_path / "a.txt")
        ]


def test_equal_names_in_two_folders_are_two_lists(place):
    write, root = place
    write("x/a.txt", b"u1\n")
    write("y/a.txt", b"u2\n")
    assert names(f"{root}/*/a.txt", "txt", root) == ["x/a.txt", "y/a.txt"]


def test_list_that_vanishes_before_it_is_read_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("u\n")
    (found,) = open_lists(str(path), ListOptions())
    path.unlink()
    with pytest.raises(ObjectMissing, match=r"a\.txt"):
        list(found.read())


def test_reading_error_tells_row_and_what_to_do(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"u\n" * 10)[:-9])
    (found,) = open_lists(str(path), ListOptions())
    with pytest.raises(
        UnreadableList,
        match=r"a\.txt\.gz cannot be read as txt after row 0: .*; "
        "check that the file is complete, or correct input_",
    ):
        list(found.read())


def test_empty_source_is_refused():
    with pytest.raises(ConfigurationError, match="got an empty text"):
        open_lists("", ListOptions())


def url_columns():
    """Return columns that are no URLs, by what the error shows of them."""
    return {
        "list<element: string>": pa.array([["http://h/a"], ["http://h/b"]]),
        "struct<src: string>": pa.array([{"src": "http://h/a"}, None]),
        "int64": pa.array([17, 18]),
        "bool": pa.array([True, False]),
        "timestamp[us]": pa.array([dt.datetime(2020, 1, 1), None]),
    }


@pytest.mark.parametrize("shown", list(url_columns()))
def test_parquet_whose_urls_are_of_another_type_is_refused(tmp_path, shown):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": url_columns()[shown], "link": ["http://h/a", None]}), path)
    refusal = rf"list\.parquet: expected URLs in column 'url', got {re.escape(shown)}; set url_col"
    with pytest.raises(UnreadableList, match=refusal):
        rows_of(path)
    assert rows_of(path, url_col="link") == {"url": ["http://h/a", None]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.csv", "url,caption\n17,a\n18,b\n"),
        ("list.json", '[{"url": ["http://h/a"]}, {"url": null}]'),
        ("list.jsonl", '{"url": null}\n{"url": {"src": "http://h/a"}}\n'),
        ("list.json", '{"url": {"0": 17, "1": 18.5}}'),
        ("list.txt", "17\n18\n"),
    ],
)
def test_list_whose_urls_are_all_numbers_or_json_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UnreadableList, match=r"list.*expected URLs in column 'url', got [\[{1]"):
        rows_of(tmp_path / name)
    with pytest.raises(UnreadableList, match=r"memory: expected URLs in column 'url', got 17"):
        list(open_lists([{"url": 17}, {"url": 18}], ListOptions())[0].read())


def test_number_among_urls_is_a_row(tmp_path):
    (tmp_path / "list.jsonl").write_text('{"url": 17}\n{"url": ["x"]}\n{"url": "http://h/a"}\n')
    assert rows_of(tmp_path / "list.jsonl") == {"url": ["17", '["x"]', "http://h/a"]}


def test_column_of_a_parquet_must_be_unique(tmp_path):
    columns = [pa.array([each]) for each in ("http://h/a", "http://h/b", "c")]
    pq.write_table(pa.Table.from_arrays(columns, ["url", "url", "x"]), tmp_path / "list.parquet")
    with pytest.raises(UnreadableList, match=r"list\.parquet has more than one column 'url'"):
        rows_of(tmp_path / "list.parquet")


def rows_of(path, **options):
    (found,) = open_lists(str(path), ListOptions(input_format="auto", **options))
    return pa.concat_tables(found.read()).to_pydict()


@pytest.mark.parametrize("source", ["", "*.txt", "\udce9.txt"])
def test_file_name_that_is_not_utf8_is_refused(tmp_path, source):
    (tmp_path / "\udce9.txt").write_text("http://h/a\n")
    (tmp_path / "\udce9.other").write_text("no list\n")
    with pytest.raises(ConfigurationError, match=r"name in UTF-8, got .*\\udce9\.txt; rename"):
        open_lists(f"{tmp_path}/{source}", ListOptions())


def test_pipe_in_a_folder_is_no_list(tmp_path):
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").write_text("http://h/b\n")
    assert names(str(tmp_path), "txt", str(tmp_path)) == ["b.txt"]
    assert names(f"{tmp_path}/*.txt", "txt", str(tmp_path)) == ["b.txt"]


@pytest.mark.parametrize(
    ("key", "input_format", "is_said"),
    [
        ("a.csv", "txt", True),
        ("a.jsonl.gz", "txt", True),
        ("a.txt", "txt", False),
        ("a", "txt", False),
        ("a.csv", "csv", False),
        ("a.txt", "csv", False),
    ],
)
def test_a_list_that_is_read_as_txt_against_its_name_is_said(
    place, caplog, key, input_format, is_said
):
    write, root = place
    write(key)
    open_lists(f"{root}/{key}", ListOptions(input_format=input_format))
    assert [key in message for message in caplog.messages] == [True] * is_said
