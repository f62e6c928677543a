"""Metadata of the partitions of `embeddings`: counts, causes, encoder, arrays and files."""

from typing import Any

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.pipelines.embed.embed import EmbedReport
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import Store


def embedding_metadata(store: Store, source: Store, report: EmbedReport) -> dict[str, Any]:
    """Describe a partition."""
    manifest = report.manifest
    files = [file for shard in manifest.shards for file in shard.files]
    return {
        "dagster/partition_row_count": report.samples,
        "dagster/uri": store.url,
        "samples": report.successes,
        "success rate": metadata.share(report.successes, report.samples),
        "causes": metadata.causes_table(report.causes, report.samples),
        "encoder": dg.MetadataValue.json(dict(report.description.identity)),
        "arrays": metadata.table(
            {
                "field": name,
                "type": field.dtype,
                "shape": " x ".join("?" if size is None else str(size) for size in field.shape),
            }
            for name, field in report.description.arrays.items()
        ),
        "source": metadata.link(source.locate(MANIFEST)),
        "manifest": metadata.link(store.locate(MANIFEST)),
        "shards computed": report.made,
        "shards kept": report.kept,
        "bytes stored": sum(file.bytes for file in files),
    }
