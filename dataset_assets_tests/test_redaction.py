import json

import pytest

from dataset_assets.redaction import redact


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
