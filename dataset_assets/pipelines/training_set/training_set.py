"""`training_set`: lists the samples of a source with their buckets. Called by users.

The source is opened by `training.source` and the files are written by `_write`; here are URLs and
flat options only.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from dataset_assets import checks
from dataset_assets.pipelines.training_set._write import SkipPolicy, write_training_set
from dataset_assets.records.training_sets import TrainingSetSummary
from dataset_assets.storage.store import open_store
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.configured_source import source_columns
from dataset_assets.training.layout import SourceOptions
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.source import open_training_source


def training_set(
    source: str,
    output: str,
    *,
    threads: int = 8,
    max_skipped_fraction: float = 0.1,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> TrainingSetSummary:
    """Measure images or videos with captions, and write the table of their resolution buckets.

    Nothing is copied, decoded or scaled: the table says where each sample is. Samples that cannot
    be used are kept in it with a cause. Equal data and options give equal bytes. If it is killed,
    an earlier set in the output stays whole. Idempotent.

    Args:
        source: path or URL of a folder, of a shard set or split of this package, or a repository on
            the Hub (`org/name`).
        output: path or URL of a folder for the set alone.
        threads: samples that are read at a time.
        max_skipped_fraction: share of samples that may be damaged or lack a caption; those that the
            options leave out are not counted.
        progress: called with (samples done, samples).
        **options: fields of `SourceOptions` (such as `layout`, `medium`), of `SampleOptions` (such
            as `image_resolution_buckets`, `reshape_mode`) and of `CaptionOptions` (such as
            `id_token`).

    Returns:
        The summary: samples in each bucket, what was skipped and why, and what embeddings will take
        on disk.

    Raises:
        ConfigurationError: an option that does not exist, or an invalid value.
        ObjectMissing: the source is empty.
        SourceError: the source is not as its layout asks, or has no usable samples.
        TooManyBadSamples: more samples are unusable than allowed.
        SetInUse: another run is at work in the output.
        StorageError: a store cannot be read or written.

    Example:
        >>> from dataset_assets import training_set
        >>> summary = training_set("shards", "set", image_resolution_buckets=[[64, 64], [64, 96]])
        >>> list(summary.buckets)
        ['1x64x64']
    """
    given = dict(options)
    of_source = {each.name for each in fields(SourceOptions)}
    of_captions = {each.name for each in fields(CaptionOptions)}
    of_samples = {each.name for each in fields(SampleOptions)} - {"captions"}
    checks.some_of("options", list(given), sorted(of_source | of_captions | of_samples))
    captions = CaptionOptions(**_only(given, of_captions))
    sample_options = SampleOptions(**_only(given, of_samples), captions=captions)
    policy = SkipPolicy(threads=threads, max_skipped_fraction=max_skipped_fraction)
    store = open_store(output)
    given["caption_columns"] = source_columns(captions)
    opened = open_training_source(source, SourceOptions(**_only(given, of_source)))
    return write_training_set(opened, store, sample_options, policy, progress=progress)


def _only(given: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Return the given options of one class."""
    return {name: value for name, value in given.items() if name in names}
