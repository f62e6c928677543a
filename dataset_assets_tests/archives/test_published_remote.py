"""Archives read from a web server: few requests, and no wrong byte on a faulty network."""

import hashlib
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_assets.archives.hashed_file import HashedFile
from dataset_assets.archives.opening import open_archive
from dataset_assets.errors import ArchiveCorrupt, SourceError
from dataset_assets.fetch.ranges import RangeFile, RangeOptions
from dataset_assets.fetch.session import Session, SessionOptions
from dataset_assets_tests.staging.published import DEFLATED, photos, tarred, zipped
from dataset_assets_tests.support.archive_server import FOREVER, ArchiveServer

FILES = photos(1500, 2000)  # 3 MB


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("published")
    (place / "a.zip").write_bytes(zipped(FILES))
    (place / "packed.zip").write_bytes(zipped(FILES, DEFLATED))
    (place / "a.tar").write_bytes(tarred(FILES))
    (place / "a.tar.gz").write_bytes(tarred(FILES, packed=True))
    return place


@pytest.fixture
def server(folder: Path) -> Iterator[ArchiveServer]:
    with ArchiveServer(folder) as running:
        yield running


def remote(server: ArchiveServer, name: str, **options) -> RangeFile:
    return RangeFile(
        server.url(name),
        session=Session(SessionOptions(backoff_s=0.001)),
        options=RangeOptions(**options),
    )


def walked(file, start: int = 0) -> dict[str, bytes]:
    return {member.name: data for member, data in open_archive(file, "a").walk(start)}


@pytest.mark.parametrize(
    ("name", "requests"), [("a.zip", 4), ("packed.zip", 4), ("a.tar", 2), ("a.tar.gz", 2)]
)
def test_archive_is_read_with_a_handful_of_requests_when_all_is_well(server, name, requests):
    size = (server.folder / name).stat().st_size
    with HashedFile(remote(server, name)) as file:
        assert walked(file) == FILES
        assert file.hexdigest() == hashlib.md5((server.folder / name).read_bytes()).hexdigest()
    assert server.requests(name) <= requests + 1  # the md5 of a zip asks for the directory again
    assert server.bytes_sent(name) < size + 500_000


@pytest.mark.parametrize("name", ["a.zip", "packed.zip", "a.tar", "a.tar.gz"])
@pytest.mark.parametrize("seed", range(3))
def test_every_member_comes_out_when_the_connection_is_cut_thrice(server, name, seed):
    size = (server.folder / name).stat().st_size
    for offset in random.Random(seed).sample(range(70_000, size), 3):
        server.cut_at(name, offset)
    with HashedFile(remote(server, name)) as file:
        assert walked(file) == FILES
        assert file.hexdigest() == hashlib.md5((server.folder / name).read_bytes()).hexdigest()
    assert server.bytes_sent(name) < size * 1.5 + 1_000_000


@pytest.mark.parametrize("wrapped", [False, True], ids=["", "hashed"])
@pytest.mark.parametrize("offset", [40, 5_000, 100_000, 1_500_000, -100, -60_000])
def test_member_is_read_again_when_a_byte_was_damaged_on_its_way(server, wrapped, offset):
    data = (server.folder / "a.zip").read_bytes()
    server.corrupt("a.zip", offset % len(data))
    with remote(server, "a.zip", first_bytes=1000) as plain:
        file = HashedFile(plain) if wrapped else plain
        assert walked(file) == FILES
        assert not wrapped or file.hexdigest() == hashlib.md5(data).hexdigest()
    assert server.requests("a.zip") <= 9


def test_archive_is_refused_by_member_and_offset_when_a_byte_is_always_damaged(server):
    data = (server.folder / "a.zip").read_bytes()
    server.corrupt("a.zip", data.index(FILES["train2017/000000000700.jpg"]) + 9, FOREVER)
    with remote(server, "a.zip") as file:
        archive = open_archive(file, "train2017.zip")
        member = archive.members()[700]
        with pytest.raises(
            ArchiveCorrupt,
            match=rf"train2017\.zip: member '{member.name}' at byte {member.offset:,}: "
            "CRC-32 .* again",
        ):
            list(archive.walk())


def test_what_is_skipped_is_not_sent_when_a_walk_begins_late(server):
    with remote(server, "a.zip", skip_bytes=0) as file:
        assert list(walked(file, 1400)) == list(FILES)[1400:]
    assert server.bytes_sent("a.zip") < 700_000


def test_archive_that_changes_is_refused_when_it_is_being_read(server, tmp_path):
    (tmp_path / "b.zip").write_bytes(zipped(FILES))
    with ArchiveServer(tmp_path) as other, remote(other, "b.zip") as file:
        archive = open_archive(file, "b.zip")
        (tmp_path / "b.zip").write_bytes(zipped(photos(1500, 2000, seed=1)))
        with pytest.raises(SourceError, match="changed on its server"):
            list(archive.walk())


def test_packed_tar_is_read_when_the_server_sends_no_ranges(server):
    server.no_ranges("a.tar.gz")
    with remote(server, "a.tar.gz") as file:
        assert walked(file) == FILES
    assert server.requests("a.tar.gz") == 1


def test_zip_is_refused_with_advice_when_the_server_sends_no_ranges(server):
    server.no_ranges("a.zip")
    with (
        remote(server, "a.zip") as file,
        pytest.raises(SourceError, match="does not support ranges.*give its path"),
    ):
        walked(file)


def test_login_page_is_told_when_it_comes_instead_of_an_archive(server, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"\n<!doctype html><html>please log in</html>")
    with (
        ArchiveServer(tmp_path) as other,
        remote(other, "a.zip") as file,
        pytest.raises(ArchiveCorrupt, match="a web page; it may need a login"),
    ):
        walked(file)


@pytest.mark.slow
def test_walk_over_http_costs_about_as_much_as_zipfile_on_a_disk_when_members_are_photographs(
    tmp_path,
):
    files = photos(20_000, 30_000)
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)

    def from_disk() -> None:
        with zipfile.ZipFile(tmp_path / "large.zip") as archive:
            for info in archive.infolist():
                archive.read(info)

    def over_http() -> None:
        with remote(server, "large.zip") as file:
            assert sum(1 for _ in open_archive(file, "large.zip").walk()) == 20_000
            assert file.requests <= 4

    with ArchiveServer(tmp_path) as server:
        assert min(_cpu_s(over_http) for _ in range(3)) < 2.5 * min(
            _cpu_s(from_disk) for _ in range(3)
        )  # the server's own share counts here


def _cpu_s(action) -> float:
    begun = time.process_time()
    action()
    return time.process_time() - begun
