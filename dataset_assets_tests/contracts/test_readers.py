"""What every list format promises. A file in `urls/formats/` is tested once `WRITERS` has it."""

import bz2
import csv
import gzip
import io
import json
import lzma
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets import registry
from dataset_assets.errors import DatasetAssetsError, ListChanged, MissingColumn, UnreadableList
from dataset_assets.urls import lists as _base
from dataset_assets.urls.lists import ListOptions
from dataset_assets.urls.sources import open_lists


def separated(rows, delimiter):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, list(rows[0]) if rows else ["URL"], delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def parquet(rows):
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, row_group_size=100)
    return sink.getvalue()


WRITERS = {
    "txt": lambda rows: "".join(row["URL"] + "\n" for row in rows).encode(),
    "csv": partial(separated, delimiter=","),
    "tsv": partial(separated, delimiter="\t"),
    "json": lambda rows: json.dumps(rows).encode(),
    "jsonl": lambda rows: "".join(
        json.dumps(row, ensure_ascii=False) + "\n" for row in rows
    ).encode(),
    "parquet": parquet,
}
COMPRESSORS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.compress,
    ".zstd": lambda data: zstandard.compress(data[:7]) + zstandard.compress(data[7:]),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
NAMES = registry.names("input_format")
WITH_COLUMNS = [name for name in NAMES if name != "txt"]
CAPTIONS = [
    "plain",
    "",
    "ünïcödé 日本語 🦊🏽",
    'quote " comma , tab \t',
    "line\nbreak and\r\nanother",
    "nul \0 inside",
    "\u202eright to left \u2028 separator",
    "x" * 1_000_000,
]


def rows_of(count):
    return [
        {
            "URL": f"http://h/{n}.jpg?a=1,2",
            "TEXT": CAPTIONS[n % len(CAPTIONS)] if n < 20 else f"caption {n}",
            "score": n / 2,
            "label": n % 10,
        }
        for n in range(count)
    ]


def read(path, name="auto", **options):
    tables = list(open_lists(str(path), ListOptions(input_format=name, **options))[0].read())
    assert len({table.schema for table in tables}) <= 1
    return pa.concat_tables(tables) if tables else None


def test_every_format_has_a_writer_here():
    assert set(WRITERS) == set(NAMES)


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("name", NAMES)
def test_rows_come_back_equal_and_in_order_when_compressed(tmp_path, name, compression):
    rows = rows_of(250)
    path = tmp_path / f"list.{name}{compression}"
    path.write_bytes(COMPRESSORS[compression](WRITERS[name](rows)))
    if name == "txt":
        assert read(path).to_pydict() == {"url": [row["URL"] for row in rows]}
        return
    table = read(
        path, url_col="URL", caption_col="TEXT", save_additional_columns=("score", "label")
    )
    assert table.column_names == ["score", "label", "caption", "url"]
    assert table.schema.types == [pa.float64(), pa.int64(), pa.string(), pa.string()]
    assert table.to_pylist() == [
        {"score": r["score"], "label": r["label"], "caption": r["TEXT"], "url": r["URL"]}
        for r in rows
    ]


@pytest.mark.parametrize("name", NAMES)
def test_first_bytes_decide_when_the_suffix_is_wrong(tmp_path, name):
    rows = rows_of(10)
    path = tmp_path / "list.dat"
    path.write_bytes(gzip.compress(WRITERS[name](rows)))
    assert read(path, name, url_col="URL")["url"].to_pylist() == [row["URL"] for row in rows]


@pytest.mark.parametrize("name", NAMES)
def test_rows_come_in_bounded_batches(tmp_path, monkeypatch, name):
    for module in ("lists", "text", "_memory", "formats.parquet"):
        monkeypatch.setattr(f"dataset_assets.urls.{module}.BATCH_ROWS", 100, raising=False)
    monkeypatch.setattr("dataset_assets.urls.formats.csv._BLOCK", 1 << 12)
    rows = [{"URL": f"http://h/{n}"} for n in range(1050)]
    path = tmp_path / f"list.{name}"
    path.write_bytes(WRITERS[name](rows))
    batches = list(open_lists(str(path), ListOptions(input_format=name, url_col="URL"))[0].read())
    assert max(batch.num_rows for batch in batches) < 400
    assert pa.concat_tables(batches)["url"].to_pylist() == [row["URL"] for row in rows]


@pytest.mark.parametrize("name", WITH_COLUMNS)
def test_missing_column_names_those_there_are_and_the_nearest(tmp_path, name):
    path = tmp_path / f"list.{name}"
    path.write_bytes(WRITERS[name](rows_of(3)))
    with pytest.raises(
        MissingColumn, match=r"no column 'url'.*URL, TEXT, score, label.*did you mean 'URL'"
    ):
        read(path, name)
    with pytest.raises(MissingColumn, match="'nothing'"):
        read(path, name, url_col="URL", save_additional_columns=("nothing",))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_read_when_the_file_has_no_rows(tmp_path, name):
    path = tmp_path / f"list.{name}"
    path.write_bytes(WRITERS[name]([]) if name != "parquet" else parquet_without_rows())
    assert read(path, name, url_col="URL") is None or read(path, name, url_col="URL").num_rows == 0
    if name != "parquet":
        path.write_bytes(b"")
        assert read(path, name, url_col="URL") is None


def parquet_without_rows():
    sink = io.BytesIO()
    pq.write_table(pa.table({"URL": pa.array([], pa.string())}), sink)
    return sink.getvalue()


@pytest.mark.parametrize("compression", [each for each in COMPRESSORS if each])
@pytest.mark.parametrize("name", NAMES)
def test_cut_file_is_refused_with_its_name_and_advice_when_compressed(tmp_path, name, compression):
    path = tmp_path / f"list.{name}{compression}"
    whole = COMPRESSORS[compression](WRITERS[name](rows_of(300)))
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UnreadableList, match=rf"list\.{name}.*check that the file is complete"):
        read(path, name, url_col="URL")


@pytest.mark.parametrize("name", ["json", "parquet"])
def test_cut_file_is_refused_when_its_format_has_an_end(tmp_path, name):
    path = tmp_path / f"list.{name}"
    path.write_bytes(WRITERS[name](rows_of(300))[:-100])
    with pytest.raises(UnreadableList, match=rf"list\.{name}.*check that the file is complete"):
        read(path, name, url_col="URL")


@pytest.mark.parametrize("content", NAMES)
@pytest.mark.parametrize("name", NAMES)
def test_file_of_another_format_is_rows_or_one_clear_error(tmp_path, name, content):
    path = tmp_path / "list"
    path.write_bytes(WRITERS[content](rows_of(30)))
    if name == content:
        return
    if name == "txt" and content not in ("parquet", "json", "jsonl"):  # their lines are no URLs
        assert read(path, name).num_rows >= 1
        return
    with pytest.raises(DatasetAssetsError, match=str(path)):
        read(path, name, url_col="URL")


@pytest.mark.parametrize("name", NAMES)
def test_random_bytes_never_raise_anything_but_our_errors(tmp_path, name):
    path = tmp_path / "list"

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.binary(max_size=200),
        st.sampled_from(
            [b"", b"URL\n", b"[", b"{", b'{"URL": ', b"PAR1", b"\x1f\x8b\x08", b"\xff\xfe", b"BZh9"]
        ),
    )
    def read_random(data, head):
        path.write_bytes(head + data)
        try:
            table = read(path, name, url_col="URL")
        except DatasetAssetsError:
            return
        if table is not None:
            table.validate(full=True)

    read_random()


@pytest.mark.parametrize("name", NAMES)
def test_list_changed_is_raised_when_the_file_is_written_to_while_read(tmp_path, name):
    path = tmp_path / f"list.{name}"
    path.write_bytes(WRITERS[name](rows_of(30)))
    tables = open_lists(str(path), ListOptions(input_format=name, url_col="URL"))[0].read()
    next(tables)
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(ListChanged, match=r"changed while it was read"):
        list(tables)


@pytest.mark.parametrize("name", NAMES)
def test_list_is_read_from_any_store_and_more_than_once(name):
    rows = rows_of(20)
    MemoryFileSystem().pipe_file(f"/readers/list.{name}.gz", gzip.compress(WRITERS[name](rows)))
    (found,) = open_lists(
        f"memory://readers/list.{name}.gz", ListOptions(input_format=name, url_col="URL")
    )
    for _ in range(2):
        assert pa.concat_tables(found.read())["url"].to_pylist() == [row["URL"] for row in rows]


@pytest.mark.parametrize("name", WITH_COLUMNS)
def test_boxes_and_hashes_have_one_type_in_every_format(tmp_path, name):
    rows = [
        {"url": f"http://h/{n}", "faces": [[0, 0.5, 1, 1]] if n % 2 else [], "digest": f"{n:032x}"}
        for n in range(10)
    ]
    if name in ("csv", "tsv"):
        rows = [{**row, "faces": json.dumps(row["faces"])} for row in rows]
    path = tmp_path / f"list.{name}"
    path.write_bytes(WRITERS[name](rows))
    table = read(path, bbox_col="faces", verify_hash_col="digest")
    assert table.schema == pa.schema(
        {"faces": pa.list_(pa.list_(pa.float64())), "digest": pa.string(), "url": pa.string()}
    )
    assert table["faces"].to_pylist() == [[[0, 0.5, 1, 1]] if n % 2 else [] for n in range(10)]
    assert table["digest"].to_pylist() == [row["digest"] for row in rows]


@pytest.mark.parametrize("name", WITH_COLUMNS)
def test_closing_early_is_clean(tmp_path, name, monkeypatch):
    monkeypatch.setattr(_base, "BATCH_ROWS", 10)
    path = tmp_path / f"list.{name}"
    path.write_bytes(WRITERS[name](rows_of(5000)))
    tables = open_lists(str(path), ListOptions(input_format=name, url_col="URL"))[0].read()
    next(tables)
    tables.close()
