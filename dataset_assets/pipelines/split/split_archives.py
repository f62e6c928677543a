"""`split_archives`: a source in, archives and tables of its splits out, as one version beside the earlier ones.

Equal sources and options give equal bytes, wherever and however often they are written. Killed at any point and started again, it makes what is
missing; `current.json` points at whole versions only.
"""

import hashlib
import io
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError, EmptyList, ShardCorrupt
from dataset_assets.pipelines.split._writer import Progress, VersionWriter
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.splits import ArchiveFile, SourceSample, SplitCount, SplitManifest
from dataset_assets.splits.assign import assign
from dataset_assets.splits.groups import Group, digest_of, group_samples
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions, plan_files
from dataset_assets.splits.source import Source, check_sample_key
from dataset_assets.splits.sources.shards import ShardSource
from dataset_assets.splits.versions import (
    ABANDONED_S,
    ASSIGNMENT,
    MANIFEST,
    RECORDS,
    folder_of,
    load_split,
    point_at,
    read_manifest,
    version_store,
)
from dataset_assets.storage.store import Store

__all__ = [
    "ArchiveOptions",
    "SplitOptions",
    "load_split",
    "split_archives",
    "verify_split",
    "version_store",
]

logger = logging.getLogger(__name__)

#: Shows those who clean up that a version was begun, before its first file is whole.
_STARTED = f"{RECORDS}/started"
_TEXTS = ("key", "group", "split", "stratum", "digest")
_SCHEMA = pa.schema([*((name, pa.string()) for name in _TEXTS), ("bytes", pa.int64())])


def split_archives(
    source: Source,
    store: Store,
    options: SplitOptions | None = None,
    archives: ArchiveOptions | None = None,
    *,
    progress: Progress | None = None,
    keep_versions: int = 2,
) -> SplitManifest:
    """Deal the samples of a source out to splits and write the files of each. Idempotent.

    Args:
        source: what to split.
        store: a folder of its own; see `splits.versions` for what is in it.
        options: who goes where.
        archives: what the files look like.
        progress: called with (samples written, samples) after each sample that had to be written.
        keep_versions: how many stay, the new one included.

    Raises:
        ConfigurationError: options that can not work with this source, or a key that is not safe in an archive.
        EmptyList: the source has no samples.
        ShardCorrupt, ObjectMissing: the source has changed under the reader.
        DiskFull, StorageError: what is committed stays; run again to go on.
    """
    options, archives = options or SplitOptions(), archives or ArchiveOptions()
    if keep_versions < 1:
        raise ConfigurationError(
            f"keep_versions: expected at least 1, the version that is made, came {keep_versions!r}"
        )
    store.check_writable()
    version = _version(source, options, archives)
    folder = folder_of(store, version)
    folder.sweep(older_than_s=ABANDONED_S)
    known = _known(folder)
    if known is None or not _is_whole(folder, known):
        known = _make(
            source, folder, (version, options, archives), known.files if known else (), progress
        )
    point_at(store, version, keep_versions=keep_versions)
    return known


def _version(source: Source, options: SplitOptions, archives: ArchiveOptions) -> str:
    """Digest everything that shapes the bytes of a version. The order of the ratios and of the columns counts."""
    inputs = {
        "schema_version": SCHEMA_VERSION,
        "source": [source.kind, source.media, list(source.columns.items()), source.fingerprint],
        "split": options.to_json(),
        "archives": asdict(archives),
    }
    if terms := _terms(source):
        inputs["terms"] = terms
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def _known(folder: Store) -> SplitManifest | None:
    """Return the manifest of a version that was finished before. One that is no longer readable is written again."""
    try:
        return read_manifest(folder)
    except ShardCorrupt as exc:
        logger.warning("%s", exc)
        return None


def _is_whole(folder: Store, manifest: SplitManifest) -> bool:
    return folder.size(ASSIGNMENT) is not None and all(
        folder.size(file.name) == file.bytes for file in manifest.files
    )


def _make(
    source: Source,
    folder: Store,
    decided: tuple[str, SplitOptions, ArchiveOptions],
    known: Sequence[ArchiveFile],
    progress: Progress | None,
) -> SplitManifest:
    version, options, archives = decided
    samples = sorted(source.samples(), key=lambda sample: check_sample_key(sample.key))
    if not samples:
        raise EmptyList(f"the source ({source.kind}) has no samples: there is nothing to split")
    groups = group_samples(samples, options)
    split_of_group = assign(groups, options)
    group_of = {key: group for group in groups for key in group.keys}
    splits: dict[str, list[SourceSample]] = {split: [] for split in options.ratios}
    for sample in samples:
        splits[split_of_group[group_of[sample.key].name]].append(sample)
    plans = plan_files(splits, source.media, archives)
    folder.write(_STARTED, b"", durable=False)
    with VersionWriter(folder, source, archives, known) as writer:
        files = writer.write(plans, splits, progress)
    folder.write(ASSIGNMENT, _assignment(samples, group_of, split_of_group))
    manifest = SplitManifest(
        version=version,
        source_fingerprint=source.fingerprint,
        media=source.media,
        columns=dict(source.columns),
        splits={split: _count(dealt, group_of) for split, dealt in splits.items()},
        files=tuple(sorted(files, key=lambda file: file.name)),
        options={**options.to_json(), **asdict(archives), "source": source.kind, **_terms(source)},
    )
    folder.write(MANIFEST, manifest.to_json())
    return manifest


def _terms(source: Source) -> dict[str, Any]:
    """Return what `publish` has to know of the license of a staged dataset; nothing where nothing is forbidden."""
    license_ = source.restriction if isinstance(source, ShardSource) else None
    return (
        {} if license_ is None else {"redistributable": False, "source_license": asdict(license_)}
    )


def _count(samples: Sequence[SourceSample], group_of: Mapping[str, Group]) -> SplitCount:
    groups = {group_of[sample.key].name for sample in samples}
    return SplitCount(len(samples), len(groups), sum(sample.bytes for sample in samples))


def _assignment(
    samples: Sequence[SourceSample],
    group_of: Mapping[str, Group],
    split_of_group: Mapping[str, str],
) -> bytes:
    """Return the parquet file that says where every sample went, and why."""
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    for sample in samples:
        group = group_of[sample.key]
        row = (
            sample.key,
            group.name,
            split_of_group[group.name],
            group.stratum,
            digest_of(sample),
            sample.bytes,
        )
        for name, value in zip(columns, row, strict=True):
            columns[name].append(value)
    sink = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_SCHEMA), sink, compression="zstd")
    return sink.getvalue()
