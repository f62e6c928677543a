"""Metadata of the partitions of `embeddings`: counts, encoder, arrays, near-duplicates, files."""

from collections import defaultdict
from typing import Any

import dagster as dg

from dataset_assets.embeddings.near_duplicates import near_duplicates
from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.orchestration.common import metadata
from dataset_assets.pipelines.embed.embed import EmbedReport
from dataset_assets.shards.commits import MANIFEST
from dataset_assets.storage.store import Store

#: Its similarities tell copies; those of models tell what images show.
_TELLS_COPIES = "perceptual"
_MOST_COMPARED = 50_000
_SHOWN_KEYS = 6


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
    } | _near_duplicates(store, report)


def _near_duplicates(store: Store, report: EmbedReport) -> dict[str, Any]:
    """Show the groups of copies in the partition, the largest first."""
    if report.description.encoder != _TELLS_COPIES or report.successes > _MOST_COMPARED:
        return {}
    groups: dict[str, list[str]] = defaultdict(list)
    for row in near_duplicates(EmbeddingSet(store)).to_pylist():
        groups[row["group"]].append(row["key"])
    by_size = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "near-duplicate groups": len(groups),
        "near-duplicates": metadata.table(
            {
                "group": group,
                "samples": len(keys),
                "keys": ", ".join(keys[:_SHOWN_KEYS]),
            }
            for group, keys in by_size
        ),
    }
