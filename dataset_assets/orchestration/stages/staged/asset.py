"""`<dataset>/staged`: a published dataset as shards, one partition for each of its parts.

If a run is interrupted, the next one resumes after the committed shards.
"""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.automation import partition_condition, step_retries
from dataset_assets.orchestration.common.external import SOURCE, external_asset
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.progress import progress_to
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.environment import source_credentials
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.staged.checks import staged_checks, staged_results
from dataset_assets.orchestration.stages.staged.page import staged_metadata
from dataset_assets.orchestration.stages.staged.section import (
    STAGED,
    PublishedSource,
    StagedSection,
)
from dataset_assets.orchestration.stages.staged.sensor import build_archive_sensors
from dataset_assets.pipelines.stage.stage import StoreAccess, stage
from dataset_assets.records.shards import Manifest
from dataset_assets.records.staged import License

POOL = "downloads"
_DESCRIPTION = "{kind}, read from its archives: {layout}. {terms}"
_LAYOUTS = {
    "shards": "images with label maps and annotations in shards",
    "objects": "one object per image",
}


def build(spec: DatasetSpec, _: Stage | None) -> dg.Definitions:
    """Build the stage."""
    published = spec.section(PublishedSource)
    return dg.Definitions(
        assets=[published_archives(spec, published), staged_asset(spec, published)],
        sensors=build_archive_sensors(spec, published),
    )


def published_archives(spec: DatasetSpec, published: PublishedSource) -> dg.AssetSpec:
    """Describe the archives, which are external."""
    terms = published.source().license
    paths = [metadata.plain_text(path) for path in published.given_paths]
    where = ", ".join(f"`{path}`" for path in paths) or "its site"
    about = {
        "terms": terms.name,
        "terms url": terms.url,
        "redistributable": terms.redistributable,
    }
    return external_asset(spec, SOURCE, f"The archives of {published.kind}, from {where}.", about)


def staged_asset(spec: DatasetSpec, published: PublishedSource) -> dg.AssetsDefinition:
    """Build the asset."""
    key = spec.key(STAGED)
    section = spec.section(StagedSection)
    options = section.options()
    source = published.source()
    redistributable = str(source.license.redistributable).lower()
    description = _DESCRIPTION.format(
        kind=source.kind, layout=_LAYOUTS[options.layout], terms=_terms(source.license)
    )

    @dg.asset(
        key=key,
        deps=[spec.key(SOURCE)],
        partitions_def=dg.StaticPartitionsDefinition(list(source.partitions)),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        io_manager_key="manifests",
        check_specs=staged_checks(key, section.min_success_rate),
        automation_condition=partition_condition(spec),
        retry_policy=step_retries(spec),
        pool=POOL,
        group_name=spec.name,
        kinds={"image", "webdataset"} if options.layout == "shards" else {"image"},
        description=spec.describe(description),
        owners=spec.owners,
        tags={**spec.all_tags, "redistributable": redistributable},
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
            checks = staged_results(store, report, section.min_success_rate)
        version = dg.DataVersion(report.manifest.fingerprint[:16])
        yield dg.MaterializeResult(
            value=report.manifest, metadata=found, check_results=checks, data_version=version
        )

    return staged


def _terms(terms: License) -> str:
    text = f"Terms: {terms.name}, {terms.url}."
    return text if terms.redistributable else f"{text} They forbid redistribution."
