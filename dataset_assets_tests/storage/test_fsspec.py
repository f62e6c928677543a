import os

import fsspec
import fsspec.implementations.memory
import pytest

from dataset_assets.errors import (
    ConfigurationError,
    DiskFull,
    MissingDependency,
    NotWritable,
    StorageError,
)
from dataset_assets.storage.store import open_store
from dataset_assets.storage.stores import fsspec as fsspec_store


def test_missing_package_is_named_when_the_scheme_needs_one():
    with pytest.raises(MissingDependency, match=r"gs://.*gcsfs"):
        open_store("gs://bucket/folder")


def test_unknown_scheme_is_refused_with_those_that_exist():
    with pytest.raises(ConfigurationError, match=r"memory.*, got nonsense://"):
        open_store("nonsense://bucket")


def test_password_is_never_shown_but_kept_for_connecting():
    store = open_store("ftp://user:hunter2@127.0.0.1:9/lists")
    assert store.url == "ftp://127.0.0.1:9/lists"
    assert store.child("a").locate("b") == "ftp://127.0.0.1:9/lists/a/b"
    assert "hunter2" not in repr(store)
    with pytest.raises(StorageError) as caught:
        store.read("a")
    assert "hunter2" not in str(caught.value)


def test_file_system_is_created_again_when_the_process_forks():
    store = open_store("memory://fork")
    store.write("a", b"1")
    assert store._opened[0] == os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        store.read("a")
        os.write(writer, str(store._opened[0]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 20).decode() == str(child)


class FullFileSystem(fsspec.implementations.memory.MemoryFileSystem):
    protocol = ("full",)

    def pipe_file(self, path, value, mode="overwrite", **kwargs):
        raise OSError(28, "No space left on device")

    def _open(self, path, mode="rb", **kwargs):
        raise OSError(28, "No space left on device")


def test_errors_say_what_to_do_when_the_store_is_full():
    fsspec.register_implementation("full", FullFileSystem, clobber=True)
    store = open_store("full://x")
    with pytest.raises(DiskFull, match="free some space and run again"):
        store.write("a", b"1")
    with pytest.raises(NotWritable, match="choose an output"):
        store.check_writable()


def test_temporary_folder_is_named_when_it_is_full(monkeypatch):
    staged = open_store("memory://x").stage("a")

    def refuse(parts):
        raise OSError(28, "No space left on device")

    real = staged._file
    staged._file = type("Full", (), {"writelines": staticmethod(refuse), "close": real.close})()
    with pytest.raises(DiskFull, match="TMPDIR"):
        staged.write(b"1")
    staged.discard()


class StubbornFileSystem(fsspec.implementations.memory.MemoryFileSystem):
    """Does not rename over an existing file, like hdfs and smb."""

    protocol = ("stubborn",)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("stubborn://"))

    def mv(self, path1, path2, **kwargs):
        if self.exists(path2):
            raise FileExistsError(path2)
        super().mv(path1, path2, **kwargs)


def test_existing_object_is_replaced_when_the_file_system_refuses_to_rename_over_it():
    fsspec.register_implementation("stubborn", StubbornFileSystem, clobber=True)
    store = open_store("stubborn://stubborn")
    store.write("a", b"old")
    store.write("a", b"new")
    assert store.read("a") == b"new"
    assert [info.key for info in store.list()] == ["a"]


def test_range_behind_the_end_is_empty_when_the_file_system_refuses_it(monkeypatch):
    store = open_store("memory://range")
    store.write("a", b"0123")

    def refuse(self, path, start=None, end=None, **kwargs):
        raise ValueError("416 range not satisfiable")

    monkeypatch.setattr(fsspec.implementations.memory.MemoryFileSystem, "cat_file", refuse)
    assert store.read("a", 4, 10) == b""
    with pytest.raises(StorageError, match="416"):
        store.read("a", 0, 2)


@pytest.mark.parametrize(
    ("modified", "expected"), [(None, 0.0), (3.5, 3.5), ("1970-01-01T00:00:10+00:00", 10.0)]
)
def test_modification_time_is_read_in_each_spelling(modified, expected):
    assert fsspec_store._object_info("a", {"size": 1, "mtime": modified}).modified == expected
