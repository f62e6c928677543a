"""`<dataset>/split_archives`: train, validation and test, as tars and tables. The same data and options give the same bytes and the same version."""

from collections.abc import Iterator
from dataclasses import asdict

import dagster as dg
from pydantic import Field

from dataset_assets.orchestration.automation import freshness_policy, step_retries, whole_condition
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import (
    SHARDS,
    SOURCE,
    SPLIT_ARCHIVES,
    STAGED,
    DatasetSpec,
)
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.split_archives.checks import splits_check, splits_result
from dataset_assets.orchestration.stages.split_archives.page import split_metadata
from dataset_assets.orchestration.stages.split_archives.runs import (
    forget_version,
    open_split_source,
    progress_to,
)
from dataset_assets.orchestration.stages.split_archives.section import Splits
from dataset_assets.pipelines.split.split_archives import split_archives, verify_split
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions

_DESCRIPTION = "The samples of {names} in archives and tables. A version of its own for every change of the data or of the options."


class SplitConfig(dg.Config):
    """What the launchpad may tell a run."""

    overwrite: bool = Field(
        default=False,
        description="Make the files of the current version anew: after they were damaged.",
    )


def build_split_archives(spec: DatasetSpec, splits: Splits) -> dg.AssetsDefinition:
    """Build the asset."""
    key, options, archives = (
        spec.key(SPLIT_ARCHIVES),
        splits.split_options(),
        splits.archive_options(),
    )
    reads_source = spec.first_stage == SPLIT_ARCHIVES
    samples = spec.key(SHARDS if spec.source.published is None else STAGED)
    every_partition = dg.AssetDep(samples, partition_mapping=dg.AllPartitionMapping())

    @dg.asset(
        key=key,
        deps=[spec.key(SOURCE) if reads_source else every_partition],
        check_specs=[splits_check(key)],
        automation_condition=whole_condition(spec),
        retry_policy=step_retries(spec),
        freshness_policy=freshness_policy(spec) if reads_source else None,
        code_version=_version(options, archives),
        group_name=spec.name,
        kinds={"tar", "parquet"},
        description=spec.describe(_DESCRIPTION.format(names=", ".join(options.ratios))),
        owners=spec.owners,
        tags=spec.all_tags,
    )
    def make_archives(
        context: dg.AssetExecutionContext, config: SplitConfig, storage: StorageResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        with as_failure():
            store = storage.store(spec.name, SPLIT_ARCHIVES)
            source = open_split_source(spec, storage)
            if config.overwrite:
                forget_version(store)
            manifest = split_archives(
                source, store, options, archives, progress=progress_to(context.log)
            )
            problems = verify_split(store)
            found = split_metadata(store, manifest)
        yield dg.MaterializeResult(
            metadata=found,
            check_results=[splits_result(manifest, problems)],
            data_version=dg.DataVersion(manifest.version[:16]),
        )

    return make_archives


def _version(options: SplitOptions, archives: ArchiveOptions) -> str:
    """Return what changes when, and only when, the options do."""
    return fingerprint_of([options.to_json(), asdict(archives)])[:12]
