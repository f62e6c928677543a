import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.archives.tar_header import BLOCK, RECORD, SHARD
from dataset_assets.archives.tar_reader import list_tar, read_tar
from dataset_assets.archives.tar_writer import TarWriter
from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.storage.stores.local import Store

MAX_SIZE = 8**11 - 1


class Staged(io.BytesIO):
    def close(self):
        pass

    def writev(self, parts):
        self.write(b"".join(parts))


def archive(members):
    staged = Staged()
    stream = TarWriter(staged, SHARD)
    offsets = stream.add(members)
    stream.finish()
    return staged.getvalue(), offsets


def read(data):
    return [
        (member.name, member.offset, member.data)
        for member in read_tar(io.BytesIO(data), "x.tar", SHARD)
    ]


def by_tarfile(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uname, info.gname = len(data), 0o444, "bigdata", "bigdata"
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=100)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(NAMES.filter(lambda name: not name.endswith("/")), st.binary(max_size=1600)),
        max_size=30,
    )
)
def test_archive_is_that_of_tarfile_when_members_are_plain(members):
    data, offsets = archive(members)
    assert len(data) % RECORD == 0
    assert data == by_tarfile(members)
    assert read(data) == [
        (name, offset, body) for (name, body), offset in zip(members, offsets, strict=True)
    ]
    assert list(list_tar(io.BytesIO(data), "x.tar", SHARD)) == [
        (name, offset, len(body)) for (name, body), offset in zip(members, offsets, strict=True)
    ]
    assert all(
        data[offset : offset + len(body)] == body
        for (_, body), offset in zip(members, offsets, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "size"), [("", 1), ("x" * 101, 1), ("é", 1), ("x", MAX_SIZE + 1), ("x", -1)]
)
def test_header_is_refused_when_it_does_not_fit_ustar(name, size):
    with pytest.raises(ConfigurationError, match="tar member"):
        SHARD.header(name, size)


def test_header_is_readable_when_a_member_is_as_large_as_can_be():
    assert (
        tarfile.TarInfo.frombuf(SHARD.header("a.bin", MAX_SIZE), "ascii", "strict").size == MAX_SIZE
    )


MEMBERS = [("1.jpg", b"a" * 700), ("1.json", b"{}"), ("2.jpg", b""), ("2.json", b"x" * BLOCK)]


@pytest.mark.parametrize("length", range(0, RECORD, 256))
def test_reading_refuses_an_archive_when_it_is_cut_anywhere(length):
    data, _ = archive(MEMBERS)
    with pytest.raises(ShardCorrupt, match=r"x\.tar: "):
        read(data[:length])


def test_reading_refuses_an_archive_when_bytes_follow_its_end():
    data, _ = archive(MEMBERS)
    for tail in (b"\1", bytes(BLOCK), bytes(RECORD), b"x" * RECORD):
        with pytest.raises(ShardCorrupt, match="end of the archive"):
            read(data + tail)


def foreign(**changes):
    info = tarfile.TarInfo("1.jpg")
    info.mode, info.uname, info.gname = 0o444, "bigdata", "bigdata"
    for name, value in changes.items():
        setattr(info, name, value)
    body = b"x" * (info.size if 0 < info.size < BLOCK else 0)
    return (
        info.tobuf(tarfile.USTAR_FORMAT)
        + body.ljust(BLOCK, b"\0")[: BLOCK * bool(body)]
        + bytes(RECORD)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc"},
        {"type": tarfile.LNKTYPE, "linkname": "x"},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.DIRTYPE},
        {"type": tarfile.XHDTYPE, "size": 30},
        {"type": tarfile.GNUTYPE_SPARSE},
        {"mode": 0o4755},
        {"mtime": 1},
        {"uid": 1000},
        {"uname": "eve"},
        {"name": "é.jpg"},
    ],
)
def test_reading_refuses_members_when_another_program_wrote_them(changes):
    with pytest.raises(ShardCorrupt, match="no valid member header at byte 0"):
        read(foreign(**changes))


@pytest.mark.parametrize(
    "size", [b"-0000000001", b"77777777777", b"+0000000001", b"00000_00001", b"0000000000x"]
)
def test_reading_refuses_members_when_their_size_is_absurd(size):
    block = bytearray(SHARD.header("1.jpg", 0))
    block[124:135] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(ShardCorrupt, match=r"byte 0|cut"):
        read(bytes(block) + bytes(RECORD))


def test_one_sample_is_one_write_when_it_has_three_members(tmp_path):
    with Store(str(tmp_path)).stage("a.tar") as staged:
        calls = []
        original = staged.writev
        staged.writev = lambda parts: (calls.append(len(parts)), original(parts))
        TarWriter(staged, SHARD).add([("1.jpg", b"x"), ("1.json", b"y"), ("1.txt", b"z")])
    assert calls == [9]
