"""The md5 of what was read: the right one or none, in whatever order it was read."""

import hashlib
import io
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.archives.hashed_file import HashedFile
from dataset_assets.archives.opening import open_archive
from dataset_assets_tests.staging.published import photos, tarred, zipped

MIB = 1 << 20
DATA = Random(0).randbytes(12 * MIB)


class Counted(io.BytesIO):
    """A file that knows how much was read from it."""

    bytes_read = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 12 * MIB), st.integers(0, 3 * MIB)), max_size=12))
def test_md5_is_right_or_none_when_read_in_any_order(steps):
    plain = io.BytesIO(DATA)
    with HashedFile(io.BytesIO(DATA)) as file:
        for offset, length in steps:
            assert file.seek(offset) == plain.seek(offset)
            assert file.read(length) == plain.read(length)
        assert file.hexdigest() in (None, hashlib.md5(DATA).hexdigest())


def test_md5_is_right_when_a_zip_is_walked_front_to_back_and_nothing_is_read_twice():
    data = zipped(photos(20, MIB))
    source = Counted(data)
    with HashedFile(source) as file:
        assert sum(1 for _ in open_archive(file, "a.zip").walk()) == 20
        assert file.hexdigest() == hashlib.md5(data).hexdigest()
    assert source.closed
    assert source.bytes_read < len(data) + MIB // 2  # its begin and its directory


def test_md5_is_right_when_a_packed_tar_is_walked():
    data = tarred(photos(40, 100_000), packed=True)
    with HashedFile(io.BytesIO(data)) as file:
        assert sum(1 for _ in open_archive(file, "a.tar.gz").walk()) == 40
        assert file.hexdigest() == hashlib.md5(data).hexdigest()


def test_md5_is_none_when_a_large_part_was_not_read():
    data = bytes(100 * MIB)
    with HashedFile(io.BytesIO(data)) as file:
        file.seek(80 * MIB)
        assert len(file.read()) == 20 * MIB
        assert file.hexdigest() is None


def test_md5_is_right_when_small_parts_were_passed_over():
    with HashedFile(io.BytesIO(DATA)) as file:
        for offset in range(0, 12 * MIB, MIB):
            file.seek(offset)
            file.read(10)
        assert file.hexdigest() == hashlib.md5(DATA).hexdigest()


def test_md5_is_of_what_came_last_when_bytes_are_read_again():
    class Changing(io.BytesIO):
        def read(self, size=-1):
            data = super().read(size)
            if self.tell() > 5 * MIB and not self.closed and not done:
                done.append(True)
                return b"?" * len(data)
            return data

    done: list[bool] = []
    with HashedFile(Changing(DATA)) as file:
        first = file.read(7 * MIB)
        file.seek(0, io.SEEK_END)
        file.seek(4 * MIB + 5)
        assert first + file.read() != DATA
        assert file.hexdigest() == hashlib.md5(DATA).hexdigest()
