"""Opens the sources of a dataset configuration: from its options to those of `training.source`."""

from typing import NamedTuple

from dataset_assets.storage.store import open_store
from dataset_assets.training.captions import CAPTION, CaptionOptions
from dataset_assets.training.configuration import ConfiguredSet, read_configuration
from dataset_assets.training.layout import SourceOptions
from dataset_assets.training.source import TrainingSource, open_training_source


class ConfiguredSource(NamedTuple):
    """One entry of a configuration with its opened source."""

    configured: ConfiguredSet
    source: TrainingSource


def open_configured_sources(url: str) -> tuple[ConfiguredSource, ...]:
    """Open every source of a dataset configuration, in its order.

    Args:
        url: of the JSON file, in any store.

    Raises:
        ObjectMissing: there is no such file, or a source has no files.
        ConfigurationError: it is no configuration.
        SourceError: see `open_training_source`.

    Example:
        >>> for configured, source in open_configured_sources("training.json"):
        ...     print(source.layout, len(source.samples), configured.options.reshape_mode)
        pairs 4 bicubic
    """
    folder, slash, name = url.rpartition("/")
    data = open_store(folder or (slash or ".")).read(name)
    return tuple(
        ConfiguredSource(each, open_training_source(each.url, source_options(each)))
        for each in read_configuration(data, url)
    )


def source_options(configured: ConfiguredSet) -> SourceOptions:
    """Return how to open the source of an entry."""
    columns = source_columns(configured.options.captions)
    return SourceOptions(medium=configured.medium, caption_columns=columns)


def source_columns(options: CaptionOptions) -> tuple[str, ...]:
    """Return the caption columns under the names of the source, before any is renamed.

    Empty where they are found by their names.

    Example:
        >>> source_columns(CaptionOptions(rename_columns={"note": "caption"}))
        ('note',)
    """
    before = {new: old for old, new in options.rename_columns.items()}
    columns = options.caption_columns or ((CAPTION,) if CAPTION in before else ())
    return tuple(before.get(column, column) for column in columns)
