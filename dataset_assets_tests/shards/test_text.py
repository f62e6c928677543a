import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.records.causes import Cause
from dataset_assets.shards._text import to_json, utf8, without_surrogates

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT


@given(
    st.dictionaries(TEXT, PLAIN, max_size=5)
    | st.dictionaries(TEXT, PLAIN | st.lists(PLAIN) | st.dictionaries(TEXT, PLAIN), max_size=5)
)
def test_json_is_that_of_the_standard_library_when_values_are_plain(columns):
    assert to_json(columns) == json.dumps(columns, indent=4).encode()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), "2026-01-02T03:04:05+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (Decimal("1.50"), "1.50"),
        (b"caf\xc3\xa9 \xff", "caf\u00e9 \\xff"),
        (np.array([[1, 2]]), [[1, 2]]),
        (np.float32(0.5), 0.5),
        ([np.int64(1), np.array([2.5])], [1, [2.5]]),
        (dt.timedelta(seconds=1), "0:00:01"),
        (Cause.TOO_SLOW, "too_slow"),
        ("\0", "\0"),
        ("\ud800", "\\ud800"),
        ("😀\udfff", "😀\\udfff"),
        (["\ud800", {"\udc00": 1}], ["\\ud800", {"\\udc00": 1}]),
    ],
)
def test_json_holds_any_value_when_json_has_no_type_for_it(value, expected):
    assert json.loads(to_json({"a": value})) == {"a": expected}


def test_text_is_utf8_when_it_has_lone_surrogates():
    assert utf8("é\ud83d!") == "é\\ud83d!".encode()
    assert utf8(7) == b"7"


@given(
    st.recursive(
        st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
def test_nothing_is_left_to_escape_when_surrogates_are_removed(value):
    json.dumps(without_surrogates(value), ensure_ascii=False).encode()
