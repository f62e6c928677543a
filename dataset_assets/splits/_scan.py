"""What every source of files needs: a listing, names that are safe, a cheap fingerprint, bytes read back. No layout is known here."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import translate
from typing import Any

from dataset_assets.errors import ConfigurationError, ShardCorrupt, UnreadableSource
from dataset_assets.storage.store import ObjectInfo, Store
from dataset_assets.storage.stores import local

#: Files that systems leave behind.
JUNK = (".DS_Store", "Thumbs.db", "desktop.ini", "._*")
_THREADS = 16  # on stores where each read is a request
_SHOWN = 3
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f\\\ud800-\udfff]"
)  # the last are how Python shows bytes that are no UTF-8


def texts(name: str, values: Any) -> tuple[str, ...]:
    """Return an option that is a list of texts.

    Raises:
        ConfigurationError: it is not.
    """
    if (
        isinstance(values, str)
        or not isinstance(values, Sequence)
        or not all(isinstance(value, str) and value for value in values)
    ):
        raise ConfigurationError(f"{name}: expected a list of texts, got {values!r}")
    return tuple(values)


def check_switch(name: str, value: Any) -> None:
    """Refuse an option that is neither true nor false.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}: expected true or false, got {value!r}")


def extension_of(name: str) -> str:
    """Return what follows the last dot, in lower case; "" without a dot."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def ignoring(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a pattern matches a part of a key, or the whole."""
    matches = re.compile("|".join(map(translate, patterns)) or "(?!)").match
    return lambda key: any(map(matches, (*key.split("/"), key)))


def odd_name(name: str) -> str:
    """Say why a name can not be part of a sample's key; "" when it can."""
    if name.startswith((".", "__")):
        return "hidden: readers of archives skip names that begin with '.' or '__'"
    if _UNSAFE.search(name):
        return "a name with a backslash, a control character or bytes that are not UTF-8"
    return ""


def twins(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield keys that are one name on disks that ignore case or how accents are written."""
    seen: dict[str, str] = {}
    for key in keys:
        first = seen.setdefault(unicodedata.normalize("NFC", key).casefold(), key)
        if first != key:
            yield first, key


def place(store: Store, key: str) -> str:
    """Return where an object is, as text that can be printed whatever its name is."""
    text = f"{store.url}/{key}"
    return repr(text) if _UNSAFE.search(text) else text


def stop_at(problems: Sequence[str]) -> None:
    """Refuse a source that has problems.

    Raises:
        UnreadableSource: it has; the first few are named.
    """
    if problems:
        more = len(problems) - _SHOWN
        raise UnreadableSource(
            "; ".join(problems[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        )


def fingerprint_of(settings: Any, infos: Iterable[ObjectInfo]) -> str:
    """Return a digest (hex) of settings and of the key, size and time of objects. Reads nothing.

    A file that is rewritten counts as changed; one whose bytes change while its size and time (us) stay is not noticed.
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for info in infos:
        digest.update(
            json.dumps([info.key, info.bytes, round(info.modified * 1e6)]).encode() + b"\n"
        )
    return digest.hexdigest()


def read_all(store: Store, infos: Sequence[ObjectInfo]) -> list[bytes]:
    """Read objects, in order; several at a time where reading is a request.

    Raises:
        ObjectMissing, ShardCorrupt: one is gone, or has another size than when it was listed.
    """
    if len(infos) < 2 or isinstance(store, local.Store):
        return [_read(store, info) for info in infos]
    with ThreadPoolExecutor(min(_THREADS, len(infos))) as pool:
        return list(pool.map(lambda info: _read(store, info), infos))


def _read(store: Store, info: ObjectInfo) -> bytes:
    data = store.read(info.key)
    if len(data) != info.bytes:
        raise ShardCorrupt(
            f"{place(store, info.key)} has {len(data):,} bytes, {info.bytes:,} when the source was listed; it is changing: run again when it is at rest"
        )
    return data


def content_digest(payloads: Sequence[bytes]) -> str:
    """Return the sha256 (hex) of one payload; of several, that of their digests in order."""
    digests = [hashlib.sha256(payload) for payload in payloads]
    return (
        digests[0]
        if len(digests) == 1
        else hashlib.sha256(b"".join(digest.digest() for digest in digests))
    ).hexdigest()
