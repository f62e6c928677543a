"""`split_archives`: writes the archives and tables of the splits of a source, as one version.

Equal sources and options give equal bytes, wherever and however often they are written. If a run is
interrupted, the next one writes what is missing. `current.json` points at complete versions only.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import pyarrow as pa

from dataset_assets import checks
from dataset_assets.errors import EmptyList, ShardCorrupt
from dataset_assets.pipelines.split._writer import Progress, VersionWriter
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.splits import SourceSample, SplitCount, SplitManifest
from dataset_assets.shards.lease import Lease
from dataset_assets.splits.assign import assign
from dataset_assets.splits.groups import SampleGroup, digest_of, group_samples
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions, plan_files
from dataset_assets.splits.source import SplitSource, check_sample_key
from dataset_assets.splits.versions import (
    ASSIGNMENT,
    MANIFEST,
    begin_version,
    folder_of,
    point_at,
    read_manifest,
    sweep_versions,
)
from dataset_assets.storage.parquet import ParquetSink
from dataset_assets.storage.store import Store

logger = logging.getLogger(__name__)

_TEXTS = ("key", "group", "split", "stratum", "digest")
_SCHEMA = pa.schema([*((name, pa.string()) for name in _TEXTS), ("bytes", pa.int64())])


class _Assigned(NamedTuple):
    """A sample with its group and its split."""

    sample: SourceSample
    group: SampleGroup
    split: str


def split_archives(
    source: SplitSource,
    store: Store,
    options: SplitOptions | None = None,
    archives: ArchiveOptions | None = None,
    *,
    progress: Progress | None = None,
    keep_versions: int = 2,
) -> SplitManifest:
    """Assign the samples of a source to splits and write the files of each. Idempotent.

    Args:
        source: the samples.
        store: a folder for the split alone; `splits.versions` describes its files.
        options: which sample goes where; None is the defaults.
        archives: what the files look like; None is the defaults.
        progress: called with (samples done, samples) after each sample that had to be written.
        keep_versions: how many versions stay, the new one included.

    Raises:
        ConfigurationError: options that cannot work with this source, or a key that is not safe in
            an archive.
        EmptyList: the source has no samples.
        ShardCorrupt, ObjectMissing: the source has changed since it was listed.
        SetInUse: another run is at work in the folder; nothing was changed.
        DiskFull, StorageError: the store refuses the bytes; committed files stay, run again to
            resume.
    """
    options = options or SplitOptions()
    archives = archives or ArchiveOptions()
    checks.integer("keep_versions", keep_versions, low=1)
    store.check_writable()
    version = _version(source, options, archives)
    with Lease(store) as lease:
        sweep_versions(store)
        manifest = _complete_manifest(folder_of(store, version))
        if manifest is None:
            manifest = _write_version(source, store, version, options, archives, lease, progress)
        lease.check()
        point_at(store, version, keep_versions=keep_versions)
        lease.is_complete = True
    return manifest


def _version(source: SplitSource, options: SplitOptions, archives: ArchiveOptions) -> str:
    """Digest everything that shapes the bytes of a version.

    The order of the ratios and of the columns counts.
    """
    inputs = {
        "schema_version": SCHEMA_VERSION,
        "source": [source.kind, source.media, list(source.columns.items()), source.fingerprint],
        "split": options.to_json(),
        "archives": asdict(archives),
    }
    if terms := _license_terms(source):
        inputs["terms"] = terms
    return fingerprint_of(inputs)


def _complete_manifest(folder: Store) -> SplitManifest | None:
    """Return the manifest of a version; None if it is unreadable, or if a file is missing."""
    try:
        manifest = read_manifest(folder)
    except ShardCorrupt as exc:
        logger.warning("%s", exc)
        return None
    if manifest is None or folder.size(ASSIGNMENT) is None:
        return None
    is_complete = all(folder.size(file.name) == file.bytes for file in manifest.files)
    return manifest if is_complete else None


def _assigned(source: SplitSource, options: SplitOptions) -> list[_Assigned]:
    """Assign all samples, sorted by key.

    Raises:
        ConfigurationError: a key is not safe, or the options do not fit the samples.
        EmptyList: there are no samples.
    """
    samples = sorted(source.samples(), key=lambda sample: check_sample_key(sample.key))
    if not samples:
        raise EmptyList(f"source ({source.kind}): expected at least one sample, got none")
    groups = group_samples(samples, options)
    split_of_group = assign(groups, options)
    group_of = {key: group for group in groups for key in group.keys}
    rows = []
    for sample in samples:
        group = group_of[sample.key]
        rows.append(_Assigned(sample, group, split_of_group[group.name]))
    return rows


def _write_version(
    source: SplitSource,
    store: Store,
    version: str,
    options: SplitOptions,
    archives: ArchiveOptions,
    lease: Lease,
    progress: Progress | None,
) -> SplitManifest:
    """Write the files that are missing, the assignment, then the manifest."""
    rows = _assigned(source, options)
    by_split = {split: [row for row in rows if row.split == split] for split in options.ratios}
    samples = {split: [row.sample for row in of_split] for split, of_split in by_split.items()}
    plans = plan_files(samples, source.media, archives)
    folder = begin_version(store, version)
    with VersionWriter(folder, source, archives, lease) as writer:
        files = writer.write(plans, samples, progress)
    lease.check()
    _write_assignment(folder, rows)
    manifest = SplitManifest(
        version=version,
        source_fingerprint=source.fingerprint,
        media=source.media,
        columns=dict(source.columns),
        splits={split: _count(of_split) for split, of_split in by_split.items()},
        files=tuple(sorted(files, key=lambda file: file.name)),
        options={
            **options.to_json(),
            **asdict(archives),
            "source": source.kind,
            **_license_terms(source),
        },
    )
    lease.check()
    folder.write(MANIFEST, manifest.to_json())
    return manifest


def _license_terms(source: SplitSource) -> dict[str, Any]:
    """Return what `publish` must know of a license that forbids publication; else nothing."""
    if source.restriction is None:
        return {}
    return {"redistributable": False, "source_license": asdict(source.restriction)}


def _count(rows: Sequence[_Assigned]) -> SplitCount:
    groups = {row.group.name for row in rows}
    return SplitCount(len(rows), len(groups), sum(row.sample.bytes for row in rows))


def _write_assignment(folder: Store, rows: Sequence[_Assigned]) -> None:
    """Write the table of which split each sample is in, and why."""
    columns = {
        "key": [row.sample.key for row in rows],
        "group": [row.group.name for row in rows],
        "split": [row.split for row in rows],
        "stratum": [row.group.stratum for row in rows],
        "digest": [digest_of(row.sample) for row in rows],
        "bytes": [row.sample.bytes for row in rows],
    }
    table = pa.table(columns, schema=_SCHEMA)
    with ParquetSink(folder.stage(ASSIGNMENT), _SCHEMA, compression="zstd") as sink:
        sink.write(table)
        sink.commit()
