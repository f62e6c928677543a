import json

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.credentials_file import read_credentials_file
from dataset_assets_tests.storage.credential_files import (
    CITYSCAPES,
    SECRETS,
    TORCHDATASETUTIL,
    entry,
    filled_in,
)


@pytest.fixture
def written(tmp_path):
    def write(text, name="creds.yaml"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_file_of_the_readme_is_read_when_its_blanks_are_filled_in(written):
    file = read_credentials_file(written(filled_in()))
    store = file.named("store")
    assert store.credentials.endpoint_url == "http://127.0.0.1:9000"
    assert (store.credentials.access_key, store.credentials.secret_key) == SECRETS[:2]
    assert store.credentials.verify is False
    assert store.credentials.source == "creds.yaml: store"
    assert {name: (place.bucket, place.prefix) for name, place in store.sets.items()} == {
        "dataset": ("imgml", "data"),
        "trainingset": ("imgml", "training"),
        "model": ("imgml", "model"),
        "test": ("imgml", "test"),
    }
    assert file.cityscapes == ("somebody", SECRETS[2])


def test_file_of_the_readme_is_parsed_but_not_used_when_it_is_verbatim(written):
    file = read_credentials_file(written(TORCHDATASETUTIL + CITYSCAPES))
    assert [store.name for store in file.stores] == ["store"]
    with pytest.raises(
        ConfigurationError, match="it is still 'http://<address>:<port>'; fill it in"
    ):
        file.named("store")
    with pytest.raises(ConfigurationError, match="fill it in"):
        file.of_bucket("imgml")


def test_json_says_the_same_as_yaml_when_it_is_the_same(written):
    import yaml

    document = yaml.safe_load(filled_in())
    by_yaml = read_credentials_file(written(filled_in(), "a.yaml"))
    by_json = read_credentials_file(written(json.dumps(document, indent="\t"), "a.json"))
    assert by_json.stores[0].sets == by_yaml.stores[0].sets
    assert by_json.cityscapes == by_yaml.cityscapes
    assert by_json.shown == by_yaml.shown


@pytest.mark.parametrize(
    ("address", "tls", "endpoint"),
    [
        ("h:9000", False, "http://h:9000"),
        ("h:9000", True, "https://h:9000"),
        ("h:9000", ..., "http://h:9000"),
        ("https://h:9000/", ..., "https://h:9000"),
        ("https://h", True, "https://h"),
        ("http://h", False, "http://h"),
        ("[::1]:9000", False, "http://[::1]:9000"),
    ],
)
def test_endpoint_follows_from_address_and_tls_when_they_agree(written, address, tls, endpoint):
    assert (
        read_credentials_file(written(entry(address=address, tls=tls)))
        .stores[0]
        .credentials.endpoint_url
        == endpoint
    )


def test_certificates_are_those_of_cert_path_when_it_is_given(written, tmp_path):
    (tmp_path / "ca.pem").write_text("certificate")
    file = read_credentials_file(
        written(entry(cert_path=str(tmp_path / "ca.pem"), cert_verify=True))
    )
    assert file.stores[0].credentials.verify == str(tmp_path / "ca.pem")
    assert read_credentials_file(written(entry())).stores[0].credentials.verify is True


def test_keys_may_be_null_when_boto3_is_to_find_them(written):
    credentials = (
        read_credentials_file(written(entry(access_key=None, secret_key=None)))
        .stores[0]
        .credentials
    )
    assert (credentials.access_key, credentials.secret_key, credentials.anonymous) == (
        None,
        None,
        False,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            entry(address=...),
            r"s3\[0\]: expected the key 'address', got access key, name, secret key, tls; add it",
        ),
        (
            entry(secret_key=..., secret_kye=SECRETS[1]),
            r"s3\[0\]: expected the key 'secret key', got .*secret kye",
        ),
        (entry(name=...), r"s3\[0\]: expected the key 'name'"),
        (entry(address=""), r"s3\[0\]: expected 'address' to be text, got nothing"),
        (
            entry(secret_key=12345678),
            r"s3\[0\]: expected 'secret key' to be text, got a number; put it in quotes",
        ),
        (
            entry(secret_key=None),
            r"store: expected both an access key .*; the secret key is missing",
        ),
        (entry(tls="no"), r"s3\[0\]: expected 'tls' to be true or false, got text"),
        (
            entry(address="http://h", tls=True),
            "s3.0.: the address begins with http:// and 'tls' is true: these do not agree",
        ),
        (entry(address="ftp://h", tls=...), "begins with ftp://"),
        (
            entry(cert_path="missing.pem"),
            r"s3\[0\]: expected 'cert path' to be a file of certificates; there is no missing.pem",
        ),
        (entry(sets=["imgml"]), r"s3\[0\]: expected 'sets' to be keys and values, got a list"),
        (
            entry(sets={"dataset": {"prefix": "data"}}),
            r"s3\[0\].sets.dataset: expected the key 'bucket', got prefix",
        ),
        (
            entry(sets={"dataset": "imgml"}),
            r"s3\[0\].sets.dataset: expected keys and values, got text",
        ),
        ('{"s3": {"name": "store"}}', "expected 's3' to be a list, got keys and values"),
        ('{"s3": ["store"]}', r"s3\[0\]: expected keys and values, got text"),
        (
            '{"cityscapes": {"username": "x"}}',
            "cityscapes: expected the key 'password', got username",
        ),
        ("- a\n", "expected keys and values, got a list"),
        ("", "expected keys and values, got nothing"),
        (b"\xff\xfe\x00\xd8", "it is not text"),
        ("[" * 100_000, "cannot be parsed"),
        ("x" * (1 << 20) + "x", "at most 1048576 bytes"),
    ],
)
def test_error_names_file_place_and_key_when_the_file_is_wrong(written, text, expected):
    path = written(text)
    with pytest.raises(ConfigurationError, match=expected) as caught:
        read_credentials_file(path)
    assert "creds.yaml" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in SECRETS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["creds.yaml", "creds.json"])
def test_no_secret_is_told_when_the_line_with_it_cannot_be_parsed(written, name):
    broken = (
        filled_in().replace("secret key: ", "secret key: : ")
        if name == "creds.yaml"
        else entry().replace('"access key": ', "")
    )
    with pytest.raises(
        ConfigurationError, match=r"cannot be parsed in line \d+, column \d+"
    ) as caught:
        read_credentials_file(written(broken, name))
    error: BaseException | None = caught.value
    while error is not None:
        assert not any(secret in str(error) for secret in SECRETS)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_missing_file_is_named_when_it_is_read(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"none.yaml: expected a credentials file .*No such file"
    ):
        read_credentials_file(tmp_path / "none.yaml")


def test_names_are_told_apart_when_a_file_has_several_stores(written):
    first, more = (
        filled_in(TORCHDATASETUTIL),
        filled_in(TORCHDATASETUTIL, name="other", address="h:1").removeprefix("s3:\n"),
    )
    file = read_credentials_file(written(first + more))
    assert file.named("other").credentials.endpoint_url == "http://h:1"
    with pytest.raises(
        ConfigurationError,
        match="expected an entry of s3 with the name 'third', got store, other",
    ):
        file.named("third")
    with pytest.raises(ConfigurationError, match="store is there twice"):
        read_credentials_file(written(first + first.removeprefix("s3:\n")))


def test_no_secret_is_shown_when_a_file_is_shown(written):
    file = read_credentials_file(written(filled_in()))
    shown = f"{file!r} {file} {file.shown} {file.stores[0].shown} {file.stores[0]!r}"
    assert not any(secret in shown for secret in SECRETS)
    assert file.shown["s3"][0]["sets"]["dataset"]["bucket"] == "imgml"
    assert file.shown["cityscapes"] == {"username": "somebody"}
