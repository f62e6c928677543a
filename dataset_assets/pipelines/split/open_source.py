"""`open_source`: what lies at a url, as a source of `split_archives`."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.shards.commits import MANIFEST, RECORD_SUFFIX
from dataset_assets.splits.source import Source
from dataset_assets.splits.sources import files, recordings
from dataset_assets.splits.sources.files import FileOptions
from dataset_assets.splits.sources.recordings import RecordingOptions
from dataset_assets.splits.sources.shards import ShardSource
from dataset_assets.storage.store import Store, open_store

__all__ = ["KINDS", "FileOptions", "RecordingOptions", "open_source", "shard_sets"]

logger = logging.getLogger(__name__)

KINDS = ("auto", "shards", "recordings", "files")
_FRAME_DEPTH = 2  # folders above a frame


def open_source(kind: str, url: str | Sequence[str], **options: Any) -> Source:
    """Open a source.

    Args:
        kind: "shards" (a set, or a folder of sets), "recordings", "files", or "auto" to look what is there.
        url: a path or url; several of shard sets.
        options: the fields of `RecordingOptions` or `FileOptions`.

    Raises:
        ConfigurationError: an option that this kind does not have.
        ObjectMissing: nothing is there.
        SourceError, ShardError: what is there is not as expected.
    """
    if kind not in KINDS:
        raise ConfigurationError(
            f"kind of source: expected one of {', '.join(KINDS)}, came {kind!r}"
        )
    stores = [open_store(each) for each in ([url] if isinstance(url, str) else url)]
    if kind == "auto":
        kind = _kind_of(stores[0])
        logger.info("%s holds %s", stores[0].url, kind)
    if kind == "shards":
        _check_options(kind, (), options)
        return ShardSource([each for store in stores for each in shard_sets(store) or [store]])
    if len(stores) != 1:
        raise ConfigurationError(
            f"{kind}: expected one folder, came {len(stores)}; only shard sets can be put together"
        )
    if kind == "recordings":
        _check_options(kind, [field.name for field in fields(RecordingOptions)], options)
        return recordings.Source(stores[0], RecordingOptions(**options))
    _check_options(kind, [field.name for field in fields(FileOptions)], options)
    return files.Source(stores[0], FileOptions(**options))


def shard_sets(store: Store) -> list[Store]:
    """Return a folder that is a shard set, or the folders in it that are, sorted; none when there are none."""
    if any(
        info.key.endswith((MANIFEST, RECORD_SUFFIX)) for info in store.list("", recursive=False)
    ):
        return [store]
    paths = (info.key.split("/") for info in store.list())
    return [store.child(path[0]) for path in paths if len(path) == 2 and path[1] == MANIFEST]


def _kind_of(store: Store) -> str:
    if shard_sets(store):
        return "shards"
    suffixes = tuple(f".{extension}" for extension in RecordingOptions().extensions)
    empty = True
    for info in store.list():
        if info.key.lower().endswith(suffixes):
            return "recordings" if info.key.count("/") == _FRAME_DEPTH else "files"
        empty = False
    if empty:
        raise ObjectMissing(f"nothing is in {store.url}: expected shards, recordings or files")
    return "files"


def _check_options(kind: str, known: Sequence[str], given: Mapping[str, Any]) -> None:
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise ConfigurationError(
            f"{', '.join(unknown)}: not an option of {kind}; expected {', '.join(known) or 'none'}"
        )
