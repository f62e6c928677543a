import gzip
import hashlib
import io
import os
import random
import sys
import tarfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.archives.split_tar import check_tar, read_split_tar
from dataset_assets.archives.tar_header import BLOCK, RECORD, SPLIT
from dataset_assets.archives.tar_reader import list_tar
from dataset_assets.archives.tar_writer import TarWriter, stored_bytes
from dataset_assets.errors import ConfigurationError, ShardCorrupt, StorageError
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.splits.archive_samples import by_tarfile, make_sample, write_archive
from dataset_assets_tests.support.failing_store import FailingStore, raise_at

KINDS = ("tar", "tar.gz")
MEMBERS = [
    ("rec/cam.0000.pgm", random.Random(1).randbytes(700)),
    ("rec/cam.0001.pgm", b""),
    (f"{'long/' * 30}frame.pgm", b"p" * BLOCK),
    ("Ärger/名前.json", b"{}"),
]


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    return Store(str(tmp_path))


def write(store, kind, members=MEMBERS):
    with TarWriter(store.stage(f"x.{kind}"), SPLIT, kind) as writer:
        writer.add(members)
        size, sha256, count = writer.commit()
    data = store.read(f"x.{kind}")
    assert (size, sha256, count) == (len(data), hashlib.sha256(data).hexdigest(), len(members))
    return data


def read(data, kind="tar"):
    return [(name, data) for name, _, data in read_split_tar(io.BytesIO(data), "x", kind)]


# writing


@pytest.mark.parametrize("kind", KINDS)
def test_archive_is_what_python_itself_writes_when_members_are_plain_long_or_beyond_ascii(
    store, kind
):
    data = write(store, kind)
    assert data == by_tarfile(MEMBERS, kind)
    assert read(data, kind) == MEMBERS


def test_members_are_listed_without_their_data_when_asked_for(store):
    data = write(store, "tar")
    listed = list(list_tar(io.BytesIO(data), "x", SPLIT))
    found = [(name, data[offset : offset + size]) for name, offset, size in listed]
    assert found == MEMBERS


NAME_PARTS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\\/"),
    min_size=1,
    max_size=60,
).filter(lambda part: not part.startswith((".", "__")))
NAMES = st.lists(NAME_PARTS, min_size=1, max_size=5).map("/".join)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=1600), max_size=15), st.sampled_from(KINDS))
def test_members_come_back_when_names_and_data_are_anything(tmp_path_factory, members, kind):
    data = write(Store(str(tmp_path_factory.mktemp("store"))), kind, list(members.items()))
    assert data == by_tarfile(list(members.items()), kind)
    assert read(data, kind) == list(members.items())


@pytest.mark.parametrize("kind", KINDS)
def test_archive_is_the_same_when_samples_are_added_one_by_one(store, kind):
    expected = write(store, kind)
    with TarWriter(store.stage("again"), SPLIT, kind) as writer:
        for member in MEMBERS:
            writer.add([member])
        writer.commit()
    assert store.read("again") == expected


def test_header_says_so_in_an_extension_when_a_member_is_beyond_8_gib():
    blocks = SPLIT.header("a/b.bin", 9 * 2**30)
    info = tarfile.TarInfo("a/b.bin")
    info.size = 9 * 2**30
    assert blocks == info.tobuf(tarfile.PAX_FORMAT)
    assert SPLIT.parse(blocks) == ("a/b.bin", 9 * 2**30)
    assert stored_bytes("a/b.bin", 9 * 2**30 + 1) == len(blocks) + 9 * 2**30 + BLOCK


@pytest.mark.parametrize("size", range(85, 115))
def test_name_comes_back_when_the_length_of_its_record_gains_a_digit(size):
    name = "x" * size
    assert SPLIT.parse(SPLIT.header(name, 5)) == (name, 5)


UNSAFE = [
    "",
    "/etc/passwd",
    "../x",
    "a/../x",
    "a/./x",
    "a//x",
    "a/",
    ".x",
    "a/.hidden",
    "__x",
    "a/__MACOSX/x",
    "a\\x",
    "a\nb",
    "a\x7f",
    "\ud800",
]
TOO_LONG = ["x" * 256, "/".join(["x" * 200] * 25)]


@pytest.mark.parametrize("name", UNSAFE + TOO_LONG)
def test_writing_refuses_a_name_when_it_is_not_safe(store, name):
    with TarWriter(store.stage("x.tar"), SPLIT) as writer:
        with pytest.raises(ConfigurationError, match="member name: expected"):
            writer.add([("good.txt", b"1"), (name, b"2")])
        writer.add([("good.txt", b"1")])  # nothing of the refused sample was written
        writer.commit()
    assert read(store.read("x.tar")) == [("good.txt", b"1")]


@pytest.mark.parametrize("second", [[("a", b"")], [("b", b""), ("b", b"")]])
def test_writing_refuses_a_name_when_it_is_there_already(store, second):
    with TarWriter(store.stage("x.tar"), SPLIT) as writer:
        writer.add([("a", b"")])
        with pytest.raises(ConfigurationError, match="expected unique member names"):
            writer.add(second)


def test_writer_is_refused_when_the_kind_is_unknown(store):
    with pytest.raises(ConfigurationError, match="expected one of tar, tar.gz, got 'bz2'"):
        TarWriter(store.stage("x.tar"), SPLIT, "bz2")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays_when_writing_fails(store, kind):
    failing = FailingStore(store, raise_at(2, StorageError("disk")))
    with pytest.raises(StorageError, match="disk"):
        write(failing, kind)
    assert not any(entry for entry in store.root.rglob("*") if entry.is_file())


# reading what is damaged


@pytest.mark.parametrize("kind", KINDS)
def test_reading_refuses_an_archive_when_it_is_cut_at_any_byte(store, kind):
    data = write(store, kind)
    lengths = (
        set(range(0, len(data), 100))
        | set(range(0, len(data), BLOCK))
        | set(range(len(data) - 12, len(data)))
    )
    for length in sorted(lengths):
        with pytest.raises(ShardCorrupt, match=r"^x: "):
            read(data[:length], kind)


def cut_points():
    """Where the second member starts and ends in the plain tar."""
    start = stored_bytes(*_sized(MEMBERS[0]))
    end = sum(stored_bytes(*_sized(member)) for member in MEMBERS)
    return {
        "where a member or the end should start": [0, 100, start, start + 100, end],
        "in the data of member 'rec/cam.0000.pgm'": [BLOCK, BLOCK + 300],
        "after the data of member 'rec/cam.0000.pgm'": [BLOCK + 700, BLOCK + 800],
        "in a member's header": [start + BLOCK + BLOCK, start + BLOCK + 2 * BLOCK + 10],
        "the end of the archive": [end + BLOCK, end + 2 * BLOCK],
    }


def _sized(member):
    return member[0], len(member[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("where", "length"),
    [(where, length) for where, lengths in cut_points().items() for length in lengths],
)
def test_reading_says_where_when_an_archive_was_cut_before_it_was_packed(
    store, kind, where, length
):
    data = write(store, "tar")[:length]
    with pytest.raises(ShardCorrupt, match=where):
        read(data if kind == "tar" else gzip.compress(data), kind)


@pytest.mark.parametrize(
    "tail", [b"\0", b"\1", bytes(BLOCK), bytes(RECORD), b"x" * RECORD, b"again"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_reading_refuses_an_archive_when_bytes_follow_its_end(store, kind, tail):
    data = write(store, kind)
    with pytest.raises(ShardCorrupt, match="follow"):
        read(data + (data if tail == b"again" else tail), kind)


def test_reading_refuses_a_gzip_file_when_other_bytes_are_in_the_next_chunk(store, monkeypatch):
    data = write(store, "tar.gz")
    monkeypatch.setattr("dataset_assets.archives.gzip_reader._CHUNK", len(data))
    assert read(data, "tar.gz") == MEMBERS
    with pytest.raises(ShardCorrupt, match="other bytes follow"):
        read(data + b"\0", "tar.gz")


def test_reading_refuses_a_gzip_file_when_its_bytes_are_altered(store):
    data = write(store, "tar.gz")
    for position in [*range(4), *range(10, len(data), 37), *range(len(data) - 8, len(data))]:
        changed = bytearray(data)
        changed[position] ^= 0x10
        with pytest.raises(ShardCorrupt, match=r"^x: "):
            read(bytes(changed), "tar.gz")


def test_reading_refuses_an_archive_when_padding_is_not_zero(store):
    data = bytearray(write(store, "tar"))
    data[BLOCK + 700] = 1
    with pytest.raises(ShardCorrupt, match="not zero after"):
        read(bytes(data))


def by_hand(name, size=1, **changes):
    info = tarfile.TarInfo(name)
    info.size = size
    for attribute, value in changes.items():
        setattr(info, attribute, value)
    blocks = info.tobuf(tarfile.PAX_FORMAT) + b"x".ljust(BLOCK, b"\0") * (size > 0)
    return blocks + bytes(2 * BLOCK + -(len(blocks) + 2 * BLOCK) % RECORD)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": tarfile.SYMTYPE, "linkname": "/etc", "size": 0},
        {"type": tarfile.LNKTYPE, "linkname": "x", "size": 0},
        {"type": tarfile.CHRTYPE, "size": 0},
        {"type": tarfile.FIFOTYPE, "size": 0},
        {"type": tarfile.DIRTYPE, "size": 0},
        {"type": tarfile.GNUTYPE_SPARSE},
        {"type": tarfile.GNUTYPE_LONGNAME},
        {"mode": 0o4755},
        {"mtime": 1},
        {"mtime": 1.5},
        {"uid": 1000},
        {"uname": "eve"},
        {"pax_headers": {"comment": "hello"}},
        {"pax_headers": {"size": "7"}},
        {"pax_headers": {"path": "/etc/passwd"}},
    ],
)
def test_reading_refuses_members_when_another_program_wrote_them(changes):
    with pytest.raises(
        ShardCorrupt, match="no valid member header at byte 0|member name: expected"
    ):
        read(by_hand("1.jpg", **changes))


@pytest.mark.parametrize("name", [name for name in UNSAFE if name not in ("", "\ud800", "a/")])
def test_reading_refuses_a_member_when_its_name_is_not_safe(name):
    with pytest.raises(ShardCorrupt, match="x: .*member name: expected"):
        read(by_hand(name))


def test_reading_refuses_an_archive_when_a_member_occurs_twice():
    with pytest.raises(ShardCorrupt, match="member 'a' occurs twice"):
        read(by_tarfile([("a", b"1"), ("a", b"2")]))


@pytest.mark.parametrize("size", [b"-0000000001", b"77777777777", b"00000_00001", b"0000000000x"])
def test_reading_takes_no_memory_when_a_size_is_absurd(size):
    block = bytearray(SPLIT.header("1.jpg", 0))
    block[124:135] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    with pytest.raises(ShardCorrupt, match=r"^x: "):
        read(bytes(block) + bytes(RECORD))


@pytest.mark.parametrize("size", [0, 5000, 8**11 - 1])
def test_reading_does_not_look_further_when_an_extension_claims_to_be_large(size):
    block = bytearray(SPLIT.header("é", 0)[:BLOCK])
    block[124:136] = b"%011o\0" % size
    with pytest.raises(ShardCorrupt, match=r"^x: no valid member header at byte 0"):
        read(bytes(block))


@pytest.mark.parametrize(
    "data", [b"0 path=a\n", b"9999999 path=a\n", b"x", b"3 \n", b"-5 path=a\n"]
)
def test_reading_refuses_an_extension_when_its_records_are_nonsense(data):
    blocks = bytearray(SPLIT.header("é", 0))
    blocks[124:136] = b"%011o\0" % len(data)
    blocks[BLOCK : 2 * BLOCK] = data.ljust(BLOCK, b"\0")
    blocks[148:156] = b" " * 8
    blocks[148:156] = b"%06o\0 " % sum(blocks[:BLOCK])
    with pytest.raises(ShardCorrupt, match=r"^x: no valid member header"):
        read(bytes(blocks) + bytes(RECORD))


def test_reading_is_refused_when_the_kind_is_unknown():
    with pytest.raises(ConfigurationError, match="expected one of tar, tar.gz, got 'zip'"):
        read(b"", "zip")


class _Trap:
    def __reduce__(self):
        return sys.exit, ("a pickle was executed",)


def test_pickle_is_bytes_when_an_archive_holds_one(store):
    import pickle

    trap = pickle.dumps(_Trap())
    file = write_archive(store, "x.tar", [make_sample("a", [trap, trap], ["pkl", "pyd"])])
    assert [data for _, data in read(store.read("x.tar"))][:2] == [trap, trap]
    assert check_tar(store, file) == []


def test_memory_stays_at_one_member_when_an_archive_is_large(store):
    import tracemalloc

    with TarWriter(store.stage("x.tar.gz"), SPLIT, "tar.gz") as writer:
        for i in range(60):
            writer.add([(f"{i}.bin", bytes(1_000_000))])
        writer.commit()
    tracemalloc.start()
    with store.open_read("x.tar.gz") as file:
        total = sum(len(data) for _, _, data in read_split_tar(file, "x", "tar.gz"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == 60_000_000
    assert peak < 8_000_000


@pytest.mark.parametrize("kind", KINDS)
def test_tar_command_lists_the_members_when_names_are_long_or_beyond_ascii(store, kind):
    import subprocess

    write(store, kind)
    listed = subprocess.run(
        ["tar", "tf", store.locate(f"x.{kind}"), "--quoting-style=literal"],
        capture_output=True,
        check=True,
    )
    assert listed.stdout.decode().splitlines() == [name for name, _ in MEMBERS]


def test_gzip_tool_accepts_the_archive_when_it_is_packed(store):
    assert zlib.crc32(gzip.decompress(write(store, "tar.gz"))) == zlib.crc32(write(store, "tar"))
