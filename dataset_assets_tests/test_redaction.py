"""No secret is left in text: userinfo and signed parameters of URLs, and secrets by value."""

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.redaction import MASK, redact, scrub_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@host/a", "https://host/a"),
        ("https://user:p@ss@host/a", "https://host/a"),
        ("https://token@host/a", "https://host/a"),
        ("https://:pass@host/a", "https://host/a"),
        ("s3://key:sec/ret+x=@bucket/a", "s3://bucket/a"),
        ("sftp://u:p@h/x and http://v:q@i", "sftp://h/x and http://i"),
        ("http://host:8080/photos@large/a.jpg", "http://host:8080/photos@large/a.jpg"),
        ("http://host/a@2x.jpg", "http://host/a@2x.jpg"),
        ("github://org:repo@main/a", "github://org:repo@main/a"),
        ("mail someone@example.org", "mail someone@example.org"),
    ],
)
def test_userinfo_is_removed(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "name",
    [
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Goog-Credential",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "access_token",
        "api_key",
        "key",
        "password",
        "client_secret",
        "Policy",
        "auth",
    ],
)
def test_secret_parameter_is_masked(name):
    text = f"https://h/a?width=10&{name}=abc%2F1&height=20"
    assert redact(text) == f"https://h/a?width=10&{name}={MASK}&height=20"
    assert redact(f"GET https://h/a?{name}=abc failed") == f"GET https://h/a?{name}={MASK} failed"


def test_id_of_an_aws_key_is_masked_anywhere():
    assert redact("key ASIAFAULTYFAULTY0000 has expired") == f"key {MASK} has expired"
    assert redact("the continent ASIA, AKIA7") == "the continent ASIA, AKIA7"


@pytest.mark.parametrize("name", ["width", "keyword", "monkey", "page", "author", "design"])
def test_other_parameter_stays(name):
    assert redact(f"https://h/a?{name}=abc") == f"https://h/a?{name}=abc"


def test_named_secret_is_masked_in_every_form():
    secret = 'a/b+c "d"'
    for form in (secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]):
        assert redact(f"got {form}.", [secret, ""]) == f"got {MASK}."


def test_longer_secret_is_masked_before_one_that_is_part_of_it():
    assert redact("abcdef", ["abc", "abcdef"]) == MASK


@given(
    st.text(st.characters(exclude_characters="/?#@ \t\n", categories=["L", "N", "P"]), min_size=1)
)
def test_no_password_is_left_whatever_it_is(password):
    assert redact(f"ftp://user:{password}@host/x") == "ftp://host/x"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@host/a.csv", "https://host/a.csv"),
        ("https://token@host/a.csv", "https://host/a.csv"),
        ("ftp://user:p:a%40ss@host:21/a", "ftp://host:21/a"),
        ("simplecache::sftp://user:pass@host/a", "simplecache::sftp://host/a"),
        ("see https://user:pass@host/a and http://x:y@z/b", "see https://host/a and http://z/b"),
        (
            "abfs://container@account.dfs.core.windows.net/a",
            "abfs://container@account.dfs.core.windows.net/a",
        ),
        ("github://org:repo@main/a.csv", "github://org:repo@main/a.csv"),
        (
            "https://host/a.csv?X-Amz-Signature=abc&X-Amz-Date=1&id=7",
            "https://host/a.csv?X-Amz-Signature=***&X-Amz-Date=***&id=7",
        ),
        ("https://host/a?sig=abc%2F&design=3&monkey=1", "https://host/a?sig=***&design=3&monkey=1"),
        ("https://host/a?token=t&api_key=k&key=x", "https://host/a?token=***&api_key=***&key=***"),
        ("https://host:8080/mail/a@b.c/list.csv", "https://host:8080/mail/a@b.c/list.csv"),
        ("/data/a@b:c/list?.csv", "/data/a@b:c/list?.csv"),
    ],
)
def test_credentials_are_hidden_when_a_url_has_them(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize("form", ["SECRET/key+1", "SECRET%2Fkey%2B1"])
def test_secret_is_hidden_when_a_text_has_it_in_any_form(form):
    assert redact(f"a {form}, {form}!", ("key", "SECRET/key+1")) == "a ***, ***!"


def test_secret_is_hidden_when_json_escapes_it():
    assert redact(json.dumps({"p": 'a"b\\c'}), ('a"b\\c',)) == '{"p": "***"}'
    assert redact("text", ()) == "text" == redact("text", ("",))


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("https://user:p%40ss@h/a.jpg?w=1", "https://h/a.jpg?w=1"),
        ("https://h/a?X-Amz-Date=1&X-Amz-Signature=ab%2F", "https://h/a"),
        ("https://h/a?w=1&X-Amz-Signature=ab&h=2#top", "https://h/a?w=1&h=2#top"),
        ("https://h/a?Signature=x;w=1;sig=y", "https://h/a?w=1"),
        ("https://h/a?x-goog-credential=a&X-Goog-Signature=b#f", "https://h/a#f"),
        ("https://h/a?AWSAccessKeyId=A&Expires=1&Signature=b", "https://h/a?Expires=1"),
        ("https://a.blob/x?sv=1&sig=abc", "https://a.blob/x?sv=1"),
        ("https://h/a?access_token=x&api_key=y&password=z&w=1", "https://h/a?w=1"),
        (
            "https://h/a?key=photo&design=x&assign=1&w=",
            "https://h/a?key=photo&design=x&assign=1&w=",
        ),
        ("https://h/a@2x.jpg?", "https://h/a@2x.jpg?"),
        ("https://h/sig=1/a", "https://h/sig=1/a"),
        ("not a url", "not a url"),
    ],
)
def test_stored_url_has_no_userinfo_and_no_signature(url, stored):
    assert scrub_url(url) == stored
    assert scrub_url(stored) == stored
