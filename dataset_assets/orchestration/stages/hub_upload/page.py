"""Metadata of `hub_upload`: the commit, the splits, the features and the card."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.stages.hub_upload.section import REVISION
from dataset_assets.orchestration.stages.split_archives.page import splits_table
from dataset_assets.records.publications import PublishFile, PublishResult
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.table import features_of

CARD = "README.md"
_CARD_CHARACTERS = 20_000


def upload_metadata(
    published: PublishResult, manifest: SplitManifest, files: Sequence[PublishFile]
) -> dict[str, Any]:
    """Describe a publication."""
    card = next((file.text for file in files if file.path == CARD and file.text is not None), "")
    return {
        "dagster/row_count": manifest.samples,
        "commit": metadata.link(published.url),
        REVISION: published.revision,
        "repo": published.repo,
        "tag": published.tag,
        "version": published.version[:12],
        "splits": splits_table(manifest),
        "features": dg.MetadataValue.json(features_of(manifest.media, manifest.columns)),
        "card": dg.MetadataValue.md(_body(card)[:_CARD_CHARACTERS]),
        "files": len(files),
        "files added": published.added,
        "files deleted": published.deleted,
        "bytes added": published.bytes_added,
        "bytes": sum(file.bytes for file in files),
    }


def _body(card: str) -> str:
    """Return a card without its YAML header."""
    return card.split("\n---\n", 1)[-1].strip() if card.startswith("---\n") else card
