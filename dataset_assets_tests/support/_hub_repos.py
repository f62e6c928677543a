"""State of the Hub of the tests: repositories and commits in memory, content of files on disk."""

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dataset_assets_tests.support._hub_xet import XetStore

EPOCH_S = 1_700_000_000  # commits are a second apart, from here on
_numbers = itertools.count()


class Refused(Exception):
    """An error of the Hub. `code` becomes `X-Error-Code`, which selects the client's exception."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = (
            status,
            message,
            code,
            dict(headers or {}),
        )


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit."""

    size: int
    oid: str  # git's sha1 of the blob; of the pointer for LFS
    sha256: str | None = None  # of an LFS file only
    xet: str | None = None  # Xet hash, when the content lies in the Xet store

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid


@dataclass(frozen=True, slots=True)
class Commit:
    oid: str
    title: str
    message: str
    date: str
    parent: str | None
    tree: dict[str, Entry]


@dataclass(slots=True)
class Change:
    """The changes of a commit. A deleted folder ends with a slash."""

    title: str = ""
    message: str = ""
    parent: str | None = None
    added: dict[str, Entry] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    def apply(self, tree: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the new tree. Raises Refused when a deleted file does not exist."""
        after = dict(tree)
        for name in self.deleted:
            gone = [
                path
                for path in after
                if path == name or (name.endswith("/") and path.startswith(name))
            ]
            if not gone:
                raise Refused(404, f"A file with this name doesn't exist: {name}", "EntryNotFound")
            for path in gone:
                del after[path]
        return after | self.added


@dataclass(slots=True)
class Repo:
    """A dataset repository."""

    id: str
    private: bool = False
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> Commit:
        """Return the commit of a branch, tag or commit id."""
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        if oid not in self.commits:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[oid]

    def history(self, revision: str) -> Iterator[Commit]:
        """Yield the commits from a revision back to the first."""
        commit: Commit | None = self.resolve(revision)
        while commit is not None:
            yield commit
            commit = self.commits[commit.parent] if commit.parent else None

    def commit(self, branch: str, change: Change) -> Commit:
        """Add a commit to a branch. Raises Refused 412 when its head is not `change.parent`."""
        if branch not in self.branches:
            raise Refused(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = self.commits[self.branches[branch]]
        if change.parent and not head.oid.startswith(change.parent):
            raise Refused(412, "A commit has happened since. Please refresh and try again.")
        return self.put(branch, change.title, change.message, change.apply(head.tree), head.oid)

    def put(
        self, branch: str, title: str, message: str, tree: dict[str, Entry], parent: str | None
    ) -> Commit:
        """Commit a tree to a branch, whatever its head is."""
        number = next(_numbers)
        date = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(EPOCH_S + number))
        identity = [
            self.id,
            branch,
            title,
            parent,
            number,
            sorted((path, entry.oid) for path, entry in tree.items()),
        ]
        commit = Commit(
            hashlib.sha1(json.dumps(identity).encode()).hexdigest(),
            title,
            message,
            date,
            parent,
            tree,
        )
        self.commits[commit.oid] = commit
        self.branches[branch] = commit.oid
        return commit


class Contents:
    """Blobs by git hash and LFS objects by sha256, as files; or LFS objects in a Xet store."""

    def __init__(self, folder: Path, xet: XetStore | None) -> None:
        self.blobs, self.lfs, self.xet = folder / "blobs", folder / "lfs", xet
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.lfs.mkdir(exist_ok=True)

    def add_blob(self, data: bytes) -> Entry:
        """Store a regular file."""
        oid = git_hash(data)
        _write(self.blobs / oid, data)
        return Entry(len(data), oid)

    def add_lfs(self, sha256: str, data: bytes) -> Entry:
        """Store an LFS object. Raises Refused when the hash is not that of the data."""
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Refused(400, "sha256 mismatch")
        _write(self.lfs / sha256, data)
        return Entry(len(data), git_hash(pointer(sha256, len(data))), sha256)

    def has_lfs(self, sha256: str) -> bool:
        """Tell whether an object was uploaded by LFS."""
        return (self.lfs / sha256).exists()

    def lfs_entry(self, sha256: str, size: int | None) -> Entry:
        """Return the entry of an uploaded object. `size` is the client's; default: from disk."""
        stored = self.has_lfs(sha256)
        xet = self.xet.find(sha256) if self.xet and not stored else None
        if not stored and xet is None:
            raise Refused(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
        there = (self.lfs / sha256).stat().st_size if stored else size
        if there is None or (size is not None and size != there):
            raise Refused(400, f"The size of {sha256} is {there}, not {size}")
        return Entry(there, git_hash(pointer(sha256, there)), sha256, xet)

    def path(self, entry: Entry) -> Path:
        """Return the file with an entry's content, copied from the Xet store the first time."""
        if entry.sha256 is None:
            return self.blobs / entry.oid
        path = self.lfs / entry.sha256
        if entry.xet is not None:
            path = path.with_suffix(".xet")  # not among the LFS objects: it was not uploaded by LFS
            if self.xet is not None and not path.exists():
                self.xet.fetch(entry.xet, entry.size, path)
        return path


class Site:
    """All repositories of one Hub, and their permissions."""

    def __init__(
        self,
        contents: Contents,
        roles: Mapping[str, str],
        page_size: int,
        multipart_over: int | None,
    ) -> None:
        self.contents, self.page_size, self.multipart_over = contents, page_size, multipart_over
        self.part_bytes = 5 << 20
        self.parts: dict[str, dict[int, bytes]] = {}  # of unfinished multipart uploads, by sha256
        self.repos: dict[str, Repo] = {}
        self.url = ""
        self._roles = roles  # token -> "write" or "read"

    def sign_in(self, token: str | None, *, write: bool = False) -> str | None:
        """Return the role of a token. Raises Refused when it does not permit the request."""
        role = self._roles.get(token) if token else None
        if token and role is None:
            raise Refused(401, "Invalid credentials in Authorization header")
        if write and role is None:
            raise Refused(401, "Unauthorized")
        if write and role != "write":
            raise Refused(403, "You must use a write token")
        return role

    def open(self, repo_id: str, token: str | None, *, write: bool = False) -> Repo:
        """Return a repository for the holder of a token."""
        role = self.sign_in(token, write=write)
        repo = self.repos.get(repo_id)
        if repo is None:
            raise Refused(404, "Repository not found", "RepoNotFound")
        if repo.private and role is None:
            raise Refused(401, "Invalid username or password.", "RepoNotFound")
        return repo

    def create(self, repo_id: str, *, private: bool = False) -> Repo:
        """Create a repository with its first commit. Raises Refused 409 when it exists."""
        if repo_id in self.repos:
            raise Refused(409, "You already created this dataset repo")
        repo = self.repos[repo_id] = Repo(repo_id, private)
        attributes = self.contents.add_blob(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")
        repo.put("main", "initial commit", "", {".gitattributes": attributes}, None)
        return repo


def git_hash(data: bytes) -> str:
    """Return git's id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    """Return the LFS pointer that git stores in place of an object."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


def _write(path: Path, data: bytes) -> None:
    part = path.with_suffix(f".{next(_numbers)}")
    part.write_bytes(data)
    os.replace(part, path)
