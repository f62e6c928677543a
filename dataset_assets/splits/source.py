"""The contract of a source that can be split, and what its keys and media may be.

A source is a module in `sources/` with a class `SplitSource`.
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.records.staged import License
from dataset_assets.storage.store import Store

#: Extensions of payloads that are images.
IMAGES = frozenset(
    {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "pbm", "pgm", "ppm", "pnm"}
)

#: Characters that no key may have. The last range is how Python shows bytes that are not UTF-8.
UNSAFE = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")


class SplitSource(Protocol):
    """Samples in a store. The order in which a folder is listed never matters."""

    kind: str
    """Name of the plug-in."""
    options_class: ClassVar[type | None]
    """Dataclass of the options of this source; None when it has none."""
    detection_rank: ClassVar[int]
    """Position in which `kind="auto"` asks the sources; lower is earlier."""
    media: str
    """As in `SplitManifest.media`: "image", "frames" or "file"."""
    fingerprint: str
    """Hex digest that changes with any payload, column or sample."""
    columns: dict[str, str]
    """Metadata column -> Arrow type: "string", "int32", "int64", "double" or "bool"."""
    restriction: License | None
    """License that forbids publication; None when nothing is forbidden."""

    @staticmethod
    def detect(store: Store) -> bool:
        """Tell whether a folder looks like this source."""

    @classmethod
    def open(cls, stores: Sequence[Store], options: Any) -> Self:
        """Open folders as one source.

        Args:
            stores: the folders, at least one.
            options: an instance of `options_class`, or None.

        Raises:
            ConfigurationError: this source cannot combine several folders.
            SourceError, StorageError, ShardError: the folder is not what this source expects.
        """

    def samples(self) -> Sequence[SourceSample]:
        """Return all samples, sorted by key."""

    def read(self, sample: SourceSample) -> list[bytes]:
        """Return the payloads of a sample, in the order of its parts.

        Reading in key order is fast; any other order works.

        Raises:
            ObjectMissing, ShardCorrupt: the source has changed since it was listed.
        """


def only_folder(kind: str, stores: Sequence[Store]) -> Store:
    """Return the folder of a source that cannot combine several.

    Raises:
        ConfigurationError: there are several.
    """
    if len(stores) != 1:
        raise ConfigurationError(
            f"{kind}: expected one folder, got {len(stores)}; only shard sets can be combined"
        )
    return stores[0]


def check_sample_key(key: str) -> str:
    """Return a key that is safe as the name of a member and of a row.

    Readers skip names that begin with `.` or `__`, and take what follows the first dot of the last
    part for an extension. A name that leaves its folder is an attack.

    Raises:
        ConfigurationError: the key is not safe.
    """
    parts = key.split("/")
    is_hidden = any(part.startswith((".", "__")) for part in parts)
    if not all(parts) or is_hidden or "." in parts[-1] or UNSAFE.search(key):
        raise ConfigurationError(
            f"sample key: expected folders and a name without dots, none of them hidden or empty, "
            f"in a relative path, got {key!r}"
        )
    return key


def media_of(extensions: set[str]) -> str:
    """Return `SplitManifest.media` of single-file payloads: "image" or "file"."""
    return "image" if extensions <= IMAGES else "file"
