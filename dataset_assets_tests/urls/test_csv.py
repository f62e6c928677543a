import csv
import io
import logging
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dataset_assets.errors import ConfigurationError, MissingColumn, UnreadableList
from dataset_assets.urls.formats.csv import Reader
from dataset_assets.urls.lists import ListOptions, Notes
from dataset_assets.urls.sources import find_files, open_lists


def read(path, **options):
    options = {"input_format": "csv", **options}
    tables = list(open_lists(str(path), ListOptions(**options))[0].read())
    return pa.concat_tables(tables).to_pydict() if tables else {}


def write(tmp_path, content):
    path = tmp_path / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


CELLS = st.lists(
    st.sampled_from(
        [
            "a",
            '"',
            '""',
            " ",
            "é",
            "\0",
            "'",
            "\t",
            "#",
            "NA",
            "\\",
            '"a,b"',
            '"x\ny"',
            '"\r\n"',
            ',"',
            '",',
            "\n",
            "\r",
        ]
    ),
    max_size=3,
).map("".join)
TEXTS = st.integers(1, 3).flatmap(
    lambda width: st.tuples(
        st.just(["u", "v", "w"][:width]),
        st.lists(
            st.tuples(
                st.lists(CELLS, min_size=width, max_size=width).map(",".join),
                st.sampled_from(["\n", "\r\n", "\r", ""]),
            ),
            max_size=5,
        ),
    )
)


@pytest.mark.parametrize("quoting", ["minimal", "none"])
@pytest.mark.parametrize("block", [1 << 20, 40])
def test_both_parsers_agree_on_every_text_that_pyarrow_accepts(
    tmp_path, monkeypatch, block, quoting
):
    """Rows of pyarrow are used until it fails, so they must equal those of the csv module."""
    monkeypatch.setattr("dataset_assets.urls.formats.csv._BLOCK", block)
    compared = []

    @settings(
        max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(TEXTS)
    @example((["u"], [('"a"b"c"', "\n")]))
    @example((["u", "v"], [('a,"x\ny"\n"",b', "")]))
    @example((["u", "v"], [('\0,"a,b""', "\n")]))
    @example((["u", "v"], [(',"a,b""\r\n"', "\n"), ('"a,b""\r\n""\r\n","a,b""\r\n""\r\n"', "\n")]))
    @example((["u", "v"], [('a,"never closed\nb,c\nd,e', "\n")]))
    def compare(text):
        names, rows = text
        path = write(
            tmp_path, "\n".join([",".join(names), "".join(row + end for row, end in rows)])
        )
        ((file, _),) = find_files(str(path), "csv")
        reader = Reader(ListOptions(input_format="csv", url_col="u", quoting=quoting))
        try:
            fast = [
                row
                for table in reader._parse_with_arrow(file, names, len(names), Notes("x"))
                for row in table.to_pylist()
            ]
        except (pa.ArrowInvalid, KeyError):
            return
        slow = [
            row
            for table in reader._parse_with_csv(file, names, Notes("x"))
            for row in table.to_pylist()
        ]
        assert fast == slow
        compared.append(len(fast))

    compare()
    assert len(compared) > 50


def test_rows_are_complete_and_in_order_when_pyarrow_gives_up_in_the_middle(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("dataset_assets.urls.formats.csv._BLOCK", 1 << 10)
    lines = [f"http://h/{n},caption {n}" for n in range(3000)]
    lines[1500] = "http://h/1500,an, unquoted comma"
    path = write(tmp_path, "url,caption\n" + "\n".join(lines))
    got = read(path, caption_col="caption")
    assert got["url"] == [None if n == 1500 else f"http://h/{n}" for n in range(3000)]
    assert got["caption"][1499:1502] == ["caption 1499", None, "caption 1501"]
    assert (
        "too many values were kept as rows without a URL: 1, the first at row 1501" in caplog.text
    )


def test_row_is_filled_up_when_it_has_too_few_values(tmp_path, caplog):
    got = read(
        write(tmp_path, "url,caption,score\na,b\nc\nd,e,1\nf,g,2,,\n"),
        caption_col="caption",
        save_additional_columns=("score",),
    )
    assert got == {
        "score": [None, None, 1, 2],
        "caption": ["b", None, "e", "g"],
        "url": ["a", "c", "d", "f"],
    }
    assert "too few values were filled with nulls: 2, the first at row 1" in caplog.text


def test_bytes_that_are_not_utf8_are_read_as_latin_1_and_noted(tmp_path, caplog):
    got = read(
        write(
            tmp_path,
            "url,caption\na,caf\xe9 d'\xe9t\xe9\n".encode("latin-1") + "b,naïve 🦊\n".encode(),
        ),
        caption_col="caption",
    )
    assert got == {"caption": ["café d'été", "naïve 🦊"], "url": ["a", "b"]}
    assert "not UTF-8 were read as Latin-1: 1, the first at row 1" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_mark_is_no_part_of_the_header(tmp_path, encoding):
    assert read(write(tmp_path, "url,caption\na,é\n".encode(encoding)), caption_col="caption") == {
        "caption": ["é"],
        "url": ["a"],
    }


def test_blank_lines_are_no_rows_and_line_ends_may_differ(tmp_path):
    assert read(write(tmp_path, "\r\n\r\nurl\r\na\r\n\r\nb\n\n\n")) == {"url": ["a", "b"]}


def test_value_of_a_megabyte_with_line_breaks_comes_back(tmp_path):
    text = io.StringIO(newline="")
    caption = 'a "quoted", text\r\nof many lines\n' * 40_000
    csv.writer(text).writerows([["url", "caption"], ["a", caption], ["b", ""]])
    assert read(write(tmp_path, text.getvalue()), caption_col="caption") == {
        "caption": [caption, ""],
        "url": ["a", "b"],
    }


def test_quote_that_is_never_closed_is_an_error_when_it_takes_rows_with_it(tmp_path):
    path = write(tmp_path, 'url,caption\na,b\nc,"d\ne,f\ng,h\n')
    with pytest.raises(
        UnreadableList, match=r"list\.csv: a quote is not closed.*set quoting to 'none'"
    ):
        read(path, caption_col="caption")
    assert read(path, quoting="none") == {"url": ["a", "c", "e", "g"]}


def test_value_without_end_is_an_error_before_memory_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr("dataset_assets.urls.formats.csv.MAX_VALUE", 10_000)
    monkeypatch.setattr("dataset_assets.urls.formats.csv._BLOCK", 5_000)
    path = write(tmp_path, 'url,caption\na,b\nc,"d\n' + "e,f\n" * 10_000)
    with pytest.raises(UnreadableList, match="field larger than field limit"):
        read(path, caption_col="caption")


def test_needed_column_must_be_unique(tmp_path):
    path = write(tmp_path, "url,x,x\na,1,2\n")
    assert read(path) == {"url": ["a"]}
    with pytest.raises(UnreadableList, match="more than one column 'x'"):
        read(path, save_additional_columns=("x",))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", " -2 ", "", "NA"], [1, -2, None, None]),
        (["1", "2.5", "nan"], [1.0, 2.5, None]),
        (["0.5", "1e-3"], [0.5, 0.001]),
        (["true", "False", ""], [True, False, None]),
        (["1", "x", ""], ["1", "x", ""]),
        (["007", "12"], ["007", "12"]),
        (["0x1F"], ["0x1F"]),
        (["1234567890123456789", "7"], [1234567890123456789, 7]),
        (["1234567890123456789", "7.5"], ["1234567890123456789", "7.5"]),
        (["99999999999999999999999"], ["99999999999999999999999"]),
        (["", "NA"], ["", "NA"]),
        (["2020-01-01"], ["2020-01-01"]),
    ],
)
def test_kept_column_gets_the_type_of_all_of_its_values(tmp_path, cells, expected):
    got = read(
        write(tmp_path, "url,x\n" + "".join(f"u,{cell}\n" for cell in cells)),
        save_additional_columns=("x",),
    )
    assert got["x"] == expected
    assert [type(value) for value in got["x"]] == [type(value) for value in expected]


def test_type_of_a_kept_column_is_known_before_the_first_row_when_it_changes_late(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("dataset_assets.urls.formats.csv._BLOCK", 1 << 10)
    path = write(
        tmp_path, "url,x\n" + "".join(f"http://h/{n},{n}\n" for n in range(2000)) + "last,word\n"
    )
    tables = list(
        open_lists(str(path), ListOptions(input_format="csv", save_additional_columns=("x",)))[
            0
        ].read()
    )
    assert len(tables) > 5
    assert all(before.schema == after.schema for before, after in pairwise(tables))
    assert pa.concat_tables(tables)["x"].to_pylist() == [*map(str, range(2000)), "word"]


def test_nothing_is_said_when_nothing_is_odd(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    read(write(tmp_path, "url,caption\na,b\n"), caption_col="caption")
    assert caplog.text == ""


FOUR = [f"http://h/{number}" for number in range(4)]


def quotes_as_text(delimiter, end="\n"):
    """Return a list of four rows in which a caption starts with a quote and another ends in one."""
    captions = ['"hello', "b", 'said "x"', 'c"']
    rows = [["url", "caption"], *map(list, zip(FOUR, captions, strict=True))]
    return "".join(delimiter.join(row) + end for row in rows).encode()


@pytest.mark.parametrize(("name", "delimiter"), [("csv", ","), ("tsv", "\t")])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_in_a_quoted_value_are_noted_and_kept_without_quoting(
    tmp_path, caplog, name, delimiter, end
):
    path = write(tmp_path, quotes_as_text(delimiter, end))
    assert read(path, input_format=name) == {"url": [FOUR[0], FOUR[3]]}
    assert "look like rows" in caplog.text
    assert "set quoting to 'none': 1, the first at row 1" in caplog.text
    caplog.clear()
    got = read(path, input_format=name, quoting="none", caption_col="caption")
    assert got == {"caption": ['"hello', "b", 'said "x"', 'c"'], "url": FOUR}
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("text", "rows", "noted"),
    [
        ('url,caption\na,"x\nb,y"', ["a"], True),  # no line break at the end
        ('caption,url\n"x,a\ny"",b\nz",c\n', ["c"], True),  # the quote is in the first column
        ('url,caption,n\na,"x, y\nand z",1\n\n\nb,w,2\n', ["a", "b"], False),  # prose
        ('url,caption\na,"x\nsee http://h/b"\nc,d,\n', ["a", "c"], True),  # a row is too long
        ("url,caption\n\n\na,b\n\n", ["a"], False),  # blank lines
        ('url,caption\na,"b\nc"\n', ["a"], False),
    ],
)
def test_value_with_line_breaks_is_noted_when_it_looks_like_rows(
    tmp_path, caplog, text, rows, noted
):
    assert read(write(tmp_path, text)) == {"url": rows}
    assert ("look like rows" in caplog.text) is noted


@pytest.mark.parametrize("odd", ["a,b,c", "a\0,b", "é,ü"])
def test_lines_are_rows_in_both_parsers_without_quoting(tmp_path, odd):
    text = f'url,caption\n"a,b\n{odd}\n"c","d""e"\n'
    got = read(write(tmp_path, text.encode()), quoting="none", caption_col="caption")
    assert got["url"][::2] == ['"a', '"c"']
    assert got["caption"][::2] == ["b", '"d""e"']


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"input_format": "tsv", "quoting": "no"}, "quoting: expected one of minimal, none"),
        ({"input_format": "tsv", "quoting": None}, "quoting: expected one of minimal, none"),
        ({"input_format": "json", "quoting": "none"}, "which is for csv and tsv; leave it out"),
    ],
)
def test_quoting_is_checked(options, problem):
    with pytest.raises(ConfigurationError, match=problem):
        ListOptions(**options)


def test_a_list_without_a_header_is_refused_without_its_passwords(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("http://user:secret@h/1.jpg?X-Amz-Signature=sign,a\nhttp://h/2.jpg,b\n")
    (found,) = open_lists(path, ListOptions(input_format="csv"))
    with pytest.raises(MissingColumn, match="begins with a URL: add a header line") as refused:
        next(iter(found.read()))
    assert "secret" not in str(refused.value)
    assert "sign," not in str(refused.value)
