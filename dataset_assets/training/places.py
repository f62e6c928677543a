"""Where a training set lies: a local folder, any store, or a dataset repository on the Hub.

All of them are one kind of thing to the layouts: a store, and one listing of it. A repository is
pinned to the commit that its revision has when it is opened.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from dataset_assets.errors import ObjectMissing, UnreadableSource
from dataset_assets.hub.repository_url import HUB, repository_url
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.storage.store import ObjectInfo, Store, open_store
from dataset_assets.storage.stores.local import Store as LocalStore

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
#: Files and folders that are not data, wherever they lie.
_IGNORED = (".*", "__MACOSX", "_tmp", "_lease-*", "Thumbs.db", "desktop.ini")
#: Files beside the data, at the top.
_DOCUMENTS = ("README*", "LICENSE*", "LICENCE*", "NOTICE*", "*.md", "dataset_infos.json")
#: Texts that are read at a time, and those that are in memory.
_THREADS = 16
_BATCH = 512
_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True)
class Place:
    """A store with the files that may be data, in the order of their keys."""

    store: Store
    files: Mapping[str, ObjectInfo]
    file: str = ""
    """Key of the file that was opened instead of its folder; "" if it was the folder."""

    @property
    def url(self) -> str:
        """Address of the store."""
        return self.store.url

    def top(self) -> list[str]:
        """Return the keys of the files that are in no subfolder."""
        return [key for key in self.files if "/" not in key]

    def read_text(self, key: str) -> str:
        """Read a text file.

        Raises:
            UnreadableSource: it is not UTF-8.
        """
        return self._text(key, self.store.read(key))

    def read_texts(self, keys: Sequence[str]) -> Iterator[str]:
        """Read text files in order, several at a time where each read is a request.

        Raises:
            UnreadableSource: one is not UTF-8.
        """
        if isinstance(self.store, LocalStore):
            yield from map(self.read_text, keys)
            return
        with ThreadPoolExecutor(_THREADS) as threads:
            for first in range(0, len(keys), _BATCH):
                batch = keys[first : first + _BATCH]
                for key, data in zip(batch, threads.map(self.store.read, batch), strict=True):
                    yield self._text(key, data)

    def _text(self, key: str, data: bytes) -> str:
        try:
            return str(data, "utf-8-sig")
        except UnicodeDecodeError as exc:
            raise UnreadableSource(
                f"{self.store.locate(key)}: expected text in UTF-8, got other bytes at byte "
                f"{exc.start}; convert the file"
            ) from exc

    def resolve(self, path: str, listed_in: str) -> str:
        """Return the key of a file that a list names, relative to the folder of the list.

        Args:
            path: what the list says.
            listed_in: key of the list.

        Raises:
            UnreadableSource: the path leads out of the place.
        """
        folder = listed_in.rpartition("/")[0]
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or ".." in parts or not parts or _WITH_SCHEME.match(path):
            raise UnreadableSource(
                f"{self.store.locate(listed_in)}: expected paths relative to its folder, got "
                f"{path!r}; move the file below the folder and correct the path"
            )
        return "/".join([folder, *parts] if folder else parts)

    def fingerprint(self) -> str:
        """Digest names, sizes and times of all files: any change gives another one."""
        return fingerprint_of([[each.key, each.bytes, each.modified] for each in self._infos()])

    def _infos(self) -> list[ObjectInfo]:
        return list(self.files.values())


def open_place(url: str, revision: str | None = None) -> Place:
    """Open a folder, a URL of a store, or a dataset repository on the Hub, and list its files.

    Args:
        url: a path, a URL such as `s3://bucket/folder`, `hf://datasets/org/name`, or `org/name`
            where there is no such folder; of a folder, or of one file.
        revision: branch, tag or commit of a repository; None is the newest of its main branch.

    Raises:
        ObjectMissing: there are no files, or no such repository.
        UnreadableSource: a revision was given for something else than a repository.
        MissingDependency: the Hub needs the extra `hub`.
    """
    pinned = _pinned(url, revision)
    place = _listed(pinned)
    if place.files:
        return place
    folder, _, name = pinned.rstrip("/").rpartition("/")
    if folder and open_store(folder).size(name) is not None:
        return replace(_listed(folder), file=name)
    raise ObjectMissing(
        f"{place.url}: expected a folder with samples, got no files; check the path, or write "
        "org/name for a repository on the Hub"
    )


def _listed(url: str) -> Place:
    store = open_store(url)
    infos = sorted(store.list(), key=lambda info: info.key)
    return Place(store, {info.key: info for info in infos if not _is_ignored(info.key)})


def _pinned(url: str, revision: str | None) -> str:
    is_repository = bool(_REPOSITORY.fullmatch(url)) and not Path(url).exists()
    if is_repository or url.startswith(HUB):
        return repository_url(url.removeprefix(HUB), revision)
    if revision is not None:
        raise UnreadableSource(
            f"{url}: expected no revision for a place that is not a repository on the Hub, got "
            f"{revision!r}; leave it out"
        )
    return url


def _is_ignored(key: str) -> bool:
    parts = key.split("/")
    if any(fnmatch(part, pattern) for part in parts for pattern in _IGNORED):
        return True
    return len(parts) == 1 and any(fnmatch(key, pattern) for pattern in _DOCUMENTS)
