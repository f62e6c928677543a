"""What is shown about `split_archives`: who went where, which files hold it, how a row looks, a few pictures."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.contact_sheets import SAMPLES, contact_sheet_metadata
from dataset_assets.pipelines.split.split_archives import version_store
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.table import table_schema
from dataset_assets.storage.store import Store

_VERSION_DIGITS = 12


def split_metadata(store: Store, manifest: SplitManifest) -> dict[str, Any]:
    """Describe a version. Idempotent: the same version leaves the same contact sheet beside it."""
    folder = version_store(store, manifest)
    return {
        "dagster/row_count": manifest.samples,
        "dagster/uri": store.url,
        "dagster/column_schema": metadata.column_schema(
            table_schema(manifest.media, manifest.columns)
        ),
        "version": manifest.version[:_VERSION_DIGITS],
        "manifest": metadata.link(folder.locate("manifest.json")),
        "splits": splits_table(manifest),
        "files": files_table(manifest),
        "file count": len(manifest.files),
        "bytes stored": sum(file.bytes for file in manifest.files),
        "options": dg.MetadataValue.json(manifest.options),
    } | _pictures(store, folder, manifest)


def splits_table(manifest: SplitManifest) -> dg.MetadataValue:
    """Show what each split holds."""
    return metadata.table(
        {
            "split": name,
            "samples": count.samples,
            "share": metadata.share(count.samples, manifest.samples),
            "groups": count.groups,
            "bytes": count.bytes,
            "files": sum(file.split == name for file in manifest.files),
        }
        for name, count in manifest.splits.items()
    )


def files_table(manifest: SplitManifest) -> dg.MetadataValue:
    """Show the files, the first of many."""
    return metadata.table(
        {
            "file": file.name,
            "samples": file.samples,
            "bytes": file.bytes,
            "sha256": file.sha256[:16],
        }
        for file in manifest.files
    )


def _pictures(store: Store, folder: Store, manifest: SplitManifest) -> dict[str, Any]:
    """Show some samples of every split."""
    if manifest.media == "file" or not manifest.samples:
        return {}
    each = -(-SAMPLES // len(manifest.splits))
    return contact_sheet_metadata(
        store,
        lambda: [
            image
            for split in manifest.splits
            for image in _first_images(folder, manifest, split, each)
        ],
    )


def _first_images(
    folder: Store, manifest: SplitManifest, split: str, count: int
) -> Iterator[bytes]:
    """Yield the pictures of the first samples of a split, of a video its first frame."""
    column = "image" if manifest.media == "image" else "video"
    tables = (
        file.name
        for file in manifest.files
        if file.split == split and file.kind == "parquet" and file.samples
    )
    if (name := next(tables, None)) is None:
        return
    with folder.open_read(name) as file:
        batch = next(pq.ParquetFile(file).iter_batches(batch_size=count, columns=[column]))
    for value in batch.column(0).to_pylist():
        first = value if manifest.media == "image" else value[0] if value else None
        if first is not None:
            yield first["bytes"]
