"""`<dataset>/split_archives`: train, validation and test splits, as tars and tables.

The same data and options give the same bytes and the same version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.orchestration.common.assets import SOURCE, stage_asset
from dataset_assets.orchestration.common.automation import freshness_policy, whole_condition
from dataset_assets.orchestration.common.checks import verification_check, verification_result
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.progress import progress_to
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.split_archives.page import split_metadata
from dataset_assets.orchestration.stages.split_archives.section import SPLIT_ARCHIVES, Splits
from dataset_assets.orchestration.stages.split_archives.source import (
    Folder,
    folder_asset,
    folder_sensor,
)
from dataset_assets.pipelines.split.open_source import open_source
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.source import SplitSource
from dataset_assets.splits.sources import shards
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.storage.store import Store

_DESCRIPTION = (
    "The samples of {names} in archives and tables. Every change of the data or options makes a "
    "new version."
)

_CHECKED = (
    "Every archive is complete and has its hash, counts add up, and no group or file is in two "
    "splits."
)
SPLITS_SOUND = "split_archives_sound"


class SplitConfig(dg.Config):
    """Options of a run, from the launchpad."""

    overwrite: bool = Field(
        default=False,
        description="Recreate the files of the current version, after they were damaged.",
    )


def build(spec: DatasetSpec, upstream: Stage | None) -> dg.Definitions:
    """Build the stage."""
    asset = split_asset(spec, spec.section(Splits), upstream)
    if upstream is not None:
        return dg.Definitions(assets=[asset])
    folder = spec.section(Folder)
    return dg.Definitions(
        assets=[folder_asset(spec, folder), asset], sensors=[folder_sensor(spec, folder)]
    )


def split_asset(spec: DatasetSpec, splits: Splits, upstream: Stage | None) -> dg.AssetsDefinition:
    """Build the asset."""
    options = splits.split_options()
    archives = splits.archive_options()

    @stage_asset(
        spec,
        SPLIT_ARCHIVES,
        _DESCRIPTION.format(names=", ".join(options.ratios)),
        deps=[_dependency(spec, upstream)],
        check_specs=[verification_check(SPLITS_SOUND, spec.key(SPLIT_ARCHIVES), _CHECKED)],
        automation_condition=whole_condition(spec),
        freshness_policy=freshness_policy(spec) if upstream is None else None,
        code_version=_version(options, archives),
        kinds={"tar", "parquet"},
    )
    def make_archives(
        context: dg.AssetExecutionContext, config: SplitConfig, storage: StorageResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        with as_failure():
            store = storage.store(spec.name, SPLIT_ARCHIVES)
            source = open_split_source(spec, upstream, storage)
            if config.overwrite:
                delete_version(store)
            manifest = split_archives(
                source, store, options, archives, progress=progress_to(context.log)
            )
            check = sound_result(manifest, verify_split(store))
            found = split_metadata(store, manifest)
        yield dg.MaterializeResult(
            metadata=found,
            check_results=[check],
            data_version=dg.DataVersion(manifest.version[:16]),
        )

    return make_archives


def open_split_source(
    spec: DatasetSpec, upstream: Stage | None, storage: StorageResource
) -> SplitSource:
    """Open the samples that are split: the shard sets of the upstream stage, or the source folder.

    Raises:
        ConfigurationError: shard sets are missing.
        SourceError, StorageError, ShardError: the source cannot be read.
    """
    if upstream is not None and upstream.shard_sets is not None:
        return shards.SplitSource(upstream.shard_sets(spec, storage))
    folder = spec.section(Folder)
    path = storage.resolve(folder.path)
    return open_source(spec.source.kind, path, **folder.given_options())


def sound_result(manifest: SplitManifest, problems: Sequence[str]) -> dg.AssetCheckResult:
    """Report what verification of the archives found. It blocks: bad archives are not published."""
    files = len(manifest.files)
    samples = manifest.samples
    summary = f"{samples:,} samples in {files:,} files, {len(manifest.splits)} disjoint splits."
    return verification_result(SPLITS_SOUND, problems, summary, files=files, samples=samples)


def delete_version(store: Store) -> None:
    """Delete the files of the current version, if there is one; the next split recreates them."""
    try:
        version_store(store, load_split(store)).delete_tree("")
    except (ObjectMissing, ShardCorrupt):
        return  # there is nothing that the next split would keep


def _dependency(spec: DatasetSpec, upstream: Stage | None) -> dg.AssetKey | dg.AssetDep:
    if upstream is None:
        return spec.key(SOURCE)
    mapping = dg.AllPartitionMapping()
    return dg.AssetDep(spec.key(upstream.name), partition_mapping=mapping)


def _version(options: SplitOptions, archives: ArchiveOptions) -> str:
    """Return a version that changes if and only if the options do."""
    return fingerprint_of([options.to_json(), asdict(archives)])[:12]
