"""The stream reader of JSON, over text and over bytes."""

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets import json_stream
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.json_stream import JsonError, JsonStream
from dataset_assets.staging.coco_format import annotations
from dataset_assets.staging.coco_format.annotations import elements

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


def _whole(data):
    """Parse the document with `json`, as a list of (section, value)."""
    found = []
    for section, value in json.loads(data).items():
        found += (
            [(section, each) for each in value] if isinstance(value, list) else [(section, value)]
        )
    return found


@pytest.fixture(params=[1, 2, 7, 64, 1 << 22])
def _block(request, monkeypatch):
    monkeypatch.setattr(json_stream, "BLOCK", request.param)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(
    document=st.dictionaries(st.text(), VALUES, max_size=4),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 2]),
    start=st.sampled_from([b"", b"\xef\xbb\xbf", b" \n"]),
)
@pytest.mark.usefixtures("_block")
def test_elements_are_those_of_the_document_whatever_the_block_size(
    document, ascii_only, indent, start
):
    data = start + json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode() + b" \n"
    found = list(elements(data, "x.json"))
    assert [(each.section, each.value) for each in found] == _whole(
        data.strip().removeprefix(b"\xef\xbb\xbf")
    )
    assert [json.loads(data[each.start : each.end]) for each in found] == [
        each.value for each in found
    ]


GOOD = b'{"images": [{"id": 1}, {"id": 23}], "n": 12}'


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("length", range(len(GOOD)))
def test_document_is_refused_when_it_is_cut_anywhere(length):
    with pytest.raises(
        ArchiveCorrupt, match=r"x\.json: expected .* at byte .* of .*; it is truncated or damaged"
    ):
        list(elements(GOOD[:length], "x.json"))


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"[1, 2]", "'{' at byte 0"),
        (b'{"images": [1 2]}', "',' or ']' at byte 14"),
        (b'{"images": [1,]}', "a JSON value at byte 14"),
        (b'{"images" 1}', "':' at byte 10"),
        (b'{"images": 1} x', "the end at byte 14"),
        (b'{"images": [{"file_name": "\xff"}]}', "text in UTF-8 at byte 12"),
        (b'{"images": ' + b"[" * 100_000, "a JSON value at byte 12"),
        (b'{"n": ' + b"9" * 10_000 + b"}", "a JSON value at byte 6"),
        (b"{1: 2}", "a key at byte 1"),
        (b"PK\x03\x04", "'{' at byte 0"),
    ],
)
def test_place_is_named_when_the_document_is_none(data, place):
    with pytest.raises(ArchiveCorrupt, match=place):
        list(elements(data, "x.json"))


def test_element_is_refused_when_it_is_absurdly_large(monkeypatch):
    monkeypatch.setattr(annotations, "_LARGEST_ELEMENT", 1 << 16)
    monkeypatch.setattr(json_stream, "BLOCK", 1 << 10)
    with pytest.raises(ArchiveCorrupt, match="a JSON value at byte 7"):
        list(elements(b'{"x": ["' + b"a" * 1_000_000 + b'"]}', "x.json"))


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize(
    "text", ["[]", " [ ] ", "[1.5, 2e+3, 12]", r'["\ud83d\ude00\n", {"ä": []}]']
)
def test_array_of_text_is_read_with_positions_in_characters(text):
    stream = JsonStream(io.StringIO(text).read, largest=1000)
    found = list(stream.read_array())
    stream.check_end()
    assert [each.value for each in found] == json.loads(text)
    assert [json.loads(text[each.start : each.end]) for each in found] == json.loads(text)


@pytest.mark.usefixtures("_block")
def test_rest_is_what_is_left():
    stream = JsonStream(io.StringIO(' {"a": 1}').read, largest=1000)
    assert stream.peek() == "{"
    assert stream.read_rest(1000) == '{"a": 1}'


def test_error_names_position_and_text():
    stream = JsonStream(io.StringIO("[1; 2]").read, largest=1000)
    with pytest.raises(JsonError, match=r"expected ',' or ']', got '; 2]'") as caught:
        list(stream.read_array())
    assert caught.value.position == 2
