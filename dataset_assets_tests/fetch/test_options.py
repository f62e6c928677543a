import re
from dataclasses import fields
from typing import Any

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch import options
from dataset_assets.fetch.options import FetchOptions


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_connections", 0, "an integer of at least 1"),
        ("max_connections", 2.5, "an integer of at least 1"),
        ("max_connections", True, "an integer of at least 1"),
        ("timeout_s", 0, "a number above 0"),
        ("timeout_s", float("inf"), "a number above 0"),
        ("timeout_s", "10", "a number above 0"),
        ("total_timeout_s", -1, "a number above 0"),
        ("retries", -1, "an integer of at least 0"),
        ("max_bytes", None, "an integer of at least 1"),
        ("user_agent", "two\nlines", "one line of ASCII text"),
        ("user_agent", "", "one line of ASCII text"),
        ("disallowed_directives", "noai", "a tuple of texts"),
        ("disallowed_directives", ["noai"], "a tuple of texts"),
        ("allow_private_networks", ("10.0.0.1/8",), "127.0.0.0/8"),
        ("allow_private_networks", ("local",), "127.0.0.0/8"),
        ("max_connections_per_host", 0, "an integer of at least 1"),
        ("max_requests_per_s_per_host", 0, "a number above 0"),
        ("ca_file", "/nowhere/ca.pem", "an existing PEM file"),
        ("headers", (("A", "b\r\nC: d"),), "a tuple of pairs"),
        ("headers", (("A: b", "c"),), "a tuple of pairs"),
        ("proxy", "localhost:3128", "a URL such as http://host:port"),
    ],
)
def test_message_names_the_option_and_what_it_takes_when_a_value_can_not_work(
    name: str, value: Any, expected: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name}: expected .*{re.escape(expected)}"):
        FetchOptions(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("headers", (("Authorization", "Token canary\n"),)), ("proxy", "ftp://user:canary@host:1")],
)
def test_message_keeps_secrets_when_a_value_can_not_work(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        FetchOptions(**{name: value})

    assert "canary" not in str(caught.value)


def test_every_option_is_checked() -> None:
    assert {field.name for field in fields(FetchOptions)} == set(options._CHECKS)


def test_time_of_an_attempt_is_three_timeouts_when_none_is_given() -> None:
    assert FetchOptions(timeout_s=4).attempt_timeout_s == 12
    assert FetchOptions(timeout_s=4, total_timeout_s=5).attempt_timeout_s == 5


def test_nothing_waits_without_end_when_the_time_of_an_attempt_is_infinite() -> None:
    options = FetchOptions(timeout_s=4, total_timeout_s=float("inf"))
    assert (options.attempt_timeout_s, options.wait_timeout_s) == (float("inf"), 12)
    assert FetchOptions(timeout_s=4, total_timeout_s=5).wait_timeout_s == 5


def test_robot_name_is_the_product_when_no_token_is_given() -> None:
    assert FetchOptions(user_agent="shop-bot/1.2 (+https://example.org)").robot_name == "shop-bot"
    assert FetchOptions(user_agent_token="Other").robot_name == "Other"
