"""Metadata of `split_archives`: samples of each split, files, columns and a contact sheet."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow.parquet as pq

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.contact_sheets import SAMPLES, contact_sheet_metadata
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.table import table_schema
from dataset_assets.splits.versions import MANIFEST, version_store
from dataset_assets.storage.store import Store

_VERSION_DIGITS = 12


def split_metadata(store: Store, manifest: SplitManifest) -> dict[str, Any]:
    """Describe a version, and write a contact sheet next to it. Idempotent."""
    folder = version_store(store, manifest)
    schema = table_schema(manifest.media, manifest.columns)
    found = {
        "dagster/row_count": manifest.samples,
        "dagster/uri": store.url,
        "dagster/column_schema": metadata.column_schema(schema),
        "version": manifest.version[:_VERSION_DIGITS],
        "manifest": metadata.link(folder.locate(MANIFEST)),
        "splits": splits_table(manifest),
        "files": files_table(manifest),
        "file count": len(manifest.files),
        "bytes stored": sum(file.bytes for file in manifest.files),
        "options": dg.MetadataValue.json(manifest.options),
    }
    return found | _contact_sheet(store, folder, manifest)


def splits_table(manifest: SplitManifest) -> dg.MetadataValue:
    """Show the size of each split."""
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
    """Show the first files."""
    return metadata.table(
        {
            "file": file.name,
            "samples": file.samples,
            "bytes": file.bytes,
            "sha256": file.sha256[:16],
        }
        for file in manifest.files
    )


def _contact_sheet(store: Store, folder: Store, manifest: SplitManifest) -> dict[str, Any]:
    """Show some samples of every split."""
    if manifest.media == "file" or not manifest.samples:
        return {}
    per_split = -(-SAMPLES // len(manifest.splits))
    return contact_sheet_metadata(
        store,
        lambda: [
            image
            for split in manifest.splits
            for image in _first_images(folder, manifest, split, per_split)
        ],
    )


def _first_images(
    folder: Store, manifest: SplitManifest, split: str, count: int
) -> Iterator[bytes]:
    """Yield the images of the first samples of a split; of a video, the first frame."""
    column = "image" if manifest.media == "image" else "video"
    tables = (
        file.name
        for file in manifest.files
        if file.split == split and file.kind == "parquet" and file.samples
    )
    name = next(tables, None)
    if name is None:
        return
    with folder.open_read(name) as opened:
        batch = next(pq.ParquetFile(opened).iter_batches(batch_size=count, columns=[column]))
    for value in batch.column(0).to_pylist():
        frames = [value] if manifest.media == "image" else value or []
        if frames and frames[0] is not None:
            yield frames[0]["bytes"]
