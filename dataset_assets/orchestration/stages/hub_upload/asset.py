"""`<dataset>/hub_upload`: the splits where everybody can load them. Safe to repeat: what is there already is not sent again."""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.automation import step_retries, whole_condition
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import HUB_UPLOAD, SPLIT_ARCHIVES, DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.hub_upload.page import upload_metadata
from dataset_assets.orchestration.stages.hub_upload.section import Hub
from dataset_assets.orchestration.stages.hub_upload.target import open_target
from dataset_assets.orchestration.stages.split_archives.checks import upload_check, upload_result
from dataset_assets.pipelines.publish.publish import publication_files, publish, verify_publication
from dataset_assets.pipelines.split.split_archives import load_split

POOL = "uploads"
_DESCRIPTION = "The splits in the repository `{repo}`: one commit with the card in it, which `load_dataset` reads from anywhere."


def build_hub_upload(spec: DatasetSpec, hub: Hub) -> dg.AssetsDefinition:
    """Build the asset."""
    key = spec.key(HUB_UPLOAD)

    @dg.asset(
        key=key,
        deps=[spec.key(SPLIT_ARCHIVES)],
        check_specs=[upload_check(key)],
        automation_condition=whole_condition(spec),
        retry_policy=step_retries(spec),
        pool=POOL,
        group_name=spec.name,
        kinds={"huggingface"},
        description=spec.describe(_DESCRIPTION.format(repo=hub.repo)),
        owners=spec.owners,
        tags=spec.all_tags,
    )
    def upload(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        with as_failure():
            store, options = storage.store(spec.name, SPLIT_ARCHIVES), spec.publish_options(hub)
            manifest, target = load_split(store), open_target(hub, storage)
            files = publication_files(store, manifest, hub.repo, options)
            published = publish(store, target, options)
            context.log.info(
                "%s is at %s, %d files changed",
                published.repo,
                published.revision,
                published.added + published.deleted,
            )
            problems = verify_publication(target, published, files)
            found = upload_metadata(published, manifest, files)
        version = dg.DataVersion(published.revision[:16])
        yield dg.MaterializeResult(
            metadata=found, check_results=[upload_result(published, problems)], data_version=version
        )

    return upload
