import pytest

from dataset_assets.fetch.engine.transfer import HeaderCheck
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause


def _refuses(*headers: str, **options: object) -> Cause | None:
    lines = [
        b"HTTP/1.1 200 OK\r\n",
        *(f"{header}\r\n".encode("latin-1") for header in headers),
        b"\r\n",
    ]
    return HeaderCheck(FetchOptions(**options)).refuses(lines)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "opted_out"),
    [
        ("noai", True),
        ("all, NOINDEX", True),
        ("bot: noai", True),
        ("Bot : noarchive, noml", True),
        ("bot2: noai", False),
        ("googlebot: noindex", False),
        ("noindex, unavailable_after: 25 Jun 2010 15:00:00 PST", True),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST", False),
        ("max-snippet: 5, noai", True),
        ("none", False),
        ("", False),
        ("noai2", False),
    ],
)
def test_directives_speak_to_us_when_they_name_nobody_or_us(value: str, opted_out: bool) -> None:
    assert _refuses(f"X-Robots-Tag: {value}", user_agent_token="Bot") == (
        Cause.OPT_OUT if opted_out else None
    )


def test_headers_are_refused_when_they_are_larger_than_allowed() -> None:
    assert _refuses("X: " + "a" * 100, max_header_bytes=100) is Cause.PROTOCOL_ERROR
    assert _refuses("X: " + "a" * 100, max_header_bytes=200) is None


def test_requests_of_robots_are_left_out_when_consent_does_not_matter() -> None:
    lines = [b"HTTP/1.1 200 OK\r\n", b"X-Robots-Tag: noindex\r\n", b"\r\n"]

    assert HeaderCheck(FetchOptions()).refuses(lines, consent=False) is None


def test_name_of_a_header_counts_only_when_it_is_whole() -> None:
    assert _refuses("Not-X-Robots-Tag: noai", "X-Note: x-robots-tag: noai") is None
