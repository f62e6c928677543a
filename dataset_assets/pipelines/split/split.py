"""`split`: splits the data at a URL into train, validation and test. Called by users.

The work is done by `open_source` and `split_archives`; here are URLs and flat options only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dataset_assets.pipelines.split._writer import Progress
from dataset_assets.pipelines.split.open_source import open_source
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.storage.store import open_store


def split(
    source: str | Sequence[str],
    output: str,
    *,
    kind: str = "auto",
    keep_versions: int = 2,
    progress: Progress | None = None,
    **options: Any,
) -> SplitManifest:
    """Split shards, recordings or files into archives and tables of train, validation and test.

    Equal data and options give equal bytes. You can kill it at any time; the next run resumes.
    Idempotent.

    Args:
        source: path or URL of a shard set, of a folder of shard sets, of a folder of recordings
            (`<recording>/<camera>/<frame>.<extension>`), or of a folder of files. Several shard
            sets are combined.
        output: path or URL of the split. Earlier versions in it stay.
        kind: what the source holds: "shards", "recordings", "files", or "auto" to detect it.
        keep_versions: how many versions stay in the output, the new one included.
        progress: called with (samples done, samples) after each sample that had to be written.
        **options: fields of `SplitOptions` (such as `ratios`, `seed`, `group_by`), of
            `ArchiveOptions` (such as `compression`, `max_archive_bytes`) and of the source
            (`RecordingOptions` or `FileOptions`).

    Returns:
        The manifest: the number of samples of each split, and the files with their sha256.

    Raises:
        ConfigurationError: an option that does not exist, or an invalid value.
        ObjectMissing: the source is empty.
        SourceError, ShardError: the source is not as expected, or has changed during the run.
        StorageError: a store cannot be read or written.

    Example:
        >>> from dataset_assets import split
        >>> halves = {"train": 0.5, "test": 0.5}
        >>> manifest = split("shards", "halves", ratios=halves, group_by="sample")
        >>> list(manifest.splits)
        ['train', 'test']
    """
    given = dict(options)
    split_options = SplitOptions(**_take(given, SplitOptions))
    archive_options = ArchiveOptions(**_take(given, ArchiveOptions))
    return split_archives(
        open_source(kind, source, **given),
        open_store(output),
        split_options,
        archive_options,
        progress=progress,
        keep_versions=keep_versions,
    )


def _take(given: dict[str, Any], options: type[SplitOptions | ArchiveOptions]) -> Mapping[str, Any]:
    """Remove the fields of an option class from the given options and return them."""
    names = {field.name for field in fields(options)}
    return {name: given.pop(name) for name in names & given.keys()}
