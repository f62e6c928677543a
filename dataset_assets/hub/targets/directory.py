"""A local folder as a publishing target, laid out like a Hub repository.

    <root>/<org>/<name>/refs/main                   the name of the snapshot that readers get
    <root>/<org>/<name>/refs/tags/<tag>             the name of a tagged snapshot
    <root>/<org>/<name>/snapshots/<fingerprint>/    the files; immutable
    <root>/<org>/<name>/records/<fingerprint>.json  version, message, and the hash of every file

`datasets.load_dataset(<snapshot>)` reads it. A snapshot is built in a temporary folder and renamed,
then `refs/main` is replaced, so a reader sees either the old publication or the new one. Equal
files are hard links where the file system allows it: a publication beside its split archives takes
no space. Writers wait for each other.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self
from uuid import uuid4

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt
from dataset_assets.hub._content import BLOCK_BYTES, check_content, local_path, open_content
from dataset_assets.hub.target import (
    PublishPlan,
    TargetOptions,
    check_files,
    check_repo,
    check_tag,
    default_tag,
    fingerprint,
    make_plan,
)
from dataset_assets.records.publications import PublishFile, PublishResult
from dataset_assets.records.stored_json import parse_stored
from dataset_assets.records.typed_json import FileName, decode, load_object
from dataset_assets.storage.posix import make_folder, sync_folder, translate_os_errors
from dataset_assets.storage.store import TEMPORARY, check_key
from dataset_assets.storage.stores.local import Store as LocalStore

_log = logging.getLogger(__name__)

_SNAPSHOT = re.compile(r"[0-9a-f]{64}")
_GLOB = re.compile(r"[*?\[\]]|::")


class HubTarget:
    """One repository in a local folder."""

    is_remote: ClassVar[bool] = False
    kind = "directory"

    def __init__(self, root: str, repo: str, *, keep_snapshots: int = 3) -> None:
        self.repo = check_repo(repo)
        self._store = LocalStore(_check_root(root)).child(repo)
        self._folder = self._store.root
        self._keep_snapshots = checks.integer("keep_snapshots", keep_snapshots, low=1)

    @classmethod
    def open(cls, repo: str, options: TargetOptions) -> Self:
        """Open the repository below `options.root`."""
        return cls(options.root, repo)

    def __repr__(self) -> str:
        return f"directory.HubTarget({str(self._folder)!r})"

    def head(self) -> str | None:
        """Return the name of the current snapshot."""
        return self._reference("main")

    def plan(self, files: Sequence[PublishFile]) -> PublishPlan:
        """Compare files with the current snapshot, which holds published files only."""
        check_files(self.repo, files)
        head = self.head()
        hashes = self._record(head) if head else {}

        def is_same(file: PublishFile) -> bool:
            return hashes[file.path] == file.sha256

        return make_plan(files, hashes, is_same, owned=hashes.keys())

    def publish(
        self, files: Sequence[PublishFile], *, version: str, message: str, tag: str = ""
    ) -> PublishResult:
        """Build a snapshot and make it the current one. Its record keeps the message."""
        check_files(self.repo, files)
        snapshot = fingerprint(files)
        name = check_tag(tag or default_tag(version))
        with self._lock():
            before = self.head()
            plan = self.plan(files)
            self._check_tag(tag, snapshot)  # before any work
            if not self._is_complete(snapshot, files):
                self._build(snapshot, files)
                self._write_record(snapshot, files, version, message)
            name = self._tag(name, snapshot)
            if before != snapshot:
                self._store.write("refs/main", snapshot.encode())
            self._prune()
        return PublishResult(
            target=self.kind,
            repo=self.repo,
            revision=snapshot,
            version=version,
            tag=name,
            url=self.load_path(snapshot),
            changed=before != snapshot,
            added=len(plan.added) + len(plan.changed),
            deleted=len(plan.deleted),
            bytes_added=plan.bytes_added,
        )

    def verify(self, files: Sequence[PublishFile], revision: str) -> list[str]:
        """List missing and different files of a snapshot. Reads every byte."""
        problems = []
        for file in files:
            path = self._snapshot(revision) / file.path
            try:
                digest = _sha256(path)
            except FileNotFoundError:
                problems.append(f"{path}: is missing")
                continue
            if digest != file.sha256:
                problems.append(f"{path}: differs from what was published")
        return problems

    def open_read(self, path: str, revision: str) -> BinaryIO:
        """Open a file of a snapshot.

        Raises:
            ObjectMissing: the snapshot has no such file.
        """
        return self._store.open_read(f"snapshots/{revision}/{path}")

    def load_path(self, revision: str) -> str:
        """Return the folder of a snapshot."""
        return str(self._snapshot(revision))

    def load_options(self, revision: str) -> dict[str, Any]:
        """Return no options: the path names the revision."""
        del revision
        return {}

    def _snapshot(self, revision: str) -> Path:
        return self._folder / "snapshots" / check_key(revision)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the repository's lock file, and remove what an interrupted writer left.

        The operating system releases the lock when its holder exits.
        """
        with translate_os_errors(self._folder):
            make_folder(self._folder)
            lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with translate_os_errors(self._folder):
                self._wait_for(lock)
                with suppress(FileNotFoundError):
                    shutil.rmtree(self._folder / TEMPORARY)
            yield
        finally:
            os.close(lock)

    def _wait_for(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.info("%s: waiting for another writer to finish publishing", self._folder)
            fcntl.flock(lock, fcntl.LOCK_EX)

    def _record(self, snapshot: str) -> dict[str, str]:
        """Return path -> sha256 of a snapshot; empty when its record is missing.

        Raises:
            ShardCorrupt: the record is malformed.
        """
        name = f"records/{snapshot}.json"
        try:
            data = self._store.read(name)
        except ObjectMissing:
            return {}
        return parse_stored(
            data,
            lambda data: decode(dict[FileName, str], load_object(data)["sha256"]),
            where=self._store.locate(name),
            expected="the record of a snapshot",
            remedy="delete it and publish again",
        )

    def _write_record(
        self, snapshot: str, files: Sequence[PublishFile], version: str, message: str
    ) -> None:
        hashes = {file.path: file.sha256 for file in sorted(files, key=lambda file: file.path)}
        record = {"version": version, "message": message, "sha256": hashes}
        self._store.write(f"records/{snapshot}.json", json.dumps(record, indent=1).encode())

    def _is_complete(self, snapshot: str, files: Sequence[PublishFile]) -> bool:
        folder = self._snapshot(snapshot)
        paths = [path for path in folder.rglob("*") if path.is_file()]
        sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
        return sizes == {file.path: file.bytes for file in files} and bool(self._record(snapshot))

    def _build(self, snapshot: str, files: Sequence[PublishFile]) -> None:
        """Build a snapshot in a temporary folder, then rename it.

        Raises:
            ShardCorrupt, ObjectMissing: a file is not what the split recorded. No snapshot exists.
        """
        temporary = self._folder / TEMPORARY / uuid4().hex
        final = self._snapshot(snapshot)
        known = self._known_files()
        try:
            with translate_os_errors(final):
                for file in files:
                    _place(file, temporary / file.path, known.get(file.sha256))
                for folder in [
                    temporary,
                    *(each for each in temporary.rglob("*") if each.is_dir()),
                ]:
                    sync_folder(folder)
                make_folder(final.parent)
                if final.exists():  # incomplete or damaged: see `_is_complete`
                    final.rename(temporary.with_suffix(".damaged"))
                temporary.rename(final)
                sync_folder(final.parent)
        finally:
            shutil.rmtree(temporary.parent, ignore_errors=True)

    def _known_files(self) -> dict[str, Path]:
        """Return sha256 -> file of the current snapshot: linked without being read again."""
        head = self.head()
        if head is None:
            return {}
        folder = self._snapshot(head)
        return {digest: folder / path for path, digest in self._record(head).items()}

    def _check_tag(self, tag: str, snapshot: str) -> None:
        tagged = self._reference(f"tags/{tag}") if tag else None
        if tagged not in (None, snapshot):
            raise ConfigurationError(
                f"{self.repo}: the tag {tag!r} names {str(tagged)[:12]} already, and tags never "
                "move; choose another"
            )

    def _tag(self, tag: str, snapshot: str) -> str:
        """Tag a snapshot and return the tag; "" when the tag names another snapshot.

        The other snapshot has the same version, but for example another card.
        """
        tagged = self._reference(f"tags/{tag}")
        if tagged is None:
            self._store.write(f"refs/tags/{tag}", snapshot.encode())
        return tag if tagged in (None, snapshot) else ""

    def _reference(self, name: str) -> str | None:
        """Return the name of the snapshot that a reference names; None when there is none.

        Raises:
            ShardCorrupt: it names something else than a snapshot.
        """
        try:
            data = self._store.read(f"refs/{name}")
        except ObjectMissing:
            return None
        text = data.decode("utf-8", "replace").strip()
        if not _SNAPSHOT.fullmatch(text):
            raise ShardCorrupt(
                f"{self._store.locate(f'refs/{name}')}: expected the name of a snapshot, got "
                f"{text[:80]!r}; delete it and publish again"
            )
        return text

    def _prune(self) -> None:
        """Delete the oldest snapshots above the limit, and their tags; never the current one."""
        head = self.head()
        records = sorted(
            self._store.list("records/"), key=lambda info: (info.modified, info.key), reverse=True
        )
        names = [info.key.removeprefix("records/").removesuffix(".json") for info in records]
        snapshots = [name for name in names if _SNAPSHOT.fullmatch(name)]
        stale = [snapshot for snapshot in snapshots if snapshot != head][self._keep_snapshots - 1 :]
        for tag in list(self._store.list("refs/tags/")):
            if self._store.read(tag.key).decode("utf-8", "replace").strip() in stale:
                self._store.delete(tag.key)
        for snapshot in stale:
            self._store.delete_tree(f"snapshots/{snapshot}")
            self._store.delete(f"records/{snapshot}.json")


def _check_root(root: str) -> str:
    """Return a folder that `datasets` can read from: it interprets some characters as patterns."""
    if _GLOB.search(root) or ("://" in root and not root.startswith(("file://", "local://"))):
        raise ConfigurationError(
            f"root: expected a local path without '*', '?', '[', ']' and '::', got {root!r}"
        )
    return root


def _place(file: PublishFile, path: Path, known: Path | None) -> None:
    """Link a file into a snapshot, or copy it. Hashes it unless it is known."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if known is not None and _link(known, path) and path.stat().st_size == file.bytes:
        return
    path.unlink(missing_ok=True)
    source = local_path(file)
    if source is not None and _link(source, path):
        check_content(file, _sha256(path))
    else:
        _copy(file, path)


def _link(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:  # another file system, no or too many links, or a missing file: copying tells
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _copy(file: PublishFile, path: Path) -> None:
    digest = hashlib.sha256()
    with open_content(file) as source, path.open("wb") as copy:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    check_content(file, digest.hexdigest())
