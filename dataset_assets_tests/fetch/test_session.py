"""A session: cookies stay with their site, forms are sent once, and errors contain no secrets."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.fetch.ranges import RangeFile
from dataset_assets.fetch.session import Session, SessionOptions
from dataset_assets_tests.support.archive_server import FOREVER, ArchiveServer
from dataset_assets_tests.support.cityscapes_site import CityscapesSite
from dataset_assets_tests.support.http_server import HttpServer

PASSWORD = "pässword&=1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[CityscapesSite]:
    (tmp_path / "gtFine_trainvaltest.zip").write_bytes(b"zip" * 100_000)
    (tmp_path / "leftImg8bit_trainvaltest.zip").write_bytes(b"zap" * 100)
    with CityscapesSite(tmp_path, "me", PASSWORD) as running:
        yield running


def session(**options) -> Session:
    return Session(
        SessionOptions(**({"backoff_s": 0.001, "max_backoff_s": 0.01, "timeout_s": 0.5} | options))
    )


def logged_in(site: CityscapesSite, password: str = PASSWORD) -> tuple[Session, int]:
    visitor = session()
    assert visitor.get(f"{site.base_url}/login").status == 200
    return visitor, visitor.post_form(
        f"{site.base_url}/login", {"username": "me", "password": password, "submit": "Login"}
    ).status


def test_login_opens_the_site_when_the_password_is_right(site):
    visitor, status = logged_in(site)
    packages = {
        entry["name"]: entry["packageID"]
        for entry in json.loads(visitor.get(f"{site.base_url}/downloads/?list").text)
    }

    assert status == 302
    assert packages == {"gtFine_trainvaltest.zip": 1, "leftImg8bit_trainvaltest.zip": 2}
    assert (
        visitor.get(f"{site.base_url}/md5-sum/?packageID=2").text.split()[1]
        == "leftImg8bit_trainvaltest.zip"
    )
    with RangeFile(site.package_url("gtFine_trainvaltest.zip"), session=visitor) as file:
        assert file.read() == b"zip" * 100_000
    assert site.ranges("gtFine_trainvaltest.zip") == ["bytes=0-65535", "bytes=65536-"]


def test_login_page_comes_instead_when_the_password_is_wrong(site):
    visitor, status = logged_in(site, "wrong")
    assert status == 200
    assert b"<form>" in visitor.get(f"{site.base_url}/downloads/?list").body


def test_form_is_not_sent_to_where_a_redirect_points_when_posted(site):
    logged_in(site)
    assert [(seen.method, seen.target) for seen in site.log] == [
        ("GET", "/login"),
        ("POST", "/login"),
    ]


def test_password_is_in_no_message_when_a_form_can_not_be_sent(site):
    site.__exit__()
    visitor = session(retries=0)
    with pytest.raises(
        SourceError, match=r"/login: NewConnectionError: .*Connection refused"
    ) as caught:
        visitor.post_form(f"{site.base_url}/login", {"password": PASSWORD})
    text = f"{caught.value!r} {caught.value} {visitor!r} {vars(visitor)!r}"
    assert PASSWORD not in text
    assert "ssword%26" not in text
    assert "\n" not in str(caught.value)


def test_form_is_sent_once_when_the_site_fails():
    with (
        HttpServer() as server,
        session() as visitor,
        pytest.raises(SourceError, match="HTTP status 503"),
    ):
        visitor.post_form(server.url("/status/503"), {"a": "b"})
    assert server.requests == 1


def test_cookies_stay_with_their_host_when_redirected(site):
    with HttpServer() as other:
        there = other.url("/here", host="localhost")
        other.add("/here", b"welcome")
        visitor, _ = logged_in(site)
        site.redirect("gtFine_trainvaltest.zip", there)
        answer = visitor.get(site.package_url("gtFine_trainvaltest.zip"))

        assert (answer.url, answer.body) == (there, b"welcome")
        assert "cookie" in site.log[-1].headers
        assert "cookie" not in other.log[-1].headers


@pytest.mark.parametrize("code", [429, 500, 503])
def test_page_is_asked_for_again_when_the_server_is_overloaded(tmp_path, code):
    (tmp_path / "page").write_bytes(b"content")
    with ArchiveServer(tmp_path) as server:
        server.status("page", code, 2)
        assert session().get(server.url("page")).body == b"content"
        server.cut_after("page", 3, 2)
        assert session().get(server.url("page")).body == b"content"
        assert server.requests() == 6


@pytest.mark.parametrize("code", [400, 403, 404, 410])
def test_status_is_an_answer_when_trying_again_would_not_help(tmp_path, code):
    with ArchiveServer(tmp_path) as server:
        server.status("page", code, FOREVER)
        answer = session().get(server.url("page"))
        assert (answer.status, answer.body, answer.headers["content-length"]) == (
            code,
            b"sorry",
            "5",
        )
        assert server.requests() == 1


def test_page_is_refused_when_it_is_larger_than_pages_are():
    with (
        HttpServer() as server,
        pytest.raises(SourceError, match="the page has more than 1,000 bytes"),
    ):
        session(max_body_bytes=1000).get(server.url("/bytes/1001"))


def test_redirects_end_when_they_go_in_circles():
    with HttpServer() as server, pytest.raises(SourceError, match="redirected more than 5 times"):
        session().get(server.url("/fault/loop"))


@pytest.mark.parametrize("fault", ["to_file", "to_ftp", "to_data"])
def test_redirect_is_refused_when_it_leaves_the_web(fault):
    with HttpServer() as server, pytest.raises(SourceError, match="expected an http or https URL"):
        session().get(server.url(f"/fault/{fault}"))


@pytest.mark.parametrize("url", ["file:///etc/hostname", "nothing", "http://", "https://[::1"])
def test_url_is_refused_when_it_is_none(url):
    with pytest.raises(SourceError):
        session().get(url)


def test_host_is_told_at_once_when_there_is_none():
    pauses: list[float] = []
    with pytest.raises(SourceError, match=r"nowhere\.invalid"):
        Session(SessionOptions(retries=2), sleep=pauses.append).get("https://nowhere.invalid/")
    assert len(pauses) <= 2


def test_certificates_are_checked_and_https_is_not_left_when_secure(tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trusting = session(ca_file=str(tmp_path / "ca.pem"))
    with HttpServer(tls=context) as secure, HttpServer() as plain:
        secure.add("/page", b"secret")
        secure.add("/down", status=302, headers=[("Location", plain.url("/bytes/5"))])

        assert trusting.get(secure.url("/page")).body == b"secret"
        with pytest.raises(SourceError, match="certificate verify failed"):
            session().get(secure.url("/page"))
        with pytest.raises(SourceError, match="redirected from https to http://"):
            trusting.get(secure.url("/down"))
        assert plain.requests == 0


@pytest.mark.parametrize(
    "options", [{"timeout_s": 0}, {"retries": -1}, {"max_redirects": 1.5}, {"backoff_s": -1}]
)
def test_options_are_refused_when_they_can_not_work(options):
    with pytest.raises(ConfigurationError, match=f"{next(iter(options))}: expected"):
        SessionOptions(**options)
