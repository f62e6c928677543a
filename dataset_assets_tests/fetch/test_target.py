import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.fetch._causes import Failure
from dataset_assets.fetch._target import Target, parse
from dataset_assets.records.causes import Cause
from dataset_assets.redaction import without_userinfo


@pytest.mark.parametrize(
    ("text", "url", "authority", "site"),
    [
        ("http://a.com/x.jpg?b=1&c=%20", "http://a.com/x.jpg?b=1&c=%20", "a.com:80", "a.com"),
        ("https://a.com/x", "https://a.com/x", "a.com:443", "a.com"),
        ("  HTTPS://A.com:443/x#part \n", "https://a.com/x", "a.com:443", "a.com"),
        ("http://a.com:8080", "http://a.com:8080/", "a.com:8080", "a.com:8080"),
        ("http://a.com?q=\u00e4 b", "http://a.com/?q=%C3%A4%20b", "a.com:80", "a.com"),
        (
            "http://b\u00fccher.example/\u00fc",
            "http://xn--bcher-kva.example/%C3%BC",
            "xn--bcher-kva.example:80",
            "xn--bcher-kva.example",
        ),
        (
            "http://stra\u00dfe.de/",
            "http://xn--strae-oqa.de/",
            "xn--strae-oqa.de:80",
            "xn--strae-oqa.de",
        ),
        ("http://\uff11\uff12\uff17.0.0.1/", "http://127.0.0.1/", "127.0.0.1:80", "127.0.0.1"),
        (
            "http://[2001:DB8::1]:81/x",
            "http://[2001:db8::1]:81/x",
            "[2001:db8::1]:81",
            "[2001:db8::1]:81",
        ),
        ("http://user:p@ss@a.com/x@y", "http://user:p%40ss@a.com/x@y", "a.com:80", "a.com"),
        ("http://a.com\\@b.com/", "http://a.com%5C@b.com/", "b.com:80", "b.com"),
    ],
)
def test_url_is_made_ready_to_send_when_it_can_be(
    text: str, url: str, authority: str, site: str
) -> None:
    target = parse(text)

    assert isinstance(target, Target)
    assert (target.url, target.origin.authority, target.origin.site) == (url, authority, site)


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "0177.0.0.1", "2130706433", "%31%32%37.0.0.1"])
def test_host_is_seen_as_the_number_it_is_when_written_unusually(host: str) -> None:
    target = parse(f"http://{host}/")

    assert isinstance(target, Target)
    assert (target.origin.host, target.origin.literal) == ("127.0.0.1", True)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        *(
            (text, Cause.INVALID_URL)
            for text in (
                None,
                3,
                b"http://a/",
                "",
                " \n",
                "a.com/x",
                "http:a",
                "http://",
                "http:///x",
                "http://a b/",
            )
        ),
        *(
            (text, Cause.INVALID_URL)
            for text in (
                "http://a\tb/",
                "http://a/\nb",
                "http://a:99999/",
                "http://a:b/",
                "http://[::1",
                "http://[fe80::1%25lo]/",
            )
        ),
        *(
            (text, Cause.INVALID_URL)
            for text in (
                "http://a%00b/",
                "http://\ud800/",
                "http://a/\ud800",
                "http://" + "\u00fc" * 70 + "/",
                "http://a/" + "x" * 8190,
            )
        ),
        *(
            (text, Cause.BLOCKED_SCHEME)
            for text in (
                "file:///x",
                "ftp://a/",
                "data:,x",
                "javascript:alert(1)",
                "mailto:a@b",
                "localhost:80/x",
            )
        ),
        *(
            (text, Cause.BLOCKED_PORT)
            for text in ("http://a:22/", "https://a:6379/x", "http://a:0/")
        ),
    ],
)
def test_cause_says_why_when_a_text_is_not_fetched(text: object, cause: Cause) -> None:
    failure = parse(text)

    assert isinstance(failure, Failure)
    assert failure.cause is cause


@given(
    st.text(max_size=60)
    | st.text(max_size=30).map("http://{}".format)
    | st.text(max_size=30).map("http://a.com/{}".format)
)
def test_parsing_never_raises_when_the_text_is_anything(text: str) -> None:
    found = parse(text)

    assert isinstance(found, Failure) or (
        found.url.isascii() and found.url.isprintable() and " " not in found.url
    )
    assert isinstance(found, Failure) or isinstance(parse(found.url), Target)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("http://u:p@a/x@y", "http://a/x@y"),
        ("http://a?u@b", "http://a?u@b"),
        ("http://a/x", "http://a/x"),
        ("http://u@a", "http://a"),
    ],
)
def test_user_and_password_are_left_out_when_a_url_is_shown(url: str, safe: str) -> None:
    assert without_userinfo(url) == safe
