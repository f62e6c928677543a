import hashlib
import os
from dataclasses import replace
from uuid import uuid4

import pytest

from dataset_assets.archives.split_tar import check_tar
from dataset_assets.archives.tar_header import BLOCK, RECORD
from dataset_assets.storage.store import open_store
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.splits.archive_samples import (
    image_sample,
    make_sample,
    video,
    write_archive,
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return Store(str(tmp_path))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
@pytest.mark.parametrize(
    ("samples", "layout"),
    [
        ([video(i) for i in range(5)], "webdataset"),
        ([video(i) for i in range(5)], "frames"),
        ([video(0, frames=1)], "frames"),
        ([image_sample(i) for i in range(7)], "webdataset"),
        ([image_sample(i) for i in range(7)], "frames"),
        ([make_sample(f"d/{i}", [b"1", b"2"], ["txt", "json"]) for i in range(3)], "webdataset"),
    ],
)
def test_check_finds_nothing_when_an_archive_is_sound(store, name, samples, layout):
    assert check_tar(store, write_archive(store, name, samples, layout=layout)) == []


def test_check_finds_nothing_when_the_archive_is_on_another_store():
    other = open_store(f"memory://{uuid4().hex}")
    file = write_archive(other, "a/b.tar.gz", [video(0)])
    assert check_tar(other, file) == []
    assert check_tar(other, replace(file, name="a/c.tar.gz")) == ["a/c.tar.gz is missing"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bytes": 1}, "a.tar: expected 1 bytes, got 20480"),
        ({"sha256": "0" * 64}, "a.tar has changed: expected sha256 0000"),
        ({"members": 3}, "a.tar: expected 3 members, got 16"),
        ({"samples": 4}, "a.tar: expected 4 samples, got 3"),
        ({"name": "b.tar"}, "b.tar is missing"),
    ],
)
def test_check_names_archive_and_problem_when_it_is_not_what_its_record_says(
    store, change, problem
):
    file = write_archive(store, "a.tar", [video(i, frames=4 + i % 2) for i in range(3)])
    found = check_tar(store, replace(file, **change))
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_check_names_the_archive_when_it_is_cut_anywhere(store, name):
    file = write_archive(store, name, [video(i) for i in range(3)])
    data = store.read(name)
    for length in [
        *range(0, len(data), 397),
        len(data) - 1,
        len(data) - RECORD if name == "a.tar" else len(data) - 8,
    ]:
        store.write(name, data[:length])
        problems = check_tar(store, file)
        assert len(problems) == 2, length
        assert all(problem.startswith(name) for problem in problems)
        assert problems[1] == f"{name}: expected {file.bytes} bytes, got {length}"


def test_check_finds_the_change_when_one_bit_of_a_payload_differs(store):
    file = write_archive(store, "a.tar", [video(0)])
    data = bytearray(store.read("a.tar"))
    data[BLOCK + 30] ^= 1
    store.write("a.tar", bytes(data))
    assert check_tar(store, file) == [
        f"a.tar has changed: expected sha256 {file.sha256}, got {hashlib.sha256(data).hexdigest()}"
    ]


# other readers


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_webdataset_groups_samples_when_videos_have_different_numbers_of_frames(
    store, name, monkeypatch
):
    monkeypatch.setenv("WDS_SECURE", "1")
    wds = pytest.importorskip("webdataset")
    videos = [video(i) for i in range(14)]
    write_archive(store, name, videos)
    found = list(wds.WebDataset(store.locate(name), shardshuffle=False))
    assert [sample["__key__"] for sample in found] == [sample.key for sample, _ in videos]
    for read_back, (sample, payloads) in zip(found, videos, strict=True):
        frames = sorted(name for name in read_back if name.endswith(".pgm"))
        assert [read_back[frame] for frame in frames] == payloads
        assert b'"n_frames": %d' % sample.columns["n_frames"] in read_back["json"]
