"""What the looser arguments of `download` mean, and what it returns. Imports nothing heavy."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.shards import Manifest


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What a download left behind."""

    manifest: Manifest  # the whole output, earlier runs included
    made: int  # shards committed by this call
    skipped: int  # shards that were committed before
    requests: int  # made by this call

    @property
    def rows(self) -> int:
        """Input rows of the whole output."""
        return self.manifest.rows

    @property
    def successes(self) -> int:
        """Rows with a sample."""
        return self.manifest.successes

    @property
    def causes(self) -> dict[str, int]:
        """Failed rows by cause."""
        return self.manifest.causes


def private_networks(given: Sequence[str] | bool | None) -> tuple[str, ...]:
    """Return the networks that may be reached besides public ones.

    The one setting of the library that an environment variable can make, because tests and closed networks need it in programs they do not own.
    """
    if given is None:
        text = os.environ.get("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS", "")
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(given, bool):
        return ("all",) if given else ()
    return (given,) if isinstance(given, str) else tuple(given)


def is_image(media: str) -> bool:
    """Tell whether `media` asks for images.

    Raises:
        ConfigurationError: it is neither "image" nor "any".
    """
    if media not in ("image", "any"):
        raise ConfigurationError(f"media: expected 'image' or 'any', came {media!r}")
    return media == "image"
