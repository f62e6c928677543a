"""A local directory as a target, laid out like a repository of the Hub. `datasets.load_dataset(<snapshot>)` reads it.

    <root>/<org>/<name>/refs/main                   the name of the snapshot that readers get
    <root>/<org>/<name>/refs/tags/<tag>             further names
    <root>/<org>/<name>/snapshots/<fingerprint>/    the files; never changed once they are there
    <root>/<org>/<name>/records/<fingerprint>.json  version, message, and the hash of every file of a snapshot

A snapshot is built aside and renamed, then `refs/main` is replaced: a reader sees the old publication or the new one. Equal files are hard links
where the disk allows that, so a publication beside its split archives takes no space. Writers wait for each other.
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
from typing import Any, BinaryIO
from uuid import uuid4

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.hub._content import (
    check_content,
    local_path,
    open_content,
    read_blocks,
    sha256_of,
)
from dataset_assets.hub.target import (
    PublishPlan,
    check_files,
    check_repo,
    check_tag,
    default_tag,
    fingerprint,
    make_plan,
)
from dataset_assets.records.splits import Published, PublishFile
from dataset_assets.storage.posix import explained, make_folder, sync_folder
from dataset_assets.storage.store import TEMPORARY, check_key
from dataset_assets.storage.stores.local import Store as LocalStore

_log = logging.getLogger(__name__)

_GLOB = re.compile(r"[*?\[\]]|::")


class DirectoryTarget:
    """One repository in a local folder. See `_base.Target`."""

    kind = "directory"

    def __init__(self, root: str, repo: str, *, keep_snapshots: int = 3) -> None:
        self.repo = check_repo(repo)
        self._store = LocalStore(_check_root(root)).child(repo)
        self._folder = self._store.root
        if keep_snapshots < 1:
            raise ConfigurationError(
                f"keep_snapshots: expected at least 1, came {keep_snapshots!r}"
            )
        self._keep_snapshots = keep_snapshots

    def __repr__(self) -> str:
        return f"DirectoryTarget({str(self._folder)!r})"

    def head(self) -> str | None:
        """See `_base.Target`."""
        try:
            return self._store.read("refs/main").decode().strip()
        except ObjectMissing:
            return None

    def plan(self, files: Sequence[PublishFile]) -> PublishPlan:
        """See `_base.Target`. A snapshot holds what was published and nothing else, so every other path counts as deleted."""
        check_files(self.repo, files)
        head = self.head()
        there = self._record(head) if head else {}
        return make_plan(
            files, there, lambda file: there[file.path] == file.sha256, owned=there.keys()
        )

    def publish(
        self, files: Sequence[PublishFile], *, version: str, message: str, tag: str = ""
    ) -> Published:
        """See `_base.Target`. The message is kept in the record of the snapshot."""
        check_files(self.repo, files)
        snapshot, name = fingerprint(files), check_tag(tag or default_tag(version))
        with self._alone():
            before, plan = self.head(), self.plan(files)
            self._check_tag(tag, snapshot)  # before any work
            if not self._is_whole(snapshot, files):
                self._build(snapshot, files)
                self._write_record(snapshot, files, version, message)
            name = self._tag(name, snapshot)
            if before != snapshot:
                self._store.write("refs/main", snapshot.encode())
            self._prune()
        return Published(
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
        """See `_base.Target`. Reads every byte."""
        problems = []
        for file in files:
            path = self._path(revision, file.path)
            try:
                with path.open("rb") as content:
                    same = sha256_of(content) == file.sha256
            except FileNotFoundError:
                problems.append(f"{path}: is missing")
                continue
            problems += [] if same else [f"{path}: differs from what was published"]
        return problems

    def open_read(self, path: str, revision: str) -> BinaryIO:
        """See `_base.Target`."""
        return self._store.open_read(f"snapshots/{revision}/{path}")

    def load_path(self, revision: str) -> str:
        """See `_base.Target`."""
        return str(self._path(revision))

    def load_options(self, revision: str) -> dict[str, Any]:
        """See `_base.Target`."""
        del revision  # is in the path
        return {}

    def _path(self, revision: str, path: str = "") -> Path:
        snapshot = self._folder / "snapshots" / check_key(revision)
        return snapshot / path if path else snapshot

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the repository: one writer at a time. The system lets go when a writer dies; what it had begun is swept away here."""
        with explained(self._folder):
            make_folder(self._folder)
            lock = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            with explained(self._folder):
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
            _log.info("%s: another writer publishes; waiting for it", self._folder)
            fcntl.flock(lock, fcntl.LOCK_EX)

    def _record(self, snapshot: str) -> dict[str, str]:
        """Return the hashes of a snapshot by path; none when its record is gone, so that everything counts as new."""
        try:
            hashes: dict[str, str] = json.loads(self._store.read(f"records/{snapshot}.json"))[
                "sha256"
            ]
        except ObjectMissing:
            return {}
        return hashes

    def _write_record(
        self, snapshot: str, files: Sequence[PublishFile], version: str, message: str
    ) -> None:
        hashes = {file.path: file.sha256 for file in sorted(files, key=lambda file: file.path)}
        record = {"version": version, "message": message, "sha256": hashes}
        self._store.write(f"records/{snapshot}.json", json.dumps(record, indent=1).encode())

    def _is_whole(self, snapshot: str, files: Sequence[PublishFile]) -> bool:
        sizes = {
            path.relative_to(top).as_posix(): path.stat().st_size
            for top in [self._path(snapshot)]
            for path in _files_below(top)
        }
        return sizes == {file.path: file.bytes for file in files} and bool(self._record(snapshot))

    def _build(self, snapshot: str, files: Sequence[PublishFile]) -> None:
        """Build a snapshot aside, then rename it into place.

        Raises:
            ShardCorrupt, ObjectMissing: a file is not what the split recorded. Nothing has become visible.
        """
        aside, final = self._folder / TEMPORARY / uuid4().hex, self._path(snapshot)
        known = self._known_files()
        try:
            with explained(final):
                for file in files:
                    _place(file, aside / file.path, known.get(file.sha256))
                for folder in [aside, *(path for path in aside.rglob("*") if path.is_dir())]:
                    sync_folder(folder)
                make_folder(final.parent)
                if final.exists():  # somebody damaged it
                    final.rename(aside.with_suffix(".damaged"))
                aside.rename(final)
                sync_folder(final.parent)
        finally:
            shutil.rmtree(aside.parent, ignore_errors=True)

    def _known_files(self) -> dict[str, Path]:
        """Return files of the snapshot that readers get, by hash: they can be linked without being read again."""
        head = self.head()
        return (
            {digest: self._path(head, path) for path, digest in self._record(head).items()}
            if head
            else {}
        )

    def _check_tag(self, tag: str, snapshot: str) -> None:
        found = self._tagged(tag) if tag else None
        if found not in (None, snapshot):
            raise ConfigurationError(
                f"{self.repo}: the tag {tag!r} names {str(found)[:12]} already, and tags never move; choose another"
            )

    def _tag(self, tag: str, snapshot: str) -> str:
        """Give a snapshot a tag, and return it: "" when it is another snapshot's, which has the same version and, say, another card."""
        found = self._tagged(tag)
        if found is None:
            self._store.write(f"refs/tags/{tag}", snapshot.encode())
        return tag if found in (None, snapshot) else ""

    def _tagged(self, tag: str) -> str | None:
        try:
            return self._store.read(f"refs/tags/{tag}").decode().strip()
        except ObjectMissing:
            return None

    def _prune(self) -> None:
        """Delete the oldest snapshots with their tags, but for those that are kept. Never the one that readers get."""
        head = self.head()
        records = sorted(
            self._store.list("records/"), key=lambda info: (info.modified, info.key), reverse=True
        )
        snapshots = [info.key.removeprefix("records/").removesuffix(".json") for info in records]
        gone = [snapshot for snapshot in snapshots if snapshot != head][self._keep_snapshots - 1 :]
        for tag in list(self._store.list("refs/tags/")):
            if self._store.read(tag.key).decode().strip() in gone:
                self._store.delete(tag.key)
        for snapshot in gone:
            self._store.delete_tree(f"snapshots/{snapshot}")
            self._store.delete(f"records/{snapshot}.json")


def _check_root(root: str) -> str:
    """Return a folder that `datasets` can read from: it takes parts of a path for patterns."""
    if _GLOB.search(root) or ("://" in root and not root.startswith(("file://", "local://"))):
        raise ConfigurationError(
            f"not a folder to publish in: {root!r}; expected a local path without '*', '?', '[', ']' and '::'"
        )
    return root


def _files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _place(file: PublishFile, path: Path, known: Path | None) -> None:
    """Put a file into a snapshot that is being built: linked where possible, else copied; hashed unless it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if known is not None and _link(known, path) and path.stat().st_size == file.bytes:
        return
    path.unlink(missing_ok=True)
    source = local_path(file)
    if source is not None and _link(source, path):
        with path.open("rb") as content:
            check_content(file, sha256_of(content))
        return
    _copy(file, path)


def _link(source: Path, path: Path) -> bool:
    try:
        os.link(source, path)
    except OSError:
        return False  # another disk, a file system without links, too many of them, or the file is gone: copying tells
    return True


def _copy(file: PublishFile, path: Path) -> None:
    digest = hashlib.sha256()
    with open_content(file) as source, path.open("wb") as copy:
        for block in read_blocks(source):
            digest.update(block)
            copy.write(block)
        copy.flush()
        os.fsync(copy.fileno())
    check_content(file, digest.hexdigest())
