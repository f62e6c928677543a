"""Refuses to publish URLs that still have a password or a signature (`store_url="full"`)."""

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SplitManifest
from dataset_assets.redaction import scrub_url
from dataset_assets.splits.versions import version_store
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.storage.store import Store

_COLUMNS = ("url", "final_url")
_BATCH_ROWS = 10_000


def check_stored_urls(split_store: Store, manifest: SplitManifest) -> None:
    """Read the URLs of all rows of a split; the tars have the same.

    Raises:
        ConfigurationError: one has userinfo or a known signature parameter. The message names the
            row, and not the URL.
    """
    columns = [name for name in _COLUMNS if manifest.columns.get(name) == "string"]
    if not columns:
        return
    folder = version_store(split_store, manifest)
    for file in manifest.files:
        if file.kind != "parquet":
            continue
        with folder.open_read(file.name) as opened, translate_parquet_errors(file.name):
            table = pq.ParquetFile(opened)
            for batch in table.iter_batches(_BATCH_ROWS, columns=["key", *columns]):
                _check_batch(batch, columns)


def _check_batch(batch: pa.RecordBatch, columns: list[str]) -> None:
    for column in columns:
        for index, url in enumerate(batch.column(column).to_pylist()):
            if url and scrub_url(url) != url:
                key = batch.column("key")[index].as_py()
                raise ConfigurationError(
                    f"{column}: expected URLs without user, password and signature in what is "
                    f"published, got one that has them in the row {key!r}; download with "
                    'store_url="scrubbed" into a new folder, split that, and publish it'
                )
