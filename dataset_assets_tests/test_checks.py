"""Checks accept a value and return it, or name option, expectation and value."""

import math

import pytest

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (lambda value: checks.one_of("x", value, ("a", "b")), "a"),
        (lambda value: checks.integer("x", value, 1, 3), 3),
        (lambda value: checks.integer("x", value), -5),
        (lambda value: checks.number("x", value, 0.5), 0.5),
        (lambda value: checks.number("x", value), math.inf),
        (lambda value: checks.positive("x", value), 0.1),
        (lambda value: checks.boolean("x", value), False),
        (lambda value: checks.text("x", value), "a"),
        (lambda value: checks.texts("x", value), ("a", "b")),
        (lambda value: checks.texts("x", value), ()),
        (lambda value: checks.some_of("x", value, ("a", "b"), at_least=1), ("b",)),
    ],
)
def test_value_is_returned(check, value):
    assert check(value) == value


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (checks.one_of, ("ab", ("abc", "xyz")), "x: expected one of abc, xyz, got 'ab'; did you"),
        (checks.one_of, (["abc"], ("abc",)), "x: expected one of abc, got ['abc']"),
        (checks.integer, (4, 1, 3), "x: expected an integer from 1 to 3, got 4"),
        (checks.integer, (0, 1), "x: expected an integer of at least 1, got 0"),
        (checks.integer, (9, None, 3), "x: expected an integer of at most 3, got 9"),
        (checks.integer, (1.0,), "x: expected an integer, got 1.0"),
        (checks.integer, (True,), "x: expected an integer, got True"),
        (checks.number, (math.nan,), "x: expected a number, got nan"),
        (checks.number, (-1, 0), "x: expected a number of at least 0, got -1"),
        (checks.number, ("1",), "x: expected a number, got '1'"),
        (checks.positive, (0,), "x: expected a number above 0, got 0"),
        (checks.positive, (math.inf,), "x: expected a number above 0, got inf"),
        (checks.boolean, (1,), "x: expected true or false, got 1"),
        (checks.text, ("",), "x: expected text, got ''"),
        (checks.texts, ("ab",), "x: expected a list of texts, got 'ab'"),
        (checks.texts, (["a", 1],), "x: expected a list of texts, got ['a', 1]"),
        (checks.some_of, (["c"], ("a", "b")), "x: expected some of a, b, got 'c'"),
    ],
)
def test_other_value_is_refused_in_one_line(check, value, message):
    with pytest.raises(ConfigurationError) as caught:
        check("x", *value)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
