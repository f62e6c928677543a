"""`split`: splits the data at a URL into train, validation and test. Called by users.

The work is done by `open_source` and `split_archives`; here are URLs and flat options only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.split._writer import Progress
from dataset_assets.pipelines.split.open_source import open_source
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.storage.store import Store, open_store


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
        ConfigurationError: an option that does not exist, an invalid value, or an output in a
            source.
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
    output_store = open_store(output)
    _check_apart([source] if isinstance(source, str) else source, output_store)
    given = dict(options)
    split_options = SplitOptions(**_take(given, SplitOptions))
    archive_options = ArchiveOptions(**_take(given, ArchiveOptions))
    return split_archives(
        open_source(kind, source, **given),
        output_store,
        split_options,
        archive_options,
        progress=progress,
        keep_versions=keep_versions,
    )


def _check_apart(sources: Sequence[str], output: Store) -> None:
    """Accept an output that is not in a source: the next run would take its files for samples.

    Raises:
        ConfigurationError: it is.
    """
    for source in sources:
        folder = open_store(source).url.rstrip("/")
        if f"{output.url.rstrip('/')}/".startswith(f"{folder}/"):
            raise ConfigurationError(
                f"output: expected a folder outside the source {folder}, got {output.url}; "
                "choose another output"
            )


def _take(given: dict[str, Any], options: type[SplitOptions | ArchiveOptions]) -> Mapping[str, Any]:
    """Remove the fields of an option class from the given options and return them."""
    names = {field.name for field in fields(options)}
    return {name: given.pop(name) for name in names & given.keys()}
