"""`<dataset>/staged`: a published dataset as shards, one partition for each of its parts. Killed and run again it goes on where it was."""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.automation import shards_condition, step_retries
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import SOURCE, STAGED, DatasetSpec
from dataset_assets.orchestration.environment import source_credentials
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.split_archives.runs import progress_to
from dataset_assets.orchestration.stages.staged.checks import staged_checks, staged_results
from dataset_assets.orchestration.stages.staged.page import staged_metadata
from dataset_assets.orchestration.stages.staged.section import Published
from dataset_assets.pipelines.stage.stage import StoreAccess, stage
from dataset_assets.records.shards import Manifest

POOL = "downloads"
_DESCRIPTION = "{kind}, straight from its archives: {layout}. {terms}"
_LAYOUTS = {
    "shards": "images with label maps and annotations in shards",
    "objects": "one object per image",
}


def build_staged(spec: DatasetSpec, published: Published) -> dg.AssetsDefinition:
    """Build the asset."""
    key, options = spec.key(STAGED), spec.staged.options()
    source = published.source()

    @dg.asset(
        key=key,
        deps=[spec.key(SOURCE)],
        partitions_def=dg.StaticPartitionsDefinition(list(source.partitions)),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        io_manager_key="manifests",
        check_specs=staged_checks(key, spec),
        automation_condition=shards_condition(spec),
        retry_policy=step_retries(spec),
        pool=POOL,
        group_name=spec.name,
        kinds={"image", "webdataset"} if options.layout == "shards" else {"image"},
        description=spec.describe(
            _DESCRIPTION.format(
                kind=source.kind, layout=_LAYOUTS[options.layout], terms=_terms(published)
            )
        ),
        owners=spec.owners,
        tags={**spec.all_tags, "redistributable": str(source.license.redistributable).lower()},
    )
    def staged(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> Iterator[dg.MaterializeResult[Manifest]]:
        with as_failure():
            store = storage.store(spec.name, STAGED, context.partition_key)
            report = stage(
                published.source(storage.resolve),
                store,
                options,
                partition=context.partition_key,
                progress=progress_to(context.log),
                access=StoreAccess(store, secret=source_credentials()),
            )
            found = staged_metadata(store, report)
            checks = staged_results(store, report, spec)
        version = dg.DataVersion(report.manifest.fingerprint[:16])
        yield dg.MaterializeResult(
            value=report.manifest, metadata=found, check_results=checks, data_version=version
        )

    return staged


def _terms(published: Published) -> str:
    license_ = published.source().license
    return f"Terms: {license_.name}, {license_.url}." + (
        "" if license_.redistributable else " They forbid to publish the data."
    )
