"""What a source of a published dataset may reach: files by path or URL, sites, and kept files.

Credentials are looked up one by one, by the name of their variable; none is stored, shown or
logged here.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import BinaryIO

from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.ranges import RangeFile, RangeOptions
from dataset_assets.fetch.session import Session
from dataset_assets.records.shards import ShardFile
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.records.typed_json import Count, FileName, decode, load_object
from dataset_assets.redaction import redact
from dataset_assets.storage.store import Store, open_store

KEPT_FOLDER = "annotations"
_RECORD = f"{KEPT_FOLDER}/kept.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _KeptFile:
    """A kept copy of a file."""

    bytes: Count
    sha256: str
    digest: str
    """Of the origin, as the source gave it."""


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
        # Where the record is missing or damaged, the files are copied again.
        self._kept = read_or_none(store.read, _RECORD, _parse_kept) or {}

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
        kept = self._kept.get(name)
        if kept is None or kept.digest != digest or self._store.size(path) != kept.bytes:
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
            ShardFile(f"{KEPT_FOLDER}/{name}", kept.bytes, kept.sha256)
            for name, kept in sorted(self._kept.items())
        ]

    def _copy(self, name: str, read: Callable[[], BinaryIO], digest: str) -> None:
        with closing(read()) as opened, self._store.stage(f"{KEPT_FOLDER}/{name}") as staged:
            shutil.copyfileobj(opened, staged, _CHUNK_BYTES)
            staged.commit()
            self._kept[name] = _KeptFile(staged.bytes, staged.sha256, digest)
        record = {name: asdict(kept) for name, kept in sorted(self._kept.items())}
        self._store.write(_RECORD, json.dumps(record, indent=1).encode())


def _parse_kept(data: bytes) -> dict[str, _KeptFile]:
    return decode(dict[FileName, _KeptFile], load_object(data))
