"""`<dataset>/staged`: a published dataset as shards, one partition for each of its parts.

If a run is interrupted, the next one resumes after the committed shards. The sensor `new_archives`
stages all parts again when a copy of an archive or an export changes.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.assets import SOURCE, external_asset, stage_asset
from dataset_assets.orchestration.common.automation import partition_condition
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.progress import progress_to
from dataset_assets.orchestration.common.sensors import build_source_sensor
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
from dataset_assets.pipelines.stage.stage import StageOptions, StoreAccess, stage
from dataset_assets.records.shards import Manifest
from dataset_assets.records.staged import License
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import Store, open_store

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
        sensors=archive_sensors(spec, published),
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
    options = section.build(StageOptions)
    source = published.source()
    redistributable = str(source.license.redistributable).lower()
    description = _DESCRIPTION.format(
        kind=source.kind, layout=_LAYOUTS[options.layout], terms=_terms(source.license)
    )

    @stage_asset(
        spec,
        STAGED,
        description,
        deps=[spec.key(SOURCE)],
        partitions_def=dg.StaticPartitionsDefinition(list(source.partitions)),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        io_manager_key="manifests",
        check_specs=staged_checks(key, section.min_success_rate),
        automation_condition=partition_condition(spec),
        pool=POOL,
        kinds={"image", "webdataset"} if options.layout == "shards" else {"image"},
        tags={"redistributable": redistributable},
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


def archive_sensors(spec: DatasetSpec, published: PublishedSource) -> list[dg.SensorDefinition]:
    """Build the sensor if there are paths to watch: archives on the web do not change."""
    paths = [path for path in published.given_paths if not path.startswith(("http://", "https://"))]
    if not paths:
        return []

    def listing(storage: StorageResource) -> Iterator[tuple[str, str, int, float]]:
        for path in paths:
            folder, _, name = storage.resolve(path).rstrip("/").rpartition("/")
            for info in open_store(folder or "/").list(name):
                if info.key == name or info.key.startswith(f"{name}/"):
                    yield path, info.key, info.bytes, info.modified

    sensor = build_source_sensor(
        spec,
        STAGED,
        "archives",
        listing,
        description="Stages all parts again when an archive or export has changed.",
        partitions=published.partitions_made,
    )
    return [sensor]


def partition_sets(spec: DatasetSpec, storage: StorageResource) -> list[Store]:
    """Return the shard sets of all parts of a published dataset.

    Raises:
        ConfigurationError: some are not staged.
    """
    return staged_sets(spec, storage, spec.section(PublishedSource).partitions_made)


def staged_sets(
    spec: DatasetSpec, storage: StorageResource, partitions: Sequence[str]
) -> list[Store]:
    """Return the shard sets of some parts.

    Raises:
        ConfigurationError: some are not staged.
    """
    sets = {part: storage.store(spec.name, STAGED, part) for part in partitions}
    if missing := [part for part, store in sets.items() if store.size(MANIFEST) is None]:
        asset = spec.key(STAGED).to_user_string()
        raise ConfigurationError(
            f"partitions {', '.join(missing)} of {asset} are missing: materialize them first"
        )
    return list(sets.values())
