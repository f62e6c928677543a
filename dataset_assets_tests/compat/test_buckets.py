import json
import os
import pickle
import urllib.request
from uuid import uuid4

import pytest
import yaml

from dataset_assets.compat.pymlutil.buckets import s3store
from dataset_assets.errors import BucketMissing, ConfigurationError, ObjectMissing, SourceError
from dataset_assets.storage.embedded_s3 import EmbeddedS3

FILES = {
    "a.txt": b"text",
    "LICENSE": b"without a dot",
    ".hidden": b"hidden",
    "empty": b"",
    "deep/er/README": b"deep",
    "deep/er.d/x.tar.gz": b"tar",
    "sp ace/\u00fc+%.jpg": b"odd",
    "big.bin": bytes(range(256)) * 4096 * 9,  # 9 MiB: several parts
}


@pytest.fixture(params=["moto", "rclone"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def s3(server):
    return s3store.from_credentials(server.credentials)


@pytest.fixture
def bucket(s3):
    name = f"b-{uuid4().hex[:12]}"
    s3.MakeBucket(name)
    return name


@pytest.fixture
def folder(tmp_path):
    for name, data in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "source"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_file_comes_back_when_a_folder_goes_and_comes(s3, bucket, folder, tmp_path):
    assert s3.PutDir(bucket, str(folder), "data/set") is True
    assert s3.ListObjects(bucket, "data/set/", recursive=True) == sorted(
        f"data/set/{name}" for name in FILES
    )
    assert s3.GetDir(bucket, "data/set", str(tmp_path / "back")) == len(FILES)
    assert contents(tmp_path / "back") == FILES


def test_folder_is_the_same_when_it_is_put_twice(s3, bucket, folder, tmp_path):
    for _ in range(2):
        s3.PutDir(bucket, f"{folder}/", "/set/")
    assert s3.GetDir(bucket, "set/", tmp_path / "back") == len(FILES)
    assert contents(tmp_path / "back") == FILES


def test_only_the_set_comes_when_another_name_begins_the_same(s3, bucket, tmp_path):
    for name in ("data/coco/a", "data/coco/x", "data/coco_test/b"):
        s3.PutObject(bucket, name, b"x")
    assert s3.GetDir(bucket, "data/coco", tmp_path) == 2
    assert sorted(contents(tmp_path)) == ["a", "x"]
    s3.RemoveObjects(bucket, "data/coco", recursive=True)
    assert s3.ListObjects(bucket, "data/", recursive=True) == ["data/coco_test/b"]


def test_file_keeps_its_name_when_it_goes_and_comes(s3, bucket, folder, tmp_path):
    assert s3.PutFile(bucket, str(folder / "LICENSE"), "set") is True
    assert s3.GetFile(bucket, "set/LICENSE", str(tmp_path / "new/licence.txt")) is True
    assert (tmp_path / "new/licence.txt").read_bytes() == FILES["LICENSE"]
    assert os.listdir(tmp_path / "new") == ["licence.txt"]


def test_names_are_listed_when_some_match(s3, bucket):
    for name in ("set/a.jpg", "set/b.png", "set/sub/c.jpg", "top"):
        s3.PutObject(bucket, name, b"x")
    assert s3.ListObjects(bucket) == ["set/", "top"]
    assert s3.ListObjects(bucket, "set/") == ["set/a.jpg", "set/b.png", "set/sub/"]
    assert s3.ListObjects(bucket, "set/", pattern="*.jpg", recursive=True) == [
        "set/a.jpg",
        "set/sub/c.jpg",
    ]
    assert s3.ListObjects(bucket, pattern=None, recursive=True) == [
        "set/a.jpg",
        "set/b.png",
        "set/sub/c.jpg",
        "top",
    ]
    assert s3.ListObjects(bucket, "none") == []


def test_objects_are_removed_when_they_match(s3, bucket):
    for name in ("set/a.jpg", "set/b.png", "set/sub/c.jpg"):
        s3.PutObject(bucket, name, b"x")
    assert s3.RemoveObjects(bucket, "set", pattern="*.jpg") is True
    assert s3.ListObjects(bucket, recursive=True) == ["set/b.png", "set/sub/c.jpg"]
    s3.RemoveObjects(bucket, "set/b.png")
    assert s3.ListObjects(bucket, recursive=True) == ["set/sub/c.jpg"]
    s3.RemoveObjects(bucket, recursive=True)
    assert s3.ListObjects(bucket, recursive=True) == []


def test_objects_come_in_the_order_of_their_names_when_many_are_read(s3, bucket):
    names = [f"o/{number:03}" for number in range(50)]
    for name in names:
        s3.PutObject(bucket, name, name.encode())
    assert s3.GetObjects(bucket, reversed(names)) == [name.encode() for name in reversed(names)]
    with pytest.raises(ObjectMissing, match="o/missing"):
        s3.GetObjects(bucket, [*names, "o/missing"])


@pytest.mark.parametrize("name", ["d/x.json", "d/x.yaml", "d/x.yml"])
def test_dictionary_comes_back_when_it_is_put(s3, bucket, name):
    value = {"classes": 2, "objects": [{"id": 1, "name": "\u00fc"}], "none": None}
    assert s3.PutDict(bucket, name, value) is True
    assert s3.GetDict(bucket, name) == value
    read = json.loads if name.endswith("json") else yaml.safe_load
    assert read(s3.GetObject(bucket, name)) == value


def test_error_names_the_object_when_a_dictionary_is_none(s3, bucket):
    s3.PutObject(bucket, "d/x.json", b"{")
    with pytest.raises(SourceError, match=rf"s3://{bucket}/d/x.json: expected json"):
        s3.GetDict(bucket, "d/x.json")
    with pytest.raises(ObjectMissing, match=r"none.yaml"):
        s3.GetDict(bucket, "none.yaml")
    for call in (lambda: s3.GetDict(bucket, "x.txt"), lambda: s3.PutDict(bucket, "x.txt", {})):
        with pytest.raises(ConfigurationError, match=r"ends in \.json, \.yaml, \.yml, got 'x.txt'"):
            call()


def test_set_is_equal_when_it_is_cloned_on_one_server(s3, bucket, folder, tmp_path):
    s3.PutDir(bucket, folder, "set")
    s3.MakeBucket(f"{bucket}-2")
    assert s3.CloneObjects(f"{bucket}-2", "copy", s3, bucket, "set") is True
    s3.GetDir(f"{bucket}-2", "copy", tmp_path / "back")
    assert contents(tmp_path / "back") == FILES
    with pytest.raises(ObjectMissing, match=f"s3://{bucket}/none"):
        s3.CloneObjects(f"{bucket}-2", "copy", s3, bucket, "none")


def test_set_is_equal_when_it_is_cloned_to_another_server(s3, bucket, folder, tmp_path):
    s3.PutDir(bucket, folder, "set")
    with EmbeddedS3(tmp_path / "other") as other:
        there = s3store.from_credentials(other.credentials)
        there.MakeBucket("copies")
        there.CloneObjects("copies", "", s3, bucket, "set")
        assert there.GetDir("copies", "", tmp_path / "back") == len(FILES)
    assert contents(tmp_path / "back") == FILES


def test_buckets_are_listed_when_they_were_made(s3, bucket):
    s3.MakeBucket(bucket)  # again
    assert bucket in [found.name for found in s3.ListBuckets()]


def test_object_is_read_by_anybody_when_its_url_is_known(s3, bucket):
    s3.PutObject(bucket, "sp ace/a", b"public")
    with urllib.request.urlopen(s3.GetUrl(bucket, "sp ace/a")) as answer:
        assert answer.read() == b"public"


def test_bucket_is_named_and_not_made_when_it_is_missing(s3, folder, tmp_path):
    calls = [
        lambda: s3.PutDir("no-such-bucket", folder, "set"),
        lambda: s3.PutFile("no-such-bucket", folder / "a.txt", "set"),
        lambda: s3.PutObject("no-such-bucket", "x", b"x"),
        lambda: s3.GetDir("no-such-bucket", "set", tmp_path / "back"),
        lambda: s3.ListObjects("no-such-bucket"),
        lambda: s3.RemoveObjects("no-such-bucket", "x"),
        lambda: s3.GetObject("no-such-bucket", "x"),
    ]
    for call in calls:
        with pytest.raises(BucketMissing, match="no-such-bucket"):
            call()
    assert "no-such-bucket" not in [found.name for found in s3.ListBuckets()]


def test_error_is_raised_when_a_source_is_missing(s3, bucket, tmp_path):
    with pytest.raises(SourceError, match="there is no .*none"):
        s3.PutDir(bucket, tmp_path / "none", "set")
    with pytest.raises(SourceError, match="there is no .*none.txt"):
        s3.PutFile(bucket, tmp_path / "none.txt", "set")
    with pytest.raises(ObjectMissing, match="none"):
        s3.GetFile(bucket, "none", tmp_path / "x")
    assert s3.GetDir(bucket, "none", tmp_path / "back") == 0


def test_store_has_the_keys_of_the_set_when_it_is_asked_for(s3, bucket):
    s3.PutObject(bucket, "data/coco/x", b"x")
    assert s3.store(bucket, "data/coco/").read("x") == b"x"
    assert s3.store(bucket).read("data/coco/x") == b"x"
    assert pickle.loads(pickle.dumps(s3)).GetObject(bucket, "data/coco/x") == b"x"
