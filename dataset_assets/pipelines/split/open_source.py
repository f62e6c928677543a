"""`open_source`: opens the data at a URL as a source of `split_archives`."""

import logging
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from dataset_assets import checks, registry
from dataset_assets.errors import ObjectMissing
from dataset_assets.splits.source import SplitSource
from dataset_assets.storage.store import Store, open_store

__all__ = ["kinds", "open_source", "option_classes"]

logger = logging.getLogger(__name__)

_ROLE = "split_source"
_AUTO = "auto"


def kinds() -> tuple[str, ...]:
    """Return the values of `kind` that `open_source` takes."""
    return (_AUTO, *registry.names(_ROLE))


def option_classes() -> list[type]:
    """Return the option classes of all sources that have options, in detection order."""
    classes = [_source_class(name).options_class for name in _by_detection_rank()]
    return [each for each in classes if each is not None]


def open_source(kind: str, url: str | Sequence[str], **options: Any) -> SplitSource:
    """Open a source.

    Args:
        kind: a source such as "shards" (a set, or a folder of sets), "recordings" or "files", or
            "auto" to detect it.
        url: a path or URL; several of shard sets.
        options: fields of the option class of the source.

    Raises:
        ConfigurationError: the kind does not exist, or does not have an option.
        ObjectMissing: the folder is empty.
        SourceError, ShardError: the data is not as expected.
    """
    checks.one_of("kind of source", kind, kinds())
    stores = [open_store(each) for each in ([url] if isinstance(url, str) else url)]
    if kind == _AUTO:
        kind = _detect(stores[0])
        logger.info("%s: detected %s", stores[0].url, kind)
    source_class = _source_class(kind)
    options_class = source_class.options_class
    known = [] if options_class is None else [field.name for field in fields(options_class)]
    checks.some_of(f"options of {kind}", list(options), known)
    return source_class.open(stores, options_class and options_class(**options))


def _source_class(kind: str) -> type[SplitSource]:
    source_class: type[SplitSource] = registry.load(_ROLE, kind)
    return source_class


def _detect(store: Store) -> str:
    """Return the first source that recognizes a folder."""
    names = _by_detection_rank()
    for name in names:
        if _source_class(name).detect(store):
            return name
    raise ObjectMissing(f"{store.url}: expected {', '.join(names)}, got an empty folder")


def _by_detection_rank() -> list[str]:
    return sorted(registry.names(_ROLE), key=lambda name: _source_class(name).detection_rank)
