"""`<dataset>/embeddings/<encoder>`: arrays of each sample, for the partitions of its shards.

Only what changed is computed: a partition whose shards and encoder are the same is kept.
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.assets import stage_asset
from dataset_assets.orchestration.common.automation import partition_condition
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.progress import progress_to
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.partitions import partitions_of
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.embeddings.checks import (
    complete_result,
    embedding_checks,
    sound_result,
)
from dataset_assets.orchestration.stages.embeddings.page import embedding_metadata
from dataset_assets.orchestration.stages.embeddings.section import (
    EMBEDDINGS,
    EmbeddingsBase,
    EncoderSection,
)
from dataset_assets.orchestration.stages.shards.section import SHARDS
from dataset_assets.orchestration.stages.staged.section import PublishedSource
from dataset_assets.pipelines.embed.embed import EmbedReport, embed
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import Manifest
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import Store

POOL = "encoders"
_DESCRIPTION = (
    "Embeddings by `{encoder}`: arrays of each sample in safetensors files, read by key with "
    "`EmbeddingSet`."
)


def build(spec: DatasetSpec, upstream: Stage | None) -> dg.Definitions:
    """Build the stage."""
    if upstream is None:
        return dg.Definitions()
    sections = spec.section(EmbeddingsBase).encoders
    assets = [embeddings_asset(spec, section, upstream) for section in sections.values()]
    return dg.Definitions(assets=assets)


def embeddings_asset(
    spec: DatasetSpec, section: EncoderSection, upstream: Stage
) -> dg.AssetsDefinition:
    """Build the asset of one encoder."""
    encoder = section.encoder
    key = spec.key(EMBEDDINGS, encoder)
    options = section.encoder_options()

    @stage_asset(
        spec,
        EMBEDDINGS,
        _DESCRIPTION.format(encoder=encoder),
        part=encoder,
        deps=[spec.key(upstream.name)],
        partitions_def=_partitions(spec, upstream),
        backfill_policy=dg.BackfillPolicy.multi_run(section.max_partitions_per_run),
        io_manager_key="manifests",
        check_specs=embedding_checks(key, section.min_success_rate),
        automation_condition=partition_condition(spec),
        pool=POOL,
        code_version=fingerprint_of([encoder, options], sort_keys=True)[:12],
        kinds={"safetensors"},
    )
    def embeddings(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> Iterator[dg.MaterializeResult[dict[str, Manifest]]]:
        with as_failure():
            reports: dict[str, EmbedReport] = {}
            for partition in context.partition_keys:
                reports[partition] = embed(
                    _source(spec, upstream, storage, partition),
                    storage.store(*key.path, partition),
                    encoder,
                    options,
                    caption_column=section.caption_column,
                    options=section.embed_options(),
                    progress=progress_to(context.log),
                )
            for partition, report in reports.items():
                store = storage.store(*key.path, partition)
                source = storage.store(spec.name, upstream.name, partition)
                found = embedding_metadata(store, source, report)
                context.add_asset_metadata(found, partition_key=partition)
            yield _materialized(key, reports, section, storage)

    return embeddings


def _materialized(
    key: dg.AssetKey,
    reports: Mapping[str, EmbedReport],
    section: EncoderSection,
    storage: StorageResource,
) -> dg.MaterializeResult[dict[str, Manifest]]:
    manifests = {partition: report.manifest for partition, report in reports.items()}
    problems = {
        partition: verify_set(storage.store(*key.path, partition), deep=False, manifest=manifest)
        for partition, manifest in manifests.items()
    }
    checks = [
        sound_result(problems),
        complete_result(manifests.values(), section.min_success_rate),
    ]
    return dg.MaterializeResult(value=manifests, check_results=checks)


def _source(spec: DatasetSpec, upstream: Stage, storage: StorageResource, partition: str) -> Store:
    """Return the shard set of a partition.

    Raises:
        ConfigurationError: it is not made yet.
    """
    store = storage.store(spec.name, upstream.name, partition)
    if store.size(MANIFEST) is None:
        asset = spec.key(upstream.name).to_user_string()
        raise ConfigurationError(
            f"partition {partition} of {asset} is missing: materialize it first"
        )
    return store


def _partitions(spec: DatasetSpec, upstream: Stage) -> dg.PartitionsDefinition[str]:
    """Return the partitions of the stage that is read."""
    if upstream.name == SHARDS:
        return partitions_of(spec.name)
    return dg.StaticPartitionsDefinition(list(spec.section(PublishedSource).partitions_made))
