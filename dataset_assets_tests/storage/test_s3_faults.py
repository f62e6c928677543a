"""Faults between a client and an S3 server, on a server that misbehaves on request."""

import os
import socket
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import botocore.endpoint
import pytest

from dataset_assets.errors import CredentialsRefused, DiskFull, NotWritable, StorageError
from dataset_assets.storage.s3 import client as _s3_client
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.s3.errors import translate_s3_errors
from dataset_assets.storage.s3.upload import PART_BYTES
from dataset_assets.storage.stores.s3 import Store
from dataset_assets_tests.support.s3_faults import FaultyS3

DATA = os.urandom(300_000)


@pytest.fixture
def server():
    with FaultyS3() as server:
        server.put("data/a", DATA)
        yield server


@pytest.fixture
def store(server):
    return Store("s3://data", server.credentials)


@pytest.fixture
def slept(monkeypatch):
    """What boto3 would have slept, in seconds."""
    found = []
    monkeypatch.setattr(
        botocore.endpoint, "time", SimpleNamespace(sleep=found.append, time=time.time)
    )
    return found


def test_requests_are_retried_when_the_server_is_overloaded(server, store, slept):
    server.fault("GET", "status", times=8, code=(503, "SlowDown"))
    assert store.read("a") == DATA
    assert server.count("GET") == 9
    assert sum(slept) > 5


@pytest.mark.parametrize("cuts", [[0], [1], [200_000], [299_999], [100_000, 150_000, 10, 0]])
def test_read_is_resumed_from_the_last_good_byte_when_bodies_break_off(server, store, cuts):
    for at in cuts:
        server.fault("GET", "cut", at=at)
    assert store.read("a") == DATA
    assert server.count("GET") == 1 + len(cuts)


def test_file_is_resumed_when_bodies_break_off(server, store):
    for at in (70_000, 70_000, 5):
        server.fault("GET", "cut", at=at)
    with store.open_read("a") as file:
        assert b"".join(iter(lambda: file.read(10_000), b"")) == DATA
    assert server.count("GET") == 4


def test_reading_gives_up_with_one_line_when_no_byte_comes(server):
    store = Store("s3://data", server.credentials)
    stream, slept = store._stream("a"), []
    stream._sleep = slept.append
    server.fault("GET", "cut", times=99, at=0)
    stream.open()
    with pytest.raises(
        StorageError, match=r"^s3://data/a: .*broke off 10 times at byte 0 of 300000$"
    ):
        stream.read(10)
    assert len(slept) == 9


def test_stalled_body_is_resumed_after_the_timeout(server, store, monkeypatch):
    monkeypatch.setattr(_s3_client, "_READ_TIMEOUT_S", 0.3)
    server.fault("GET", "stall", at=1000)
    fresh = Store(
        "s3://data",
        S3Credentials(
            source="fresh",
            endpoint_url=server.url,
            access_key="AKIAFRESH",
            secret_key="fresh-secret",
        ),
    )
    assert fresh.read("a") == DATA
    assert server.count("GET") == 2


@pytest.mark.parametrize(
    "read",
    [lambda store: store.read("a", 1, 200_000), lambda store: store.open_read("a").read()],
    ids=["range", "open_read"],
)
def test_no_bytes_are_mixed_when_the_object_is_replaced_meanwhile(server, store, read):
    server.fault("GET", "swap", at=100_000)
    with pytest.raises(StorageError, match="changed while being read"):
        read(store)
    assert server.count("GET") == 2
    assert store.read("a") == DATA[::-1]


def test_whole_object_is_the_new_one_when_it_is_replaced_meanwhile(server, store):
    server.fault("GET", "swap", at=100_000)
    assert store.read("a") == DATA[::-1]
    server.fault("GET", "swap", at=100_000, times=99)
    with pytest.raises(StorageError, match="changed while being read"):
        store.read("a")


def test_corrupted_body_is_read_again_when_its_etag_says_so(server, store):
    server.fault("GET", "flip")
    assert store.read("a") == DATA
    assert server.count("GET") == 2


@pytest.mark.parametrize(("start", "length"), [(0, 10), (5, 10), (299_990, 50), (1000, None)])
def test_range_is_right_when_the_server_sends_everything(server, store, start, length):
    server.fault("GET", "whole")
    assert store.read("a", start, length) == DATA[start:][:length]


def test_seeks_are_right_when_the_server_always_sends_everything(server, store):
    server.fault("GET", "whole", times=99)
    with store.open_read("a") as file:
        file.seek(-7, 2)
        assert file.read() == DATA[-7:]
        file.seek(3)
        assert file.read(4) == DATA[3:7]


@pytest.mark.parametrize("kind", ["wrong_etag", "damage"])
def test_upload_is_repeated_when_the_answer_shows_other_bytes(server, store, kind):
    server.fault("PUT", kind)
    store.write("b", DATA)
    assert server.objects["data/b"] == DATA
    assert server.count("PUT") == 2
    server.fault("PUT", kind, times=9)
    with pytest.raises(StorageError, match="stored other bytes than were sent"):
        store.write("b", DATA)


def test_part_is_repeated_when_the_answer_shows_other_bytes(server, store):
    server.fault("PUT", "damage", matching="partNumber=2")
    data = os.urandom(PART_BYTES + 100)
    store.write("b", data)
    assert server.objects["data/b"] == data
    assert server.count("PUT", "partNumber=2") == 2


def test_upload_is_completed_once_when_complete_answers_200_with_an_error(server, store, slept):
    server.fault("POST", "error_in_200", matching="uploadId=")
    data = os.urandom(PART_BYTES + 100)
    store.write("b", data)
    assert server.objects["data/b"] == data
    assert server.count("POST", "uploadId=") == 2


def test_commit_fails_and_leaves_nothing_when_complete_never_works(server, store, slept):
    server.fault("POST", "error_in_200", times=99, matching="uploadId=")
    with pytest.raises(StorageError, match="s3://data/b"):
        store.write("b", os.urandom(PART_BYTES + 1))
    assert "data/b" not in server.objects
    assert server.uploads == {}


def test_answers_that_are_lost_do_no_harm_to_writes(server, store, slept):
    server.fault("PUT", "lost")
    store.write("b", b"1")
    server.fault("PUT", "lost", matching="partNumber")
    data = os.urandom(PART_BYTES + 1)
    store.write("c", data)
    assert (server.objects["data/b"], server.objects["data/c"]) == (b"1", data)


def test_commit_says_what_to_do_when_the_upload_was_swept(server, store):
    with store.stage("b") as staged:
        staged.write(os.urandom(PART_BYTES + 1))
        staged.close()
        server.uploads.clear()
        with pytest.raises(
            StorageError, match=r"^s3://data/b: .* aborted its multipart upload; write it again$"
        ):
            staged.commit()
    assert "data/b" not in server.objects


def test_commit_succeeds_when_only_its_answer_was_lost(server, store, slept):
    data = os.urandom(PART_BYTES + 1)
    server.fault("POST", "lost", matching="uploadId=")
    store.write("b", data)
    assert server.objects["data/b"] == data
    assert server.count("POST", "uploadId=") == 2


def secrets_in(exc):
    text = "".join(traceback.format_exception(exc)) + repr(exc)
    while exc is not None:  # also what a traceback would not show
        text += repr(exc) + repr(getattr(exc, "response", ""))
        exc = exc.__cause__ or exc.__context__
    return [
        secret
        for secret in ("faulty-secret-key", "AKIAFAULTYFAULTY0000", "the-token")
        if secret in text
    ]


@pytest.mark.parametrize(
    ("status", "code", "kind", "says"),
    [
        (
            400,
            "ExpiredToken",
            CredentialsRefused,
            r"the credentials \(test\) have expired \(ExpiredToken\); get new ones",
        ),
        (
            403,
            "InvalidAccessKeyId",
            CredentialsRefused,
            r"does not know the credentials \(test\) \(InvalidAccessKeyId\)",
        ),
        (403, "SignatureDoesNotMatch", CredentialsRefused, r"does not know the credentials"),
        (403, "AccessDenied", CredentialsRefused, r"do not allow GetObject \(AccessDenied\)"),
        (507, "XMinioStorageFull", DiskFull, "no space left"),
        (403, "QuotaExceeded", DiskFull, "no space left"),
        (418, "Teapot", StorageError, r"Teapot.*\*\*\*"),
    ],
)
def test_error_is_one_line_without_secrets_when_the_server_refuses(
    server, store, status, code, kind, says
):
    server.fault(
        "GET",
        "status",
        code=(status, code),
        text="key AKIAFAULTYFAULTY0000, secret faulty-secret-key,\nStringToSign",
    )
    with pytest.raises(kind, match=f"^s3://data/a.*{says}|^{says}.*s3://data/a") as caught:
        store.read("a")
    assert "\n" not in str(caught.value)
    assert secrets_in(caught.value) == []
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_error_explained_in_a_block_has_no_secrets_either(server):
    server.fault("GET", "status", code=(403, "InvalidAccessKeyId"), text="AKIAFAULTYFAULTY0000")
    with (
        pytest.raises(CredentialsRefused) as caught,
        translate_s3_errors("s3://data/a", server.credentials),
    ):
        _s3_client.client(server.credentials).get_object(Bucket="data", Key="a")
    assert secrets_in(caught.value) == []


def test_info_says_why_when_the_server_refuses_a_head(server, store):
    server.valid_keys = set()
    with pytest.raises(CredentialsRefused, match="expired"):
        store.info("a")


def test_preflight_names_the_bucket_when_writes_are_denied(server, store):
    server.fault("PUT", "status", code=(403, "AccessDenied"))
    with pytest.raises(
        NotWritable, match=r"cannot write to the bucket 'data': .* do not allow PutObject"
    ):
        store.check_writable()


def test_expired_credentials_are_looked_up_again_when_nobody_gave_them(server, monkeypatch):
    def become(key):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-token")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)

    become("AKIAOLD")
    store = Store("s3://data")
    server.valid_keys = {"AKIAOLD"}
    assert store.read("a") == DATA
    server.valid_keys = {"AKIANEW"}
    become("AKIANEW")
    assert store.child("x").info("y") is None
    assert store.read("a") == DATA
    server.valid_keys = set()
    server.requests.clear()
    with pytest.raises(CredentialsRefused, match=r"\(environment\) have expired") as caught:
        store.read("a")
    assert len(server.requests) == 1  # the same credentials are not tried twice
    assert secrets_in(caught.value) == []


@pytest.mark.parametrize("endpoint", ["refusing", "unknown"])
def test_error_comes_soon_and_names_the_endpoint_when_no_server_is_there(endpoint):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = (
        f"http://127.0.0.1:{port}" if endpoint == "refusing" else "http://no-such-host.invalid:9000"
    )
    store = Store(
        "s3://data",
        S3Credentials(
            source="test", endpoint_url=url, access_key="AKIANOBODY", secret_key="secret"
        ),
    )
    began = time.monotonic()
    with pytest.raises(StorageError, match=f"s3://data/a: no answer from {url}") as caught:
        store.read("a")
    assert time.monotonic() - began < 15
    assert len("".join(traceback.format_exception(caught.value)).splitlines()) < 50


def test_work_goes_on_when_the_server_is_away_for_half_a_minute(server, store, slept):
    assert store.read("a", 0, 1) == DATA[:1]
    server.fault("PUT", "lost", times=9)
    store.write("b", b"1")
    assert server.objects["data/b"] == b"1"
    assert len(slept) == 9
    assert sum(slept) > 30


def test_all_threads_go_on_when_the_server_was_away(server, store, slept):
    store.info("a")
    server.fault("GET", "lost", times=60)  # boto3's own policy gives up after 35
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: store.read("a", 0, 2), range(32))) == {DATA[:2]}


def test_writing_ends_with_one_line_when_the_server_stays_away(server, store, slept):
    store.info("a")
    server.fault("PUT", "lost", times=99)
    with pytest.raises(StorageError, match=f"^s3://data/b: no answer from {server.url} "):
        store.write("b", b"1")
    assert server.count("PUT") == 10


def test_nothing_is_sent_to_another_host_when_the_server_redirects_there(server, store):
    with FaultyS3() as other:
        other.put("data/a", b"of the other")
        server.fault("GET", "redirect", text=f"{other.url}/data/a")
        with pytest.raises(StorageError, match="s3://data/a"):
            store.read("a")
        assert other.requests == []


def test_one_writer_wins_when_sixteen_race(store):
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda number: store.write_new("new", b"%d" % number), range(16)))
    assert won.count(True) == 1
    assert store.read("new") == b"%d" % won.index(True)
