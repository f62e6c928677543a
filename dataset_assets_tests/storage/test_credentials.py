import dataclasses
import json
import os
import pickle
import subprocess
import sys
import traceback
from configparser import ConfigParser

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.credentials import resolve
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets_tests.storage.credential_files import (
    FSSPEC,
    SECRETS,
    TORCHDATASETUTIL,
    filled_in,
)

KEYS = {"AWS_ACCESS_KEY_ID": "env-access", "AWS_SECRET_ACCESS_KEY": "env-secret"}


@pytest.fixture
def nothing(tmp_path):
    """An environment in which nobody has configured anything."""
    return {"FSSPEC_CONFIG_DIR": str(tmp_path / "fsspec")}


@pytest.fixture
def with_file(tmp_path, nothing):
    def write(text):
        (tmp_path / "creds.yaml").write_text(text)
        return {**nothing, "DATASET_ASSETS_CREDENTIALS": str(tmp_path / "creds.yaml")}

    return write


@pytest.fixture
def with_fsspec(tmp_path, nothing):
    def write(text, name="s3.json"):
        (tmp_path / "fsspec").mkdir(exist_ok=True)
        (tmp_path / "fsspec" / name).write_text(text)
        return nothing

    return write


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    config = ConfigParser()
    config["profile lab"] = {"region": "eu-central-1"}
    with (tmp_path / "config").open("w") as file:
        config.write(file)
    for variable in [variable for variable in os.environ if variable.startswith("AWS_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def keys(credentials):
    return credentials.access_key, credentials.secret_key, credentials.session_token


def test_store_of_the_file_is_taken_when_the_url_names_it(with_file):
    found = resolve("store", "any-bucket", {**with_file(filled_in()), **KEYS})
    assert keys(found) == (*SECRETS[:2], None)
    assert (found.endpoint_url, found.source) == ("http://127.0.0.1:9000", "creds.yaml: store")


def test_store_of_the_file_is_taken_when_one_of_its_sets_has_the_bucket(with_file):
    environment = {**with_file(filled_in()), **KEYS}
    assert resolve(None, "imgml", environment).source == "creds.yaml: store"
    assert resolve(None, "other", environment).source == "environment"
    assert resolve(None, None, environment).source == "environment"


def test_name_is_asked_for_when_two_stores_have_the_bucket(with_file):
    text = filled_in(TORCHDATASETUTIL) + filled_in(TORCHDATASETUTIL, name="other").removeprefix(
        "s3:\n"
    )
    with pytest.raises(
        ConfigurationError,
        match=r"store and other both have the bucket 'imgml'; name one of them: s3://store@imgml",
    ):
        resolve(None, "imgml", with_file(text))
    assert resolve("other", "imgml", with_file(text)).source == "creds.yaml: other"


def test_variable_is_named_when_a_store_is_named_without_a_file(nothing):
    with pytest.raises(
        ConfigurationError,
        match="s3://lab@data needs the credentials file .* set DATASET_ASSETS_CREDENTIALS to its "
        "path",
    ):
        resolve("lab", "data", nothing)


def test_missing_file_is_an_error_when_the_variable_names_it(nothing):
    with pytest.raises(ConfigurationError, match="gone.yaml: expected a credentials file"):
        resolve(None, "data", {**nothing, **KEYS, "DATASET_ASSETS_CREDENTIALS": "gone.yaml"})


def test_fsspec_file_of_the_readme_is_used_when_it_is_verbatim(with_fsspec):
    found = resolve(
        None,
        "data",
        {**with_fsspec(FSSPEC), **KEYS, "AWS_SESSION_TOKEN": "env-token", "AWS_PROFILE": "none"},
    )
    assert keys(found) == ("your_user", "your_password", None)
    assert (found.endpoint_url, found.source, found.profile) == (
        "https://some_endpoint",
        "fsspec configuration",
        None,
    )


def test_fsspec_keys_are_used_when_they_are_those_of_s3fs(with_fsspec):
    options = {
        "key": "k",
        "secret": "s",
        "token": "t",
        "endpoint_url": "http://h:1",
        "client_kwargs": {"region_name": "eu-west-1", "verify": False},
    }
    options["config_kwargs"] = {"s3": {"addressing_style": "virtual"}}
    found = resolve(None, None, with_fsspec(json.dumps({"s3": options})))
    assert keys(found) == ("k", "s", "t")
    assert (found.endpoint_url, found.region, found.verify, found.addressing_style) == (
        "http://h:1",
        "eu-west-1",
        False,
        "virtual",
    )


def test_fsspec_variables_and_ini_files_are_used_when_they_are_there(with_fsspec):
    environment = with_fsspec("[s3]\nkey = ini-key\nsecret = ini-secret\n", "conf.ini")
    assert keys(resolve(None, None, environment)) == ("ini-key", "ini-secret", None)
    variables = {"FSSPEC_S3_SECRET": "12345", "FSSPEC_S3_ENDPOINT_URL": "http://h:2"}
    assert keys(resolve(None, None, {**environment, **variables})) == ("ini-key", "12345", None)
    assert resolve(None, None, {**environment, **variables}).endpoint_url == "http://h:2"


def test_fsspec_endpoint_goes_with_the_keys_of_the_environment_when_it_has_none(with_fsspec):
    found = resolve(None, None, {**with_fsspec('{"s3": {"endpoint_url": "http://h:1"}}'), **KEYS})
    assert keys(found) == ("env-access", "env-secret", None)
    assert (found.endpoint_url, found.source) == (
        "http://h:1",
        "environment, endpoint of the fsspec configuration",
    )


def test_requests_are_unsigned_when_fsspec_says_anon(with_fsspec):
    found = resolve(None, None, {**with_fsspec('{"s3": {"anon": true}}'), **KEYS})
    assert found.anonymous
    assert keys(found) == (None, None, None)


def test_fsspec_is_left_aside_when_it_says_nothing_about_access(with_fsspec):
    assert (
        resolve(
            None,
            None,
            {**with_fsspec('{"s3": {"default_block_size": 1}, "gcs": {"token": "x"}}'), **KEYS},
        ).source
        == "environment"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s3.json", '{"s3": {"secret": "SECRET/key+1" "x"}}'),
        ("s3.json", '{"s3": "SECRET/key+1"}'),
        ("s3.json", '["SECRET/key+1"]'),
        ("s3.ini", "secret = SECRET/key+1\n"),
    ],
)
def test_no_secret_is_told_when_fsspec_configuration_is_broken(with_fsspec, name, text):
    with pytest.raises(ConfigurationError, match="fsspec's configuration cannot be read") as caught:
        resolve(None, None, with_fsspec(text, name))
    assert SECRETS[1] not in "".join(traceback.format_exception(caught.value))


def test_error_is_one_line_when_the_configuration_of_the_process_is_broken(with_fsspec):
    environment = {**os.environ, **with_fsspec('{"s3": {"secret": "SECRET/key+1" "x"}}')}
    code = "from dataset_assets.storage.credentials import resolve; resolve(None, 'data')"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (
        "ConfigurationError: fsspec's configuration cannot be read"
        in result.stderr.splitlines()[-1]
    )
    assert SECRETS[1] not in result.stderr


def test_environment_is_used_when_nothing_else_is_configured(nothing):
    environment = {
        **nothing,
        **KEYS,
        "AWS_SESSION_TOKEN": "t",
        "AWS_ENDPOINT_URL": "http://a",
        "AWS_REGION": "eu-west-3",
        "AWS_CA_BUNDLE": "ca.pem",
    }
    found = resolve(None, "data", environment)
    assert keys(found) == ("env-access", "env-secret", "t")
    assert (found.endpoint_url, found.region, found.verify, found.source) == (
        "http://a",
        "eu-west-3",
        "ca.pem",
        "environment",
    )
    assert (
        resolve(None, None, {**environment, "AWS_ENDPOINT_URL_S3": "http://b"}).endpoint_url
        == "http://b"
    )


def test_half_of_a_pair_is_an_error_when_the_other_half_is_missing(nothing):
    with pytest.raises(
        ConfigurationError,
        match="environment: expected both an access key and a secret key, or none of them; the "
        "secret key",
    ):
        resolve(None, None, {**nothing, "AWS_ACCESS_KEY_ID": "x"})


def test_profile_is_used_when_it_is_named(nothing, profiles):
    found = resolve(None, None, {**nothing, "AWS_PROFILE": "lab"})
    assert (found.profile, found.source, found.region, keys(found)) == (
        "lab",
        "profile lab",
        "eu-central-1",
        (None, None, None),
    )
    assert (
        resolve(None, None, {**nothing, **KEYS, "AWS_PROFILE": "lab"}).source == "environment"
    )  # as boto3 does
    with pytest.raises(ConfigurationError, match="there is no 'lob'; the profiles are lab"):
        resolve(None, None, {**nothing, "AWS_PROFILE": "lob"})


def test_boto3_is_left_to_find_keys_when_nothing_is_configured(nothing, profiles):
    found = resolve(None, "data", nothing)
    assert keys(found) == (None, None, None)
    assert (found.source.partition(" (")[0], found.endpoint_url, found.region) == (
        "boto3's own chain",
        None,
        "us-east-1",
    )


def test_configuration_of_the_process_is_used_when_no_environment_is_given(with_fsspec):
    environment = {**os.environ, **with_fsspec(FSSPEC)}
    code = (
        "from dataset_assets.storage.credentials import resolve\n"
        "print(resolve(None, 'data').source)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout == "fsspec configuration\n", result.stderr


def test_no_secret_is_shown_when_credentials_are_shown():
    credentials = S3Credentials(
        source="x",
        access_key=SECRETS[0],
        secret_key=SECRETS[1],
        session_token=SECRETS[2],
        endpoint_url="http://h",
    )
    for shown in (repr(credentials), str(credentials), f"{[credentials]}"):
        assert not any(secret in shown for secret in SECRETS)
        assert "secret_key=***" in shown


def test_credentials_are_equal_when_they_come_back_from_another_process():
    credentials = S3Credentials(source="x", access_key="a", secret_key="b")
    assert pickle.loads(pickle.dumps(credentials)) == credentials
    assert len({credentials, dataclasses.replace(credentials)}) == 1


@pytest.mark.parametrize(
    "change", [{"addressing_style": "host"}, {"endpoint_url": "h:9000"}, {"secret_key": "b"}]
)
def test_credentials_are_refused_when_they_cannot_work(change):
    with pytest.raises(ConfigurationError, match="^x: expected"):
        S3Credentials(source="x", **change)
