"""Published zips: the members are returned as written, or the archive is refused by name."""

import contextlib
import io
import struct
import tracemalloc
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.archives.opening import open_archive, spool
from dataset_assets.archives.published import ArchiveLimits
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets_tests.staging.published import DEFLATED, STORED, photos, zipped

NAMES = st.lists(
    st.text("abcXYZ09_-. é漢", min_size=1, max_size=12).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=3,
).map("/".join)
FILES = st.dictionaries(NAMES, st.binary(max_size=3000), max_size=6).filter(
    lambda files: not any(other.startswith(f"{name}/") for name in files for other in files)
)


class Unseekable(io.BytesIO):
    """What a zip is written to by programs that stream: sizes follow the data."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_):
        raise io.UnsupportedOperation

    def tell(self):
        raise io.UnsupportedOperation


def opened(data: bytes, name: str = "a.zip", **limits):
    return open_archive(io.BufferedReader(io.BytesIO(data)), name, ArchiveLimits(**limits))


def contents(data: bytes, **limits) -> dict[str, bytes]:
    return {member.name: payload for member, payload in opened(data, **limits).walk()}


@settings(max_examples=150, deadline=None)
@given(files=FILES, method=st.sampled_from([STORED, DEFLATED]), start=st.integers(0, 4))
def test_zip_gives_what_was_put_in_when_walked_from_anywhere(files, method, start):
    archive = opened(zipped(files, method))
    wanted = "a".__lt__

    assert [member.name for member in archive.members()] == list(files)
    assert {member.name: archive.read(member) for member in archive.members()} == files
    assert {member.name: archive.open(member).read() for member in archive.members()} == files
    walked = [(member.name, data) for member, data in archive.walk(start, wanted)]
    assert walked == [item for item in files.items() if wanted(item[0])][start:]


@settings(max_examples=400, deadline=None)
@given(data=st.data(), method=st.sampled_from([STORED, DEFLATED]))
def test_zip_gives_the_same_or_is_refused_when_any_byte_differs(data, method):
    files = {"a/1.jpg": b"", "a/2.jpg": b"abc" * 40, "b": bytes(range(256))}
    damaged = bytearray(zipped(files, method))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ArchiveCorrupt):
        assert contents(bytes(damaged)) == files


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_zip_is_refused_when_it_is_cut_or_has_a_hole(data):
    whole = zipped(photos(5, 80))
    first = data.draw(st.integers(0, len(whole) - 1))
    last = data.draw(st.integers(first + 1, len(whole)))
    with pytest.raises(ArchiveCorrupt, match=r"^a\.zip: "):
        contents(whole[:first] + whole[last:])


@pytest.mark.parametrize(
    "change",
    [lambda data: data[:100] + data[300:], lambda data: data[:100] + bytes(50) + data[100:]],
    ids=["less", "more"],
)
def test_what_is_wrong_is_told_when_bytes_are_missing_or_were_added(change):
    with pytest.raises(
        ArchiveCorrupt, match="bytes are missing from the middle of the zip, or were put before it"
    ):
        opened(change(zipped(photos(5))))


def test_members_are_in_the_order_of_their_bytes_when_the_directory_has_another():
    files = photos(4)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        archive.filelist.reverse()

    members = opened(out.getvalue()).members()
    assert [member.name for member in members] == list(files)
    assert sorted(member.offset for member in members) == [member.offset for member in members]


def test_zip64_is_read_when_its_maker_needs_it(monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 600)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    files = photos(8) | {"large.json": bytes(2000)}
    data = zipped(files)

    assert b"PK\6\6" in data
    assert b"PK\6\7" in data
    assert contents(data) == files


@pytest.mark.slow
def test_zip_is_opened_when_it_has_as_many_members_as_coco():
    files = dict.fromkeys((f"train2017/{number:012d}.jpg" for number in range(118_287)), b"x")
    assert len(opened(zipped(files)).members()) == 118_287


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_sizes_are_known_when_they_follow_the_data(method):
    files, out = photos(3), Unseekable()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)

    assert b"PK\7\x08" in out.getvalue()
    assert contents(out.getvalue()) == files


def test_folders_are_passed_over_when_the_zip_has_some():
    assert contents(zipped({"a/": b"", "a/b.jpg": b"1", "a/c/": b""})) == {"a/b.jpg": b"1"}


def test_zip_is_read_when_bytes_follow_its_end():
    files = photos(3)
    assert contents(zipped(files) + b"\r\n" + bytes(1000)) == files


def test_zip_has_no_members_when_it_is_empty():
    assert list(opened(zipped({})).members()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/../../x",
        "/abs",
        "a//b",
        "./a",
        "..\\..\\x",
        "C:/x",
        "c:x",
        "a\nb",
        "a\x7fb",
        "a/.",
        "n" * 5000,
    ],
    ids=lambda name: name[:10],
)
def test_zip_is_refused_when_a_name_leads_elsewhere(name):
    with pytest.raises(ArchiveCorrupt, match=r"^a\.zip: member .* at byte \d+: its name"):
        opened(zipped({"good": b"1", name: b"2"}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_is_refused_when_two_members_have_one_name():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(ArchiveCorrupt, match="'a' at byte 32: another member has this name"):
        opened(out.getvalue())


@pytest.mark.parametrize(
    ("offset", "value", "why"),
    [
        (8, 1, "encrypted"),
        (8, 0x40, "encrypted"),
        (10, 99, "packed by method 99"),
        (10, 14, "packed by method 14"),
        (20, 5000, "two different sizes"),
    ],
)
def test_zip_is_refused_when_a_member_is_of_another_kind(offset, value, why):
    data = bytearray(zipped(photos(2)))
    entry = data.index(b"PK\1\2")
    struct.pack_into("<H", data, entry + offset, value)
    with pytest.raises(ArchiveCorrupt, match=f"000000000000.jpg' at byte 0: .*{why}"):
        opened(bytes(data))


@pytest.mark.parametrize("mode", [0o120777, 0o020644, 0o010644], ids=["link", "device", "pipe"])
def test_zip_is_refused_when_a_member_is_a_link_or_device(mode):
    info, out = zipfile.ZipInfo("x"), io.BytesIO()
    info.external_attr = mode << 16
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveCorrupt, match="link or a device"):
        opened(out.getvalue())


@pytest.mark.parametrize("shift", [0, 100])
def test_zip_is_refused_when_members_share_bytes(shift):
    data = bytearray(zipped({"a": bytes(500), "b": bytes(10)}))
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    struct.pack_into("<I", data, second + 42, shift)
    with pytest.raises(ArchiveCorrupt, match="overlaps"):
        opened(bytes(data))


def test_zip_is_refused_when_the_header_of_a_member_takes_bytes_of_the_next():
    data = bytearray(zipped({"a": bytes(10), "b": bytes(10)}))
    struct.pack_into("<H", data, 28, 20)  # an extra field in the local header only
    with pytest.raises(
        ArchiveCorrupt,
        match="'a' at byte 0: its header and the directory contradict each other, also when read "
        "again",
    ):
        contents(bytes(data))


def test_bomb_is_refused_before_it_is_unpacked_when_opened():
    with pytest.raises(
        ArchiveCorrupt, match=r"'b' at byte 0: [\d,]+ bytes that unpack to 70,000,000"
    ):
        opened(zipped({"b": bytes(70_000_000)}, DEFLATED))


def test_member_is_refused_when_it_unpacks_to_more_than_it_says():
    data = bytearray(zipped({"b": bytes(100_000)}, DEFLATED))
    for at in (22, data.index(b"PK\1\2") + 24):
        struct.pack_into("<I", data, at, 1000)
    archive = opened(bytes(data))
    with pytest.raises(ArchiveCorrupt, match="1,001 bytes, expected 1,000"):
        archive.read(archive.members()[0])
    with pytest.raises(ArchiveCorrupt, match="'b' at byte 0"):
        archive.open(archive.members()[0]).read()


def test_member_is_refused_in_memory_but_not_as_a_stream_when_it_is_large():
    archive = opened(zipped({"b": bytes(5000)}), max_member_bytes=4999)
    with pytest.raises(ArchiveCorrupt, match="5,000 bytes, expected at most 4,999"):
        archive.read(archive.members()[0])
    assert archive.open(archive.members()[0]).read() == bytes(5000)


def test_wrong_checksum_is_told_with_member_and_offset_when_read():
    files = photos(3)
    data = bytearray(zipped(files))
    at = data.index(files["train2017/000000000001.jpg"])
    data[at + 77] ^= 4
    archive = opened(bytes(data), "val2017.zip")
    member = archive.members()[1]
    place = rf"^val2017\.zip: member 'train2017/000000000001\.jpg' at byte {member.offset}: "

    with pytest.raises(
        ArchiveCorrupt,
        match=place + "CRC-32 [0-9a-f]{8}, expected [0-9a-f]{8}, also when read again",
    ):
        archive.read(member)
    with pytest.raises(ArchiveCorrupt, match=place):
        archive.open(member).read()
    assert archive.read(archive.members()[2]) == files["train2017/000000000002.jpg"]


def test_large_member_takes_little_memory_when_streamed():
    data = zipped({"large.json": b"0123456789abcdef" * (40 << 16), "packed.json": b""}, DEFLATED)
    archive = opened(data, max_ratio=100_000)
    tracemalloc.start()
    stream, size = archive.open(archive.members()[0]), 0
    while piece := stream.read(1 << 16):
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert size == 40 << 20
    assert peak < 3 << 20


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_stream_of_a_member_can_be_read_in_any_order_when_sought(method):
    data = bytes(range(256)) * 5000
    archive = opened(zipped({"x": b"1", "m": data}, method), max_ratio=100_000)
    stream, plain = archive.open(archive.members()[1]), io.BytesIO(data)
    for offset, whence in [
        (1_000_000, 0),
        (5, 0),
        (-10, 2),
        (0, 0),
        (700_000, 0),
        (-300_000, 1),
        (10, 2),
    ]:
        assert stream.seek(offset, whence) == plain.seek(offset, whence)
        assert stream.read(100_000) == plain.read(100_000)


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_zip_in_a_zip_is_read_when_spooled_or_in_place(method):
    files = photos(4, folder="panoptic_val2017")
    outer = opened(
        zipped(
            {"annotations/x.json": b"{}", "annotations/panoptic_val2017.zip": zipped(files)}, method
        )
    )
    member = outer.members()[1]
    inner = open_archive(spool(outer.open(member)), "panoptic_val2017.zip")

    assert {one.name: data for one, data in inner.walk()} == files
    assert {
        one.name: data for one, data in open_archive(outer.open(member), "inner").walk()
    } == files


def test_digest_names_the_content_when_two_zips_differ():
    first, second = zipped(photos(3)), zipped(photos(3, seed=1))
    assert opened(first).digest == opened(first, "another name").digest != opened(second).digest
