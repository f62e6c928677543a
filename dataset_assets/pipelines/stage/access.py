"""What a source of a published dataset may reach: archives by path or url, a session of its own, credentials by name, and files that are kept.

Credentials are asked for one by one, by the name of their variable; none is stored, shown or logged here.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, BinaryIO

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.fetch.ranges import RangeFile, RangeOptions
from dataset_assets.fetch.session import Session
from dataset_assets.records.shards import ShardFile
from dataset_assets.redaction import redact
from dataset_assets.storage.store import Store, open_store

KEPT = "annotations"
_RECORD = f"{KEPT}/kept.json"
_CHUNK = 1 << 20


class StoreAccess:
    """See `staging._base.Access`. `store` is the folder of the partition; `secret` gives credentials by name, or None; `session` visits sites."""

    def __init__(
        self,
        store: Store,
        *,
        secret: Callable[[str], str | None] | None = None,
        session: Session | None = None,
        ranges: RangeOptions | None = None,
    ) -> None:
        self._store, self._secret, self._session, self._ranges = store, secret, session, ranges
        self._kept = _read_kept(store)

    def __repr__(self) -> str:
        return f"StoreAccess({self._store.url!r})"

    def open(self, url: str) -> BinaryIO:
        """See `staging._base.Access`."""
        if url.startswith(("http://", "https://")):
            return RangeFile(url, session=self.session(), options=self._ranges)
        folder, _, name = url.rpartition("/")
        if not name:
            raise ConfigurationError(f"expected the path or url of a file, came {redact(url)!r}")
        return open_store(folder or ("/" if url.startswith("/") else ".")).open_read(name)

    def keep(self, name: str, read: Callable[[], BinaryIO], digest: str = "") -> BinaryIO:
        """See `staging._base.Access`."""
        known = self._kept.get(name)
        if (
            known is None
            or known["digest"] != digest
            or self._store.size(f"{KEPT}/{name}") != known["bytes"]
        ):
            self._copy(name, read, digest)
        return self._store.open_read(f"{KEPT}/{name}")

    def session(self) -> Session:
        """See `staging._base.Access`."""
        if self._session is None:
            self._session = Session()
        return self._session

    def secret(self, name: str) -> str:
        """See `staging._base.Access`."""
        value = self._secret(name) if self._secret is not None else None
        if not value:
            raise ConfigurationError(f"the credential {name} is not set: this source needs it")
        return value

    def close(self) -> None:
        """Close the connections. Idempotent."""
        if self._session is not None:
            self._session.close()

    def kept_files(self) -> Sequence[ShardFile]:
        """Return the files that are kept, by name."""
        return [
            ShardFile(f"{KEPT}/{name}", entry["bytes"], entry["sha256"])
            for name, entry in sorted(self._kept.items())
        ]

    def _copy(self, name: str, read: Callable[[], BinaryIO], digest: str) -> None:
        with closing(read()) as opened, self._store.stage(f"{KEPT}/{name}") as staged:
            while chunk := opened.read(_CHUNK):
                staged.write(chunk)
            staged.commit()
            self._kept[name] = {"bytes": staged.bytes, "sha256": staged.sha256, "digest": digest}
        self._store.write(_RECORD, json.dumps(dict(sorted(self._kept.items())), indent=1).encode())


def _read_kept(store: Store) -> dict[str, dict[str, Any]]:
    """Read what is kept. A file without its record, or of another size, is copied again."""
    try:
        kept = json.loads(store.read(_RECORD))
        return {
            str(name): {
                "bytes": int(e["bytes"]),
                "sha256": str(e["sha256"]),
                "digest": str(e["digest"]),
            }
            for name, e in kept.items()
        }
    except (ObjectMissing, ValueError, TypeError, KeyError, AttributeError):
        return {}
