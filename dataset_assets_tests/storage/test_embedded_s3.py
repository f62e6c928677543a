import logging
import os
import signal
import stat
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dataset_assets.compat.pymlutil.buckets import Connect, s3store
from dataset_assets.errors import (
    ConfigurationError,
    CredentialsRefused,
    MissingDependency,
    StorageError,
)
from dataset_assets.storage import embedded_s3 as _embedded_s3
from dataset_assets.storage.credentials import resolve
from dataset_assets.storage.embedded_s3 import EmbeddedS3

SERVE = """
import sys
from dataset_assets.storage.embedded_s3 import serve_s3
serve_s3(*sys.argv[1:], say=lambda text: print(text, flush=True))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with EmbeddedS3(tmp_path_factory.mktemp("embedded")) as server:
        server.bucket("data")
        yield server


def process_lines():
    """Return the argument lists of all processes of this machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[int(path.parent.name)] = (
                path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
        except OSError:
            continue
    return found


def servers_over(folder):
    return [line for line in process_lines().values() if str(folder) in line and "serve s3" in line]


def gone(folder, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while servers_over(folder) and time.monotonic() < end:
        time.sleep(0.05)
    return not servers_over(folder)


def test_bytes_come_back_when_a_store_is_opened_on_it(server):
    store = s3store.from_credentials(server.credentials).store("data", "some/prefix")
    store.write("a.bin", b"0123456789")
    assert store.read("a.bin", 3, 4) == b"3456"
    with store.open_read("a.bin") as file:
        assert file.read() == b"0123456789"
    assert (server.folder / "data/some/prefix/a.bin").read_bytes() == b"0123456789"


def test_other_clients_work_when_they_have_its_environment(server):
    code = """import boto3
s3 = boto3.client("s3")
s3.put_object(Bucket="data", Key="k", Body=b"0123456789")
print(s3.get_object(Bucket="data", Key="k", Range="bytes=2-4")["Body"].read())"""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    } | server.environment()
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout == "b'234'\n", result.stderr


def test_own_client_works_when_checksums_are_left_to_boto3(server, monkeypatch):
    for variable in ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"):
        monkeypatch.setenv(variable, "when_supported")
    credentials = replace(server.credentials, source="another client")
    store = s3store.from_credentials(credentials).store("data")
    store.write("checked", b"0123456789")
    assert store.read("checked", 5, 3) == b"567"


def test_server_listens_on_loopback_only_when_it_runs(server):
    port = int(server.url.rpartition(":")[2])
    assert server.url == f"http://127.0.0.1:{port}"
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [
        f"0100007F:{port:04X}"
    ]


def test_no_secret_is_seen_when_processes_are_listed(server):
    keys = server.credentials
    assert servers_over(server.folder)
    assert not [
        line
        for line in process_lines().values()
        if keys.secret_key in line or keys.access_key in line
    ]
    assert keys.secret_key not in f"{server!r} {keys!r} {server.__dict__!r}"


def test_wrong_keys_are_refused_when_they_are_used(server, caplog):
    caplog.set_level(logging.DEBUG)
    credentials = replace(server.credentials, secret_key="WRONG-SECRET", source="a test")
    with pytest.raises(CredentialsRefused, match="a test") as caught:
        s3store.from_credentials(credentials).GetObject("data", "some/prefix/a.bin")
    assert "WRONG-SECRET" not in "".join(traceback.format_exception(caught.value)) + caplog.text
    anonymous = replace(server.credentials, access_key=None, secret_key=None, anonymous=True)
    with pytest.raises(StorageError):
        s3store.from_credentials(anonymous).GetObject("data", "some/prefix/a.bin")


def test_keys_are_new_and_objects_are_kept_when_it_starts_again(tmp_path):
    with EmbeddedS3(tmp_path / "root") as first:
        s3store.from_credentials(first.credentials).MakeBucket("data")
        s3store.from_credentials(first.credentials).PutObject("data", "k", b"kept")
    assert gone(tmp_path)
    with EmbeddedS3(tmp_path / "root") as second:
        assert s3store.from_credentials(second.credentials).GetObject("data", "k") == b"kept"
    assert first.credentials.access_key != second.credentials.access_key
    assert first.credentials.secret_key != second.credentials.secret_key


def test_configuration_of_the_user_is_left_aside_when_it_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("RCLONE_ADDR", "0.0.0.0:1")
    monkeypatch.setenv("RCLONE_READ_ONLY", "true")
    with EmbeddedS3(tmp_path) as server:
        server.bucket("data")
        s3store.from_credentials(server.credentials).PutObject("data", "k", b"x")


def test_error_says_why_when_the_port_is_taken(server, tmp_path):
    with (
        pytest.raises(StorageError, match=r"has exited: .*address already in use.*; free its port"),
        EmbeddedS3(tmp_path, int(server.url[-5:])),
    ):
        pytest.fail("it started")
    assert gone(tmp_path)


def test_extra_is_named_when_rclone_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(_embedded_s3.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"dataset-assets\[s3dev\]"):
        EmbeddedS3(tmp_path)


def test_block_is_asked_for_when_it_is_not_started(tmp_path):
    with pytest.raises(ConfigurationError, match="is not started"):
        _ = EmbeddedS3(tmp_path).url


@contextmanager
def serving(tmp_path, *more):
    command = [
        sys.executable,
        "-c",
        SERVE,
        str(tmp_path / "root"),
        "0",
        str(tmp_path / "creds.yaml"),
        *more,
    ]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            said = [process.stdout.readline() for _ in range(7)]
            yield process, said
        finally:
            process.kill()


def test_stores_of_the_file_work_when_it_is_served(tmp_path):
    with serving(tmp_path) as (process, said):
        variables = dict(
            line.removeprefix("export ").strip().split("=", 1)
            for line in said
            if line.startswith("export ")
        )
        path = tmp_path / "creds.yaml"
        assert (
            stat.S_IMODE(path.stat().st_mode)
            == stat.S_IMODE((tmp_path / "creds.yaml.aws").stat().st_mode)
            == 0o600
        )
        s3, _, s3def = Connect(path)
        s3.PutObject(s3def["sets"]["dataset"]["bucket"], "data/k", b"x")
        assert resolve(None, "datasets", variables).source == "creds.yaml: store"
        entry = yaml.safe_load(path.read_text())["s3"][0]
        assert not [
            secret
            for secret in (entry["secret key"], entry["access key"])
            if secret in "".join(said)
        ]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_")
        } | variables
        code = (
            "import boto3; s3 = boto3.client('s3'); "
            "print(s3.get_object(Bucket='datasets', Key='data/k')['Body'].read())"
        )
        result = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.stdout == "b'x'\n", result.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(10) != 0
    assert gone(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]


def test_server_ends_when_the_process_that_started_it_is_killed(tmp_path):
    with serving(tmp_path) as (process, _):
        assert servers_over(tmp_path)
        process.send_signal(signal.SIGKILL)
        assert gone(tmp_path)
    with serving(tmp_path) as (_, said):  # over the files that the killed one left
        assert said[0].startswith("S3 on http://127.0.0.1:")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1])
def test_files_and_server_are_gone_when_a_signal_ends_it(tmp_path, number):
    with serving(tmp_path) as (process, _):
        process.send_signal(number)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 128 + number
        assert process.stderr.read() == ""
    assert gone(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]


def test_second_server_is_refused_when_that_of_the_file_answers(tmp_path):
    with serving(tmp_path):
        before = (tmp_path / "creds.yaml").read_text()
        with pytest.raises(
            ConfigurationError, match=r"runs on http://127.0.0.1:\d+; stop that one"
        ):
            _embedded_s3.serve_s3(tmp_path / "other", 0, tmp_path / "creds.yaml", say=print)
        assert (tmp_path / "creds.yaml").read_text() == before


def test_stale_file_is_replaced_when_another_server_has_the_port(tmp_path):
    with serving(tmp_path) as (process, said):
        port = said[0].partition("http://127.0.0.1:")[2].partition(" ")[0]
        process.kill()
        assert gone(tmp_path)
        stale = (tmp_path / "creds.yaml").read_text()
        with EmbeddedS3(tmp_path / "other", int(port)), serving(tmp_path):
            assert (tmp_path / "creds.yaml").read_text() != stale


def test_credentials_of_others_are_kept_when_the_file_exists(tmp_path):
    (tmp_path / "creds.yaml").write_text("s3: []\n")
    with pytest.raises(
        ConfigurationError, match="creds.yaml exists and holds other credentials; name another file"
    ):
        _embedded_s3.serve_s3(tmp_path / "root", 0, tmp_path / "creds.yaml", say=print)
    assert (tmp_path / "creds.yaml").read_text() == "s3: []\n"


def test_error_is_told_when_the_server_is_ended_by_another(tmp_path):
    with EmbeddedS3(tmp_path) as server:
        pid = next(
            pid
            for pid, line in process_lines().items()
            if str(tmp_path) in line and "serve s3" in line and "/bin/sh" not in line
        )
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(StorageError, match="the embedded S3 server over .* has exited"):
            server.wait()
