"""`<dataset>/training_set`: the manifest of samples for training, each with its bucket.

Nothing is copied: the table says where each sample is. Idempotent.
"""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.common.assets import stage_asset
from dataset_assets.orchestration.common.automation import whole_condition
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.progress import progress_to
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.staged.asset import staged_sets
from dataset_assets.orchestration.stages.staged.section import STAGED, PublishedSource
from dataset_assets.orchestration.stages.training_set.checks import (
    training_set_check,
    training_set_result,
)
from dataset_assets.orchestration.stages.training_set.page import training_set_metadata
from dataset_assets.orchestration.stages.training_set.section import (
    TRAINING_SET,
    TrainingSetSection,
)
from dataset_assets.records.fingerprint import fingerprint_of

_DESCRIPTION = (
    "Samples for training with their captions and resolution buckets: `open_training_set` reads "
    "them by position and key, `training_loader` in batches of one bucket."
)


def build(spec: DatasetSpec, upstream: Stage | None) -> dg.Definitions:
    """Build the stage."""
    if upstream is None:
        return dg.Definitions()
    section = spec.section(TrainingSetSection)
    return dg.Definitions(assets=[training_set_asset(spec, section, upstream)])


def training_set_asset(
    spec: DatasetSpec, section: TrainingSetSection, upstream: Stage
) -> dg.AssetsDefinition:
    """Build the asset."""
    options = section.sample_options()

    @stage_asset(
        spec,
        TRAINING_SET,
        _DESCRIPTION,
        deps=[_dependency(spec, section, upstream)],
        check_specs=[training_set_check(spec.key(TRAINING_SET))],
        automation_condition=whole_condition(spec),
        code_version=fingerprint_of(options.to_json(), sort_keys=True)[:12],
        kinds={"parquet"},
    )
    def training_set(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        # Loads OpenCV.
        from dataset_assets.pipelines.training_set.training_set import training_set as make_set

        with as_failure():
            store = storage.store(spec.name, TRAINING_SET)
            summary = make_set(
                _source_url(spec, section, upstream, storage),
                store.url,
                progress=progress_to(context.log),
                **section.arguments(),
            )
            found = training_set_metadata(store, summary)
        yield dg.MaterializeResult(
            metadata=found,
            check_results=[training_set_result(summary)],
            data_version=dg.DataVersion(summary.fingerprint[:16]),
        )

    return training_set


def _partition(spec: DatasetSpec, section: TrainingSetSection) -> str:
    return section.partition or spec.section(PublishedSource).partitions_made[0]


def _dependency(spec: DatasetSpec, section: TrainingSetSection, upstream: Stage) -> dg.AssetDep:
    mapping: dg.PartitionMapping = dg.AllPartitionMapping()
    if upstream.name == STAGED:
        mapping = dg.SpecificPartitionsPartitionMapping([_partition(spec, section)])
    return dg.AssetDep(spec.key(upstream.name), partition_mapping=mapping)


def _source_url(
    spec: DatasetSpec, section: TrainingSetSection, upstream: Stage, storage: StorageResource
) -> str:
    """Return the folder with the samples.

    Raises:
        ConfigurationError: shard sets are missing.
    """
    if upstream.name == STAGED:
        (store,) = staged_sets(spec, storage, [_partition(spec, section)])
        return store.url
    if upstream.shard_sets is not None:
        upstream.shard_sets(spec, storage)  # all of them, or an error that says what is missing
    return storage.store(spec.name, upstream.name).url
