"""What sources of plain files share: safe names, a cheap fingerprint, payloads read back.

No folder layout is known here.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import translate
from typing import Any

from dataset_assets.errors import ShardCorrupt, UnreadableSource
from dataset_assets.splits.source import UNSAFE
from dataset_assets.storage.store import ObjectInfo, Store
from dataset_assets.storage.stores import local

#: Files that operating systems leave behind.
JUNK = (".DS_Store", "Thumbs.db", "desktop.ini", "._*")
#: Parallel reads on stores where each read is a request.
_THREADS = 16
_MAX_SHOWN = 3


def extension_of(name: str) -> str:
    """Return what follows the last dot, in lower case; "" without a dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def without_dots(extensions: Sequence[str]) -> tuple[str, ...]:
    """Return extensions in lower case and without the leading dot."""
    return tuple(extension.lower().lstrip(".") for extension in extensions)


def unsafe_name_problem(name: str) -> str:
    """Say why a name cannot be part of the key of a sample; "" when it can."""
    if name.startswith((".", "__")):
        return "hidden: readers of archives skip names that begin with '.' or '__'"
    if UNSAFE.search(name):
        return "a name with a backslash, a control character or bytes that are not UTF-8"
    return ""


def printable_location(store: Store, key: str) -> str:
    """Return the address of an object as text that can be printed, whatever its name is."""
    text = f"{store.url}/{key}"
    return repr(text) if UNSAFE.search(text) else text


class Listing:
    """One listing of a folder, which collects everything that is wrong with it."""

    def __init__(self, store: Store, ignore: Sequence[str]) -> None:
        self._store = store
        self._matches_ignored = re.compile("|".join(map(translate, ignore)) or "(?!)").match
        self._problems: list[str] = []

    def _is_ignored(self, key: str) -> bool:
        """Tell whether a pattern matches a key, or one part of it."""
        return any(map(self._matches_ignored, (*key.split("/"), key)))

    def _add_problem(self, path: str, problem: str) -> None:
        self._problems.append(f"{printable_location(self._store, path)}: {problem}")

    def _check_collisions(self, paths: Mapping[str, str], what: str) -> None:
        """Find keys that are one name on disks that ignore case or the form of accents.

        Args:
            paths: the path of each key.
            what: what the paths lead to.
        """
        seen: dict[str, str] = {}
        for key, path in paths.items():
            first = seen.setdefault(unicodedata.normalize("NFC", key).casefold(), key)
            if first != key:
                self._add_problem(
                    path,
                    f"differs from {first} only in case or accents, so both would be one {what} on "
                    "some disks; rename one",
                )

    def _raise_problems(self) -> None:
        """Refuse a folder that has problems.

        Raises:
            UnreadableSource: it has; the message has the first few.
        """
        if self._problems:
            more = len(self._problems) - _MAX_SHOWN
            shown = "; ".join(self._problems[:_MAX_SHOWN])
            raise UnreadableSource(f"{shown}; and {more} more" if more > 0 else shown)


def listing_fingerprint(settings: Any, infos: Iterable[ObjectInfo]) -> str:
    """Return a digest (hex) of settings and of the key, size and time of objects. Reads nothing.

    A file that is rewritten counts as changed. A file whose bytes change while its size and time
    (in microseconds) stay equal is not noticed.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for info in infos:
        entry = [info.key, info.bytes, round(info.modified * 1e6)]
        digest.update(json.dumps(entry).encode() + b"\n")
    return digest.hexdigest()


def read_all(store: Store, infos: Sequence[ObjectInfo]) -> list[bytes]:
    """Read objects in order, several at a time where each read is a request.

    Raises:
        ObjectMissing, ShardCorrupt: an object is missing, or has another size than when it
            was listed.
    """
    if len(infos) < 2 or isinstance(store, local.Store):
        return [_read(store, info) for info in infos]
    with ThreadPoolExecutor(min(_THREADS, len(infos))) as pool:
        return list(pool.map(lambda info: _read(store, info), infos))


def _read(store: Store, info: ObjectInfo) -> bytes:
    data = store.read(info.key)
    if len(data) != info.bytes:
        raise ShardCorrupt(
            f"{printable_location(store, info.key)}: expected {info.bytes:,} bytes as listed, "
            f"got {len(data):,}; the source is changing: run again when nothing writes to it"
        )
    return data


def content_digest(payloads: Sequence[bytes]) -> str:
    """Return the sha256 (hex) of one payload; for several, that of their digests in order."""
    digests = [hashlib.sha256(payload) for payload in payloads]
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()
