"""`<dataset>/hub_upload`: the splits in a repository, from which anyone can load them.

Idempotent: files that are already in the repository are not uploaded again.
"""

from collections.abc import Iterator

import dagster as dg

from dataset_assets.orchestration.common.assets import external_asset, stage_asset
from dataset_assets.orchestration.common.automation import whole_condition
from dataset_assets.orchestration.common.checks import verification_check, verification_result
from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.stages.hub_upload.page import upload_metadata
from dataset_assets.orchestration.stages.hub_upload.section import (
    HUB_REPO,
    HUB_UPLOAD,
    Hub,
    open_repository,
    publish_options,
)
from dataset_assets.orchestration.stages.hub_upload.sensor import build_hub_sensor
from dataset_assets.orchestration.stages.split_archives.section import SPLIT_ARCHIVES
from dataset_assets.pipelines.publish.publish import publication_files, publish_split
from dataset_assets.pipelines.verify.publication import verify_publication
from dataset_assets.splits.versions import load_split

POOL = "uploads"
UPLOAD_LOADS = "hub_upload_loads"
_DESCRIPTION = (
    "The splits in the repository `{repo}`: one commit that includes the card, which "
    "`load_dataset` reads from anywhere."
)
_CHECKED = (
    "At the published revision, every file has its hash, every split has its rows, and the first "
    "rows stream."
)


def build(spec: DatasetSpec, _: Stage | None) -> dg.Definitions:
    """Build the stage."""
    hub = spec.section(Hub)
    return dg.Definitions(
        assets=[upload_asset(spec, hub), hub_repo(spec, hub)],
        sensors=[build_hub_sensor(spec, hub)],
    )


def hub_repo(spec: DatasetSpec, hub: Hub) -> dg.AssetSpec:
    """Describe the repository, which is external: others may write to it as well."""
    where = "on the Hugging Face Hub" if hub.is_remote else "in a local folder"
    description = f"The repository `{hub.repo}` {where}."
    repo = external_asset(spec, HUB_REPO, description, {"repo": hub.repo})
    return repo.replace_attributes(deps=[spec.key(HUB_UPLOAD)], kinds={"huggingface"})


def upload_asset(spec: DatasetSpec, hub: Hub) -> dg.AssetsDefinition:
    """Build the asset."""

    @stage_asset(
        spec,
        HUB_UPLOAD,
        _DESCRIPTION.format(repo=hub.repo),
        deps=[spec.key(SPLIT_ARCHIVES)],
        check_specs=[verification_check(UPLOAD_LOADS, spec.key(HUB_UPLOAD), _CHECKED)],
        automation_condition=whole_condition(spec),
        pool=POOL,
        kinds={"huggingface"},
    )
    def upload(
        context: dg.AssetExecutionContext, storage: StorageResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        with as_failure():
            store = storage.store(spec.name, SPLIT_ARCHIVES)
            options = publish_options(spec)
            manifest = load_split(store)
            target = open_repository(hub, storage)
            files = publication_files(store, manifest, hub.repo, options)
            published = publish_split(store, target, options)
            changed = published.added + published.deleted
            context.log.info(
                "%s is at %s, %d files changed", published.repo, published.revision, changed
            )
            problems = verify_publication(target, published, files)
            found = upload_metadata(published, manifest, files)
        revision = published.revision
        check = verification_result(
            UPLOAD_LOADS, problems, f"Loads at revision {revision}.", revision=revision
        )
        yield dg.MaterializeResult(
            metadata=found,
            check_results=[check],
            data_version=dg.DataVersion(revision[:16]),
        )

    return upload
