import hashlib
import os
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from dataset_assets.compat.pymlutil._transfer import (
    Entry,
    copy,
    download,
    list_files,
    upload,
)
from dataset_assets.compat.pymlutil.buckets import Connect, s3store
from dataset_assets.errors import BucketMissing, ConfigurationError, SourceError, StorageError
from dataset_assets.storage.s3.client import Bucket
from dataset_assets_tests.storage.credential_files import SECRETS, filled_in
from dataset_assets_tests.support.s3_server import ACCESS_KEY, SECRET_KEY, CountingProxy


@pytest.fixture
def server(moto):
    return moto


@pytest.fixture
def s3(server):
    return s3store.from_credentials(server.credentials)


@pytest.fixture
def bucket(server):
    return server.bucket(f"b-{uuid4().hex[:12]}")


def write_files(folder, number):
    folder.mkdir()
    for index in range(number):
        (folder / f"{index:03}").write_bytes(bytes([index]) * 100)
    return folder


def test_transfers_run_side_by_side_when_every_request_takes_time(server, bucket, tmp_path):
    latency_s, number = 0.1, 48
    with CountingProxy(server.url) as proxy:
        s3 = s3store.from_credentials(replace(server.credentials, endpoint_url=proxy.url))
        s3.PutObject(bucket, "first", b"")  # what is asked once
        proxy.latency_s = latency_s
        began = time.monotonic()
        s3.PutDir(bucket, write_files(tmp_path / "from", number), "set")
        s3.GetDir(bucket, "set", tmp_path / "to")
        took_s = time.monotonic() - began
        assert took_s < number * latency_s  # half of one by one
        assert (
            sum(proxy.requests["GET", f"/{bucket}/set/{index:03}"] for index in range(number))
            == number
        )


def test_the_rest_is_not_tried_when_one_transfer_fails(server, tmp_path):
    with CountingProxy(server.url) as proxy:
        s3 = s3store.from_credentials(replace(server.credentials, endpoint_url=proxy.url))
        with pytest.raises(BucketMissing):
            s3.PutDir("no-such-bucket", write_files(tmp_path / "from", 250), "set")
        assert proxy.total < 125


def test_every_object_is_listed_when_there_are_several_pages(s3, server, bucket):
    client = server.client()
    names = [f"many/{number:05}" for number in range(1001)]
    for name in names:
        client.put_object(Bucket=bucket, Key=name, Body=b"")
    assert s3.ListObjects(bucket, "many/", recursive=True) == names
    s3.RemoveObjects(bucket, "many")
    assert s3.ListObjects(bucket, "many/", recursive=True) == []


def test_nothing_leaves_the_folder_when_a_key_points_out_of_it(s3, server, bucket, tmp_path):
    server.client().put_object(Bucket=bucket, Key="set/../../outside", Body=b"x")
    with pytest.raises(StorageError, match="expected a name below"):
        s3.GetDir(bucket, "set", tmp_path / "a/b")
    assert list(tmp_path.rglob("outside")) == []


def test_folder_markers_are_left_out_when_a_set_has_them(s3, server, bucket, tmp_path):
    for key in ("set/", "set/sub/", "set/sub/x"):
        server.client().put_object(Bucket=bucket, Key=key, Body=b"")
    assert s3.GetDir(bucket, "set", tmp_path) == 1
    s3.CloneObjects(bucket, "copy", s3, bucket, "set")
    assert s3.ListObjects(bucket, "copy", recursive=True) == ["copy/sub/x"]


@pytest.mark.parametrize(
    "entry", [Entry("k", 4, hashlib.md5(b"other").hexdigest()), Entry("k", 5, None)]
)
def test_no_file_appears_when_the_bytes_are_not_those_of_the_listing(s3, bucket, tmp_path, entry):
    s3.PutObject(bucket, "k", b"data")
    with pytest.raises(StorageError, match=f"s3://{bucket}/k differs from its listing"):
        download(s3.store(bucket), entry, tmp_path / "new", "k")
    assert os.listdir(tmp_path / "new") == []
    with pytest.raises(StorageError, match="differs"):
        copy(s3.store(bucket), entry, s3.store(bucket), "copied")
    assert s3.ListObjects(bucket) == ["k"]


def test_old_file_stays_when_its_replacement_fails(s3, bucket, tmp_path):
    (tmp_path / "k").write_bytes(b"old")
    s3.PutObject(bucket, "k", b"data")
    with pytest.raises(StorageError):
        download(s3.store(bucket), Entry("k", 5, None), tmp_path, "k")
    assert (tmp_path / "k").read_bytes() == b"old"


def test_error_names_the_object_when_its_removal_is_refused():
    class Locked(Bucket):
        def call(self, operation, where, **arguments):
            return {"Errors": [{"Key": "k1", "Code": "AccessDenied"}]}

    with pytest.raises(
        StorageError, match=r"s3://b/k1 cannot be deleted: AccessDenied \(1 of 2 refused\)"
    ):
        Locked("b").delete(["k0", "k1"], "s3://b")


def test_links_are_followed_when_they_lead_to_files(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x").write_bytes(b"x")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").symlink_to(tmp_path / "real/x")
    (folder / "sub").symlink_to(tmp_path / "real")
    assert [name for name, _ in list_files(folder)] == ["file", "sub/x"]


def test_error_names_the_entry_when_it_cannot_be_uploaded(s3, bucket, tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "z").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="expected a file to upload, got .*z, a broken link"):
        s3.PutDir(bucket, tmp_path, "set")
    (tmp_path / "z").unlink()
    os.mkfifo(tmp_path / "z")
    with pytest.raises(SourceError, match="expected a file to upload, got .*z,"):
        s3.PutDir(bucket, tmp_path, "set")
    (tmp_path / "z").unlink()
    (tmp_path / "z").symlink_to(tmp_path)
    with pytest.raises(SourceError, match="is a link to a folder that contains it"):
        s3.PutDir(bucket, tmp_path, "set")
    assert s3.ListObjects(bucket) == []


def test_error_names_the_file_when_its_name_is_not_text(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.jpg", "wb") as file:
        file.write(b"x")
    with pytest.raises(
        SourceError, match=r"expected a name in UTF-8, got .*udcff.jpg.*; rename the file"
    ):
        list_files(tmp_path)


def test_error_names_the_key_when_a_store_does_not_take_it(s3, bucket, tmp_path):
    (tmp_path / "_tmp").mkdir()
    (tmp_path / "_tmp/x").write_bytes(b"x")
    with pytest.raises(ConfigurationError, match="set/_tmp/x"):
        s3.PutDir(bucket, tmp_path, "set")


def test_error_names_the_file_when_it_is_gone(s3, bucket, tmp_path):
    with pytest.raises(SourceError, match="gone cannot be read: No such file"):
        upload(tmp_path / "gone", s3.store(bucket), "k")


@pytest.fixture
def creds(server, tmp_path):
    text = (
        filled_in(address=server.url.removeprefix("http://"))
        .replace(SECRETS[0], ACCESS_KEY)
        .replace(SECRETS[1], SECRET_KEY)
    )
    (tmp_path / "creds.yaml").write_text(text)
    return tmp_path / "creds.yaml"


def test_store_is_connected_when_the_file_is_that_of_the_readme(server, creds):
    server.bucket("imgml")
    s3, shown, s3def = Connect(credentials_filename=str(creds), s3_name="store")
    place = s3def["sets"]["dataset"]
    s3.PutDict(place["bucket"], f"{place['prefix']}/coco/class_dict.json", {"classes": 2})
    assert s3.GetDict("imgml", "data/coco/class_dict.json") == {"classes": 2}
    told = f"{s3!r} {shown} {s3def} {s3.__dict__}"
    assert not any(secret in told for secret in (ACCESS_KEY, SECRET_KEY, SECRETS[2]))
    with pytest.raises(ConfigurationError, match="'other', got store"):
        Connect(creds, "other")


def test_arguments_are_those_of_pymlutil_when_a_store_is_made_by_hand(server):
    s3 = s3store(
        server.url.removeprefix("http://"),
        ACCESS_KEY,
        SECRET_KEY,
        tls=False,
        cert_verify=False,
        cert_path=None,
        timeout=5.0,
    )
    assert s3.credentials.endpoint_url == server.url
    assert s3store("h:1", "a", "b", True).credentials.endpoint_url == "https://h:1"
    assert s3store("h:1", "a", "b", cert_path="ca.pem").credentials.verify == "ca.pem"
    assert s3store("https://h", "a", "b").credentials.endpoint_url == "https://h"
    s3.ListBuckets()
