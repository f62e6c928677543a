"""Published tars, plain and packed: the members are returned as written, or the archive is refused.

Links, devices and absurd sizes are never accepted.
"""

import contextlib
import gzip
import io
import tarfile
import time
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.archives.opening import open_archive
from dataset_assets.archives.published import ArchiveLimits
from dataset_assets.errors import ArchiveCorrupt, SourceError
from dataset_assets_tests.staging.published import file_header, odd_header, photos, tar_of, tarred

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
PACKED = pytest.mark.parametrize("packed", [False, True], ids=["tar", "tar.gz"])
PARTS = st.text("abcXYZ09_- é漢", min_size=1, max_size=40)
FILES = st.dictionaries(
    st.lists(PARTS, min_size=1, max_size=6).map("/".join),
    st.binary(max_size=2000),
    min_size=1,
    max_size=6,
)


def opened(data: bytes, name: str = "a.tar", **limits):
    return open_archive(io.BufferedReader(io.BytesIO(data)), name, ArchiveLimits(**limits))


def contents(data: bytes, **limits) -> dict[str, bytes]:
    return {member.name: payload for member, payload in opened(data, **limits).walk()}


@settings(max_examples=150, deadline=None)
@given(
    files=FILES, packed=st.booleans(), format_=st.sampled_from(FORMATS[1:]), start=st.integers(0, 4)
)
def test_tar_gives_what_was_put_in_when_walked_from_anywhere(files, packed, format_, start):
    archive = opened(tarred(files, packed=packed, format_=format_))
    wanted = "a".__lt__

    walked = [(member, data) for member, data in archive.walk(start, wanted)]
    assert [(member.name, data) for member, data in walked] == [
        item for item in files.items() if wanted(item[0])
    ][start:]
    for member, data in reversed(walked):
        assert member.bytes == len(data)
        assert archive.read(member) == data
        assert archive.open(member).read() == data


@pytest.mark.parametrize("format_", FORMATS)
def test_names_are_whole_when_they_are_as_long_as_the_format_allows(format_):
    files = (
        {f"{'d' * 100}/{'n' * 90}": b"1"}
        if format_ == tarfile.USTAR_FORMAT
        else {"/".join(["d" * 200] * 5): b"1", "漢" * 80: b"2"}
    )
    assert contents(tarred(files, format_=format_)) == files


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_packed_tar_gives_the_same_or_is_refused_when_any_byte_differs(data):
    files = {"a/1.jpg": b"", "a/2.jpg": b"abc" * 40, "b": bytes(range(256))}
    damaged = bytearray(tarred(files, packed=True))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ArchiveCorrupt):
        assert contents(bytes(damaged)) == files


@settings(max_examples=100, deadline=None)
@given(data=st.data(), packed=st.booleans())
def test_tar_is_refused_when_it_is_cut(data, packed):
    files = photos(5, 80)
    whole = tarred(files, packed=packed)
    end = (
        len(whole) if packed else 5 * 1024 + 512
    )  # of a plain one, zeros at the end may be missing
    with pytest.raises(ArchiveCorrupt, match=r"^a\.tar: "):
        contents(whole[: data.draw(st.integers(0, end - 1))])


@pytest.mark.parametrize(
    "cut",
    [0, 100, 512, 700],
    ids=["between members", "in a header", "after a header", "in the data"],
)
def test_cut_is_told_with_its_offset_when_met(cut):
    files = photos(9, 500)
    walk = opened(tarred(files)[: 4 * 1024 + cut]).walk()
    assert [(member.name, data) for member, data in islice(walk, 4)] == list(files.items())[:4]
    with pytest.raises(ArchiveCorrupt, match=r"byte 4,\d{3}: .*the file"):
        list(walk)


@PACKED
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.GNUTYPE_SPARSE, "a sparse file"),
        (b"V", "of kind b'V'"),
    ],
)
def test_tar_is_refused_when_a_member_is_no_file(packed, kind, what):
    data = tar_of(
        [(file_header("good", 3), b"abc"), (odd_header("x", kind, "/etc/passwd"), b"")],
        packed=packed,
    )
    with pytest.raises(ArchiveCorrupt, match=f"at byte 1,024: 'x' is {what}"):
        contents(data)


@PACKED
@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/abs", "a//b", "a\\..\\x", "C:/x", "a\nb", "n" * 5000],
    ids=lambda name: name[:8],
)
def test_tar_is_refused_when_a_name_leads_elsewhere(packed, name):
    with pytest.raises(ArchiveCorrupt, match=r"^a\.tar: member .* at byte 1,024: its name"):
        contents(tarred({"good": b"abc", name: b"1"}, packed=packed))


def test_tar_is_refused_when_a_folder_leads_elsewhere():
    with pytest.raises(ArchiveCorrupt, match="its name"):
        contents(tar_of([(odd_header("../x/", tarfile.DIRTYPE), b"")]))


@PACKED
def test_tar_is_refused_when_two_members_have_one_name(packed):
    data = tar_of([(file_header("a", 1), b"1"), (file_header("a", 1), b"2")], packed=packed)
    with pytest.raises(ArchiveCorrupt, match="'a' at byte 1,024: another member has this name"):
        contents(data)


def test_names_are_plain_when_the_tar_was_made_of_the_current_folder():
    members = [
        (odd_header("./", tarfile.DIRTYPE), b""),
        (odd_header("./d", tarfile.DIRTYPE), b""),
        (file_header("./d/a.jpg", 1), b"1"),
    ]
    assert contents(tar_of(members)) == {"d/a.jpg": b"1"}


def _patched(size_field: bytes) -> bytes:
    """Return a tar whose first header claims another size, with its checksum made right."""
    data = bytearray(tarred({"a": b"abc"}))
    data[124:136] = size_field
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


@pytest.mark.parametrize(
    ("size_field", "why"),
    [
        (b"\xff" * 12, "negative or invalid"),
        (b"-0000000001\0", "negative or invalid"),
        (b"0x10\0\0\0\0\0\0\0\0", "negative or invalid"),
        (
            b"\x80" + (2**63).to_bytes(11, "big"),
            "9,223,372,036,854,775,808 bytes, expected at most",
        ),
        (b"77777777777\0", "expected at most 2,147,483,648"),
        (b"00000100000\0", "the file ends within it"),
    ],
)
def test_tar_is_refused_when_a_size_is_absurd(size_field, why):
    with pytest.raises(ArchiveCorrupt, match=why):
        contents(_patched(size_field))


def _pax(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    header = file_header("././@PaxHeader", len(records))
    header.type = kind
    return header.tobuf() + records + bytes(-len(records) % 512) + tarred({"a": b"abc"})


@pytest.mark.parametrize(
    ("records", "kind", "why"),
    [
        (b"1048577 path=" + b"x" * (1 << 20), tarfile.XHDTYPE, "a header of 1,048,589 bytes"),
        (b"18 size=-100000000", tarfile.XHDTYPE, "negative or invalid"),
        (b"22 GNU.sparse.major=1\n", tarfile.XHDTYPE, "a sparse file"),
        (b"0 path=x\n", tarfile.XHDTYPE, "a damaged PAX header"),
        (b"99 path=x\n", tarfile.XHDTYPE, "a damaged PAX header"),
        (b"path=x\n", tarfile.XHDTYPE, "a damaged PAX header"),
        (b"12 path=all\n", tarfile.XGLTYPE, "gives several members one name"),
    ],
)
def test_tar_is_refused_when_a_pax_header_is_absurd(records, kind, why):
    with pytest.raises(ArchiveCorrupt, match=why):
        contents(_pax(records, kind))


def test_tar_is_read_when_it_has_a_global_header_with_a_comment():
    assert contents(_pax(b"18 comment=abcdef\n", tarfile.XGLTYPE)) == {"a": b"abc"}


@PACKED
def test_tar_is_refused_when_another_follows_its_end(packed):
    data = tarred(photos(2)) + tarred(photos(2, seed=1))
    with pytest.raises(ArchiveCorrupt, match="other bytes follow the end"):
        contents(gzip.compress(data) if packed else data)


def test_packed_tar_is_read_when_it_has_several_gzip_members_and_padding():
    files = photos(4)
    plain = tarred(files)
    assert contents(gzip.compress(plain[:1000]) + gzip.compress(plain[1000:]) + bytes(700)) == files


def test_bomb_is_refused_when_it_unpacks():
    data = tarred({"b": bytes(3_000_000)}, packed=True)
    with pytest.raises(ArchiveCorrupt, match=r"before byte [\d,]+: [\d,]+ bytes that unpack to"):
        contents(data, min_bomb_bytes=1_000_000)


@PACKED
def test_member_is_refused_in_memory_but_not_as_a_stream_when_it_is_large(packed):
    data = tarred({"b": bytes(5000)}, packed=packed)
    member = next(member for member, _ in opened(data).walk())
    with pytest.raises(ArchiveCorrupt, match="5,000 bytes, expected at most 4,999"):
        opened(data, max_member_bytes=4999).read(member)
    assert opened(data, max_member_bytes=4999).open(member).read() == bytes(5000)


def test_members_are_not_listed_when_there_is_no_directory():
    with pytest.raises(SourceError, match="a tar, which has no directory"):
        opened(tarred(photos(1))).members()


def test_member_is_refused_when_it_is_of_another_archive():
    member = [member for member, _ in opened(tarred(photos(2))).walk()][1]
    with pytest.raises(ArchiveCorrupt, match="it is not there"):
        opened(tarred(photos(2, folder="val2017"))).read(member)


def test_kind_is_found_by_content_when_names_lie():
    assert [opened(tarred(photos(1), packed=packed), "a.zip").kind for packed in (False, True)] == [
        "tar",
        "tar.gz",
    ]


def test_digest_names_the_archive_when_sizes_or_names_differ():
    digests = {
        opened(tarred(photos(count), packed=packed), name).digest
        for count in (1, 30)
        for packed in (False, True)
        for name in "ab"
    }
    assert len(digests) == 8


@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_empty_members_are_walked_at_a_steady_pace_when_there_are_many(count):
    data = b"".join(file_header(f"{number:07d}.jpg", 0).tobuf() for number in range(count)) + bytes(
        1024
    )
    begun = time.process_time()
    assert sum(1 for _ in opened(data).walk()) == count
    assert time.process_time() - begun < count * 1e-4
