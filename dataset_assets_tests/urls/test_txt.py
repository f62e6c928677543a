import pytest

from dataset_assets.errors import MissingColumn, UnreadableList
from dataset_assets.urls.lists import ListOptions
from dataset_assets.urls.sources import open_lists


def read(path, **options):
    return [
        url
        for table in open_lists(str(path), ListOptions(**options))[0].read()
        for url in table["url"].to_pylist()
    ]


def test_line_is_a_url_whatever_is_in_it(tmp_path):
    urls = [
        'http://h/a,b.jpg?x="1"',
        "http://h/ü.jpg",
        "http://h/\u2028line",
        "# http://h",
        '"quoted"',
        "http://h/\x0bvt",
    ]
    (tmp_path / "a.txt").write_text("\n".join(urls), encoding="utf-8")
    assert read(tmp_path / "a.txt") == urls


def test_blank_lines_are_no_rows_and_spaces_around_urls_are_dropped(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\n\r\n  b \n \n\nc\rd\n\n")
    assert read(tmp_path / "a.txt") == ["a", "b", "c", "d"]


def test_bytes_that_are_not_utf8_are_read_as_latin_1(tmp_path, caplog):
    (tmp_path / "a.txt").write_bytes("http://h/caf\xe9\nhttp://h/ok\n".encode("latin-1"))
    assert read(tmp_path / "a.txt") == ["http://h/café", "http://h/ok"]
    assert "read as Latin-1: 1, the first at row 1" in caplog.text


def test_columns_are_refused_when_a_list_has_urls_only(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(MissingColumn, match="URLs only: .*, got score, text"):
        read(tmp_path / "a.txt", caption_col="text", save_additional_columns=("score",))


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"PAR1", "parquet"),
        (b"PK\x03\x04", "zip archive or a spreadsheet"),
        (b"ARROW1\0\0", "Arrow"),
    ],
)
def test_file_that_is_no_text_is_named_for_what_it_is(tmp_path, head, what):
    (tmp_path / "a.txt").write_bytes(head + b"\n" * 100)
    with pytest.raises(
        UnreadableList, match=rf"a\.txt: expected txt, got an? {what}.*set input_format"
    ):
        read(tmp_path / "a.txt")


def test_endless_line_is_refused_before_memory_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset_assets.urls.text.MAX_LINE", 1000)
    (tmp_path / "a.txt").write_text("a\n" + "x" * 10_000)
    with pytest.raises(UnreadableList, match=r"line 2: expected at most"):
        read(tmp_path / "a.txt")
