"""What sources may reach: archives in any place, kept files, and credentials, never shown."""

import io

import pytest

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.pipelines.stage.access import StoreAccess
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.archive_server import ArchiveServer


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "out"))


def test_archives_are_opened_by_path_and_by_url(tmp_path, store, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"0123456789")
    for url in ("memory://", "memory://archives"):
        open_store(url).write("a.bin", b"0123456789")
    monkeypatch.chdir(tmp_path)
    with ArchiveServer(tmp_path) as server:
        access = StoreAccess(store)
        for url in (
            str(tmp_path / "a.bin"),
            "a.bin",
            f"file://{tmp_path}/a.bin",
            "memory://archives/a.bin",
            "memory://a.bin",
            server.url("a.bin"),
        ):
            with access.open(url) as file:
                file.seek(4)
                assert file.read(3) == b"456", url
        access.close()


@pytest.mark.parametrize(
    ("url", "error"), [("missing.zip", ObjectMissing), ("folder/", ConfigurationError)]
)
def test_what_is_not_a_file_is_refused(tmp_path, store, url, error):
    with pytest.raises(error):
        StoreAccess(store).open(f"{tmp_path}/{url}")


class Kept:
    def __init__(self, data):
        self.data, self.read = data, 0

    def __call__(self):
        self.read += 1
        return io.BytesIO(self.data)


def test_kept_file_is_read_once_and_by_later_runs_not_at_all(store):
    made = Kept(b"annotations")
    for _ in range(2):
        access = StoreAccess(store)
        with (
            access.keep("a.json", made, "digest") as first,
            access.keep("a.json", made, "digest") as second,
        ):
            assert (first.read(), second.read()) == (b"annotations",) * 2
    assert made.read == 1
    assert [(file.name, file.bytes) for file in access.kept_files()] == [("annotations/a.json", 11)]


@pytest.mark.parametrize("change", ["digest", "size", "record"])
def test_kept_file_is_copied_again_when_it_is_not_what_it_was(store, change):
    made = Kept(b"annotations")
    StoreAccess(store).keep("a.json", made, "digest").close()
    if change == "size":
        store.write("annotations/a.json", b"cut")
    if change == "record":
        store.write("annotations/kept.json", b"[1, 2")
    with StoreAccess(store).keep(
        "a.json", made, "other" if change == "digest" else "digest"
    ) as file:
        assert file.read() == b"annotations"
    assert made.read == 2


def test_nothing_is_kept_when_the_stream_breaks(store):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError("connection lost")

    with pytest.raises(OSError, match="connection lost"):
        StoreAccess(store).keep("a.json", Broken)
    assert list(store.list()) == []


def test_secret_is_asked_for_by_name_and_never_shown(store):
    access = StoreAccess(store, secret={"CITYSCAPES_PASSWORD": "hidden-from-all"}.get)
    assert access.secret("CITYSCAPES_PASSWORD") == "hidden-from-all"
    assert "hidden" not in repr(access) + str(vars(access).keys())
    with pytest.raises(ConfigurationError, match="CITYSCAPES_USERNAME is not set"):
        access.secret("CITYSCAPES_USERNAME")
    with pytest.raises(ConfigurationError, match="is not set"):
        StoreAccess(store).secret("CITYSCAPES_PASSWORD")
