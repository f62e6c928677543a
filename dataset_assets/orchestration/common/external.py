"""`<dataset>/url_lists`, `<dataset>/source` and `<dataset>/hub_repo`: what others own, at both ends of the graph."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.source import Folder
from dataset_assets.orchestration.common.spec import (
    HUB_REPO,
    HUB_UPLOAD,
    SOURCE,
    URL_LISTS,
    DatasetSpec,
)
from dataset_assets.orchestration.stages.hub_upload.section import Hub
from dataset_assets.orchestration.stages.staged.section import Published

_CALLED = {"recordings": "Recordings", "files": "Files", "shards": "Shard sets"}


def url_lists(spec: DatasetSpec) -> dg.AssetSpec:
    """Describe the lists of urls."""
    path = metadata.plain_text(spec.urls.path)
    return _outside(
        spec, URL_LISTS, f"Url lists at `{path}`.", {"path": path, "format": spec.urls.input_format}
    )


def source_folder(spec: DatasetSpec, folder: Folder) -> dg.AssetSpec:
    """Describe the folder that a dataset is made of."""
    path = metadata.plain_text(folder.path)
    return _outside(spec, SOURCE, f"{_CALLED[spec.source.kind]} at `{path}`.", {"path": path})


def published_archives(spec: DatasetSpec, published: Published) -> dg.AssetSpec:
    """Describe the archives of a published dataset."""
    license_ = published.source().license
    paths = [metadata.plain_text(path) for path in published.given_paths]
    where = ", ".join(f"`{path}`" for path in paths) or "its site"
    about = {
        "terms": license_.name,
        "terms url": license_.url,
        "redistributable": license_.redistributable,
    }
    return _outside(spec, SOURCE, f"The archives of {published.kind}, from {where}.", about)


def hub_repo(spec: DatasetSpec, hub: Hub) -> dg.AssetSpec:
    """Describe the repository, which others may write to as well."""
    where = "on the Hugging Face Hub" if hub.is_remote else "in a local folder"
    repo = _outside(spec, HUB_REPO, f"The repository `{hub.repo}` {where}.", {"repo": hub.repo})
    return repo.replace_attributes(deps=[spec.key(HUB_UPLOAD)], kinds={"huggingface"})


def _outside(
    spec: DatasetSpec, stage: str, description: str, metadata: Mapping[str, Any]
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=spec.key(stage),
        group_name=spec.name,
        description=description,
        metadata=metadata,
        owners=spec.owners,
        tags=spec.all_tags,
    )
