import io
import os
import random
import zipfile

import pytest

from dataset_assets.errors import ObjectMissing
from dataset_assets.storage.s3.read import WINDOW_BYTES
from dataset_assets.storage.stores.s3 import Store
from dataset_assets_tests.support.s3_faults import FaultyS3

DATA = random.Random(0).randbytes(6 * WINDOW_BYTES + 12345)


@pytest.fixture(scope="module")
def server():
    with FaultyS3() as server:
        server.put("data/a", DATA)
        server.put("data/empty", b"")
        yield server


@pytest.fixture
def store(server):
    server.requests.clear()
    return Store("s3://data", server.credentials)


@pytest.mark.parametrize("chunk", [1 << 12, 100_001, WINDOW_BYTES, 5 * WINDOW_BYTES, -1])
def test_front_to_back_is_one_request(server, store, chunk):
    with store.open_read("a") as file:
        assert b"".join(iter(lambda: file.read(chunk), b"")) == DATA
    assert [method for method, _ in server.requests] == ["GET"]


def test_file_reads_like_one_in_memory_when_seeks_are_random(server, store):
    chance = random.Random(1)
    with store.open_read("a") as file:
        expected = io.BytesIO(DATA)
        for _ in range(60):
            whence = chance.choice([0, 0, 1, 2])
            offset = {
                0: chance.randrange(len(DATA) + 9000),
                1: chance.randrange(-2000, 300_000),
                2: -chance.randrange(len(DATA)),
            }[whence]
            if whence == 1 and expected.tell() + offset < 0:
                continue
            assert file.seek(offset, whence) == expected.seek(offset, whence)
            size = chance.choice([0, 1, 100, 70_000, 2 * WINDOW_BYTES])
            assert file.read(size) == expected.read(size)
            assert file.tell() == expected.tell()


def test_small_steps_forward_are_read_through(server, store):
    with store.open_read("a") as file:
        for position in range(0, len(DATA), WINDOW_BYTES // 2):
            file.seek(position)
            assert file.read(10) == DATA[position : position + 10]
    assert len(server.requests) == 1


def test_end_is_fetched_without_the_rest_when_a_reader_begins_there(server, store):
    with store.open_read("a") as file:
        file.seek(-100, io.SEEK_END)
        assert file.read() == DATA[-100:]
    assert len(server.requests) == 2


def test_zip_is_read_with_few_requests(server, store):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}.bin", DATA[number * 1000 :][:50_000])
    server.put("data/zip", made.getvalue())
    with store.open_read("zip") as file, zipfile.ZipFile(file) as archive:
        for number, name in enumerate(archive.namelist()):
            assert archive.read(name) == DATA[number * 1000 :][:50_000]
    assert len(server.requests) <= 7


def test_connection_is_used_again_when_a_file_was_read_to_its_end(server, store):
    before = sockets()
    for _ in range(20):
        with store.open_read("a") as file:
            file.read()
        assert store.read("a", 5, 5) == DATA[5:10]
    assert sockets() <= before + 1


def sockets():
    return sum(path.startswith("socket:") for path in map(link, os.listdir("/proc/self/fd")))


def link(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return ""


def test_empty_object_is_empty(store):
    assert store.read("empty") == b""
    assert store.read("empty", 0, 5) == b""
    with store.open_read("empty") as file:
        assert file.read() == b""
        assert file.seek(0, 2) == 0


def test_missing_object_is_missing_when_nothing_would_be_read(store):
    with pytest.raises(ObjectMissing):
        store.read("absent", 5, 0)


def test_position_before_the_start_is_refused(store):
    with (
        store.open_read("a") as file,
        pytest.raises(ValueError, match="expected a position of 0 or more"),
    ):
        file.seek(-1)
