import pytest

from dataset_assets.fetch.hosts.politeness import retry_after_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"5", 5),
        (b"0", 0),
        (b"9" * 400, 999_999_999_999),
        (b"Thu, 01 Jan 1970 00:02:00 GMT", 20),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"", None),
        (b"-5", None),
        (b"soon", None),
        (b"1.5", None),
        (b"\xff\xb2", None),
        (b"Thu, 99 Jan 1970 00:02:00 GMT", None),
    ],
)
def test_retry_after_is_read_when_it_says_something(value: bytes, seconds: float | None) -> None:
    assert retry_after_s(value, lambda: 100.0) == seconds
