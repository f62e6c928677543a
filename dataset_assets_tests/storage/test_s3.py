"""What is particular to S3; what every store promises is in `contracts/test_stores.py`."""

import dataclasses
import os
import threading
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from dataset_assets.errors import BucketMissing, ConfigurationError, StorageError
from dataset_assets.storage.s3 import upload as _s3_upload
from dataset_assets.storage.s3.client import Bucket
from dataset_assets.storage.s3.upload import PART_BYTES, part_bytes
from dataset_assets.storage.store import open_store
from dataset_assets.storage.stores import s3
from dataset_assets.storage.stores.s3 import Store
from dataset_assets_tests.support.s3_server import SECRET_KEY, CountingProxy


@pytest.fixture
def bucket(moto, request):
    return moto.bucket(f"b{abs(hash(request.node.name)) % 10**12}")


@pytest.fixture
def store(moto, bucket):
    return Store(f"s3://{bucket}/below", moto.credentials)


@pytest.fixture
def counted(moto, bucket):
    """A store, and what its server is asked."""
    with CountingProxy(moto.url) as proxy:
        yield (
            Store(f"s3://{bucket}", dataclasses.replace(moto.credentials, endpoint_url=proxy.url)),
            proxy,
        )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("s3a://bucket//a", "s3://bucket/a"),
        ("s3://store@my.bucket-1/a", "s3://store@my.bucket-1/a"),
        ("s3://bucket/a b/ü=1", "s3://bucket/a b/ü=1"),
    ],
)
def test_url_is_shown_in_one_form(url, shown):
    store = open_store(url)
    assert isinstance(store, Store)
    assert store.url == shown
    assert store.child("c/d").locate("e") == f"{shown}/c/d/e"


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///key",
        "s3://AKIA:hunter2hunter2@bucket/a",
        "s3://b ucket/a",
        "s3://bucket/a/../b",
        "s3://bucket/a//b",
    ],
)
def test_url_is_refused_without_showing_keys_when_it_is_another_form(url):
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_nothing_is_asked_and_no_credentials_are_needed_when_a_store_is_opened(monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_CREDENTIALS", "/nowhere/creds.yaml")
    store = open_store("s3://nobody@bucket/a").child("b")
    with pytest.raises(ConfigurationError):
        store.read("c")


def test_named_store_of_the_credentials_file_is_used(moto, bucket, monkeypatch, tmp_path):
    file = tmp_path / "creds.yaml"
    entry = (
        f"name: mine, type: trainer, address: '{moto.url}', access key: AKIAMINE, "
        f"secret key: {SECRET_KEY}, tls: false, cert verify: false"
    )
    file.write_text(f"s3:\n- {{{entry}, cert path: null}}\n")
    monkeypatch.setenv("DATASET_ASSETS_CREDENTIALS", str(file))
    open_store(f"s3://mine@{bucket}/x").write("a", b"1")
    assert Store(f"s3://{bucket}/x", moto.credentials).read("a") == b"1"


@pytest.mark.parametrize(
    "act",
    [
        lambda store: store.read("a"),
        lambda store: store.open_read("a"),
        lambda store: store.info("a"),
        lambda store: store.write("a", b"1"),
        lambda store: store.write_new("a", b"1"),
        lambda store: store.write("a", bytes(PART_BYTES + 1)),
        lambda store: list(store.list()),
        lambda store: store.check_writable(),
        lambda store: store.delete_tree(""),
        lambda store: store.sweep(0),
    ],
    ids=[
        "read",
        "open_read",
        "info",
        "write",
        "write_new",
        "multipart",
        "list",
        "check_writable",
        "delete_tree",
        "sweep",
    ],
)
@pytest.mark.parametrize("name", ["moto", "rclone"])
def test_missing_bucket_is_one_line_that_names_it_and_is_not_created(request, name, act):
    server = request.getfixturevalue(name)
    with pytest.raises(
        BucketMissing,
        match=f"^expected the bucket 'nobody-made-it' at {server.url}; there is none: create it or "
        "correct the URL s3:",
    ) as caught:
        act(Store("s3://nobody-made-it/x", server.credentials))
    assert server.credentials.secret_key not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(BucketMissing):
        act(Store("s3://nobody-made-it/x", server.credentials))


def test_requests_are_as_few_as_can_be(counted):
    store, proxy = counted
    store.write("a", b"1")
    with store.stage("b") as staged:
        staged.write(b"2")
        staged.commit()
    with store.stage("c") as staged:
        staged.write(bytes(2 * PART_BYTES + 1))
        staged.commit()
    store.read("a")
    store.read("c", 10, 10)
    with store.open_read("c") as file:
        file.read()
    store.info("absent")
    methods = Counter(method for method, _ in proxy.requests.elements())
    assert methods == {"PUT": 1 + 1 + 3, "POST": 2, "GET": 3, "HEAD": 1}


@pytest.mark.parametrize(
    ("number", "keys_per_delete"), [(105, 100), pytest.param(1050, 1000, marks=pytest.mark.slow)]
)
def test_list_is_complete_and_sorted_when_there_are_several_pages(
    moto, bucket, store, monkeypatch, number, keys_per_delete
):
    monkeypatch.setattr(s3, "KEYS_PER_DELETE", keys_per_delete)
    client, names = moto.client(), [f"{name:04d}" for name in range(number)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda name: client.put_object(Bucket=bucket, Key=f"below/d/{name}", Body=b""),
                names,
            )
        )
    client.put_object(Bucket=bucket, Key="below/d/", Body=b"")  # how consoles mark a folder
    client.put_object(Bucket=bucket, Key="below2/d", Body=b"")
    assert [info.key for info in store.list("d/")] == [f"d/{name}" for name in names]
    store.delete_tree("d")
    assert list(store.list()) == []
    assert [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]] == [
        "below2/d"
    ]


def test_deletion_names_an_object_that_stays(store, monkeypatch):
    store.write("a", b"")

    def call(operation, where, **arguments):
        answer = real(operation, where, **arguments)
        return (
            answer | {"Errors": [{"Key": "below/a", "Code": "AccessDenied"}]}
            if operation == "delete_objects"
            else answer
        )

    real = store._bucket.call
    monkeypatch.setattr(store._bucket, "call", call)
    with pytest.raises(StorageError, match=r"below/a cannot be deleted: AccessDenied \(1 of"):
        store.delete_tree("")


def uploads(moto, bucket):
    return moto.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def test_parts_stay_invisible_and_are_removed_when_an_upload_is_discarded(moto, bucket, store):
    with store.stage("a") as staged:
        staged.write(bytes(2 * PART_BYTES + 1))
        staged.close()
        assert len(uploads(moto, bucket)) == 1
        assert list(store.list()) == []
        assert store.info("a") is None
    assert uploads(moto, bucket) == []


def test_sweep_aborts_uploads_of_dead_writers(moto, bucket, store):
    left, other = store.stage("a"), Store(f"s3://{bucket}/other", moto.credentials).stage("a")
    for each in (left, other):
        each.write(bytes(PART_BYTES + 1))
        each.close()
    moto.client().put_object(Bucket=bucket, Key="below/_tmp/probe-1", Body=b"")
    assert (
        store.sweep(older_than_s=-3600) == 2
    )  # moto says of every upload that it began in 2010; for ages see the next test
    assert [item["Key"] for item in uploads(moto, bucket)] == ["other/a"]
    assert list(store._items("")) == []


class Listing(Bucket):
    """A bucket with ten uploads, begun in seconds 0 to 9, that are listed three at a time."""

    def __init__(self):
        super().__init__("b")
        self.aborted = []

    def call(self, operation, where, *, Key="", UploadId="", KeyMarker="", **_):
        if operation == "abort_multipart_upload":
            self.aborted.append((Key, UploadId))
            return {}
        first = int(KeyMarker or -1) + 1
        page = [
            {"Key": str(n), "UploadId": f"u{n}", "Initiated": datetime.fromtimestamp(n, UTC)}
            for n in range(first, min(first + 3, 10))
        ]
        return {
            "Uploads": page,
            "IsTruncated": first + 3 < 10,
            "NextKeyMarker": str(first + 2),
            "NextUploadIdMarker": "u",
        }


@pytest.mark.parametrize(("before_s", "count"), [(0, 0), (7, 7), (None, 10)])
def test_uploads_are_aborted_when_they_began_before_a_time(before_s, count):
    bucket = Listing()
    assert _s3_upload.abort_older(bucket, "", "s3://b", before_s) == count
    assert bucket.aborted == [(str(n), f"u{n}") for n in range(count)]


def test_listing_stops_when_the_server_repeats_a_page():
    class Broken(Bucket):
        def call(self, operation, where, **arguments):
            return {"IsTruncated": True, "NextContinuationToken": "same"}

    with pytest.raises(StorageError, match="s3://b: the server repeats a page"):
        list(Broken("b").list_pages("list_objects_v2", "s3://b"))


def test_parts_double_so_that_5_tib_fit():
    assert part_bytes(1) == part_bytes(1000) == 8 << 20
    assert part_bytes(1001) == 16 << 20
    assert sum(part_bytes(number) for number in range(1, 10_001)) >= 5 << 40
    assert part_bytes(10_000) <= 5 << 30


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 250])
def test_object_is_whole_at_every_size_around_a_part(store, moto, monkeypatch, size):
    if size <= 100:
        monkeypatch.setattr(
            _s3_upload, "PART_BYTES", 100
        )  # below 5 MiB moto refuses all parts but the last
        data = os.urandom(size)
    else:
        data = os.urandom(size * (PART_BYTES // 100))
    with store.stage("a") as staged:
        staged.writev(
            [
                memoryview(data)[first : first + 3_000_001]
                for first in range(0, len(data), 3_000_001)
            ]
        )
        staged.commit()
    assert staged.bytes == len(data)
    assert store.read("a") == data


def test_few_parts_are_held_when_writing_is_faster_than_sending(store, monkeypatch):
    held, gate = [], threading.Event()
    real = _s3_upload.put

    def slow(bucket, operation, where, body, **arguments):
        if operation == "upload_part":
            held.append(len(body))
            gate.wait(20)
        return real(bucket, operation, where, body, **arguments)

    monkeypatch.setattr(_s3_upload, "put", slow)
    with store.stage("a") as staged:
        writer = threading.Thread(target=lambda: staged.write(bytes(10 * PART_BYTES)))
        writer.start()
        writer.join(1)
        assert writer.is_alive()
        assert len(held) <= 4
        gate.set()
        writer.join()
        staged.commit()
    assert store.size("a") == 10 * PART_BYTES


@pytest.mark.parametrize("name", ["moto", "rclone"])
def test_capabilities_are_found_out_once_and_leave_nothing(request, name):
    server = request.getfixturevalue(name)
    bucket = server.bucket("capable")
    store = Store(f"s3://{bucket}/p", server.credentials)
    found = store.capabilities()
    assert found.range_status == {"moto": 206, "rclone": 200}[name]
    assert found.conditional_writes is (name == "moto")
    assert found.verifies_checksums is False
    assert list(store._items("")) == []
    assert store.child("x").capabilities() is found
