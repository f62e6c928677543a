"""What a source of a published dataset may reach: files by path or URL, sites, and kept files.

Credentials are looked up one by one, by the name of their variable; none is stored, shown or
logged here.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, BinaryIO

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.fetch.ranges import RangeFile, RangeOptions
from dataset_assets.fetch.session import Session
from dataset_assets.records.shards import ShardFile
from dataset_assets.redaction import redact
from dataset_assets.storage.store import Store, open_store

KEPT_FOLDER = "annotations"
_RECORD = f"{KEPT_FOLDER}/kept.json"
_CHUNK_BYTES = 1 << 20


class StoreAccess:
    """Access over stores and HTTP, for one partition.

    Args:
        store: the folder of the partition, where files are kept.
        secret: returns a credential by the name of its variable, or None.
        session: for web sites; by default one is opened when a site is visited.
        ranges: how files are read over HTTP.
    """

    def __init__(
        self,
        store: Store,
        *,
        secret: Callable[[str], str | None] | None = None,
        session: Session | None = None,
        ranges: RangeOptions | None = None,
    ) -> None:
        self._store = store
        self._secret = secret
        self._session = session
        self._ranges = ranges
        self._kept = _read_kept(store)

    def __repr__(self) -> str:
        return f"StoreAccess({self._store.url!r})"

    def open(self, url: str) -> BinaryIO:
        """Open a path, a store URL or an HTTP(S) URL for seekable reading."""
        if url.startswith(("http://", "https://")):
            return RangeFile(url, session=self.session(), options=self._ranges)
        name = url.rpartition("/")[2]
        if not name:
            raise ConfigurationError(
                f"archive: expected the path or URL of a file, got {redact(url)!r}; name the file"
            )
        return open_store(url.removesuffix(name) or ".").open_read(name)

    def keep(self, name: str, read: Callable[[], BinaryIO], digest: str = "") -> BinaryIO:
        """Open the kept copy of a file; make the copy first where it is missing or outdated."""
        path = f"{KEPT_FOLDER}/{name}"
        known = self._kept.get(name)
        is_current = (
            known is not None
            and known["digest"] == digest
            and self._store.size(path) == known["bytes"]
        )
        if not is_current:
            self._copy(name, read, digest)
        return self._store.open_read(path)

    def session(self) -> Session:
        """Return the session for web sites, opened by the first call."""
        if self._session is None:
            self._session = Session()
        return self._session

    def secret(self, name: str) -> str:
        """Return a credential by the name of its variable.

        Raises:
            ConfigurationError: it is not set.
        """
        value = self._secret(name) if self._secret is not None else None
        if not value:
            raise ConfigurationError(f"{name} is not set: this source needs the credential; set it")
        return value

    def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._session is not None:
            self._session.close()

    def kept_files(self) -> Sequence[ShardFile]:
        """Return the kept files, sorted by name."""
        return [
            ShardFile(f"{KEPT_FOLDER}/{name}", entry["bytes"], entry["sha256"])
            for name, entry in sorted(self._kept.items())
        ]

    def _copy(self, name: str, read: Callable[[], BinaryIO], digest: str) -> None:
        with closing(read()) as opened, self._store.stage(f"{KEPT_FOLDER}/{name}") as staged:
            shutil.copyfileobj(opened, staged, _CHUNK_BYTES)
            staged.commit()
            self._kept[name] = {"bytes": staged.bytes, "sha256": staged.sha256, "digest": digest}
        record = json.dumps(dict(sorted(self._kept.items())), indent=1)
        self._store.write(_RECORD, record.encode())


def _read_kept(store: Store) -> dict[str, dict[str, Any]]:
    """Read the record of kept files; {} where it is missing or damaged: they are copied again."""
    try:
        kept = json.loads(store.read(_RECORD))
        return {str(name): _kept_entry(entry) for name, entry in kept.items()}
    except (ObjectMissing, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _kept_entry(raw: Any) -> dict[str, Any]:
    return {
        "bytes": int(raw["bytes"]),
        "sha256": str(raw["sha256"]),
        "digest": str(raw["digest"]),
    }
