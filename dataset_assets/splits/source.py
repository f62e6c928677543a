"""What can be split: the contract of a source, and which keys are safe in an archive."""

from collections.abc import Sequence
from typing import Protocol

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample


class Source(Protocol):
    """Samples that lie somewhere. The order in which a folder is listed never matters."""

    kind: str  # "recordings", "files" or "shards"
    media: str  # as in `split_records.SplitManifest.media`
    fingerprint: str  # hex; changes with any payload, column or sample
    columns: dict[
        str, str
    ]  # metadata column -> Arrow type name: "string", "int32", "int64", "double", "bool"

    def samples(self) -> Sequence[SourceSample]:
        """Return every sample, sorted by key."""

    def read(self, sample: SourceSample) -> list[bytes]:
        """Return the payloads of a sample, in the order of its parts. Reading in key order is fast, any order works.

        Raises:
            ObjectMissing, ShardCorrupt: the source has changed under the reader.
        """


def check_sample_key(key: str) -> str:
    """Return a key that can be the name of a member, and of a row.

    Readers skip what begins with `.` or `__`, take what follows the first dot of the last part for an extension, and a name that leaves its folder is an attack.

    Raises:
        ConfigurationError: it can not; the message has the key.
    """
    parts = key.split("/")
    wrong = (
        not key
        or "\\" in key
        or any(not part or part in (".", "..") or part.startswith((".", "__")) for part in parts)
        or "." in parts[-1]
        or any(
            ord(character) < 32 or ord(character) == 127 or 0xD800 <= ord(character) <= 0xDFFF
            for character in key
        )
    )
    if wrong:
        raise ConfigurationError(
            f"{key!r} can not be a sample's key: expected folders and a name without dots, none hidden, empty, absolute or leading upwards"
        )
    return key
