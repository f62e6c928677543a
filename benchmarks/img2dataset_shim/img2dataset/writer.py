"""`img2dataset.writer` on `dataset_assets.shards.formats`."""

from typing import Any

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.records.shards import Row
from dataset_assets.shards.naming import shard_name
from dataset_assets.shards.writer import Writer, WriterOptions
from dataset_assets.storage.store import open_store


class _SampleWriter:
    """Writes one shard; img2dataset has no step of its own for the commit."""

    output_format: str

    def __init__(
        self,
        shard_id: int,
        output_folder: str,
        save_caption: bool,
        oom_shard_count: int,
        schema: pa.Schema,
        encode_format: str,
    ) -> None:
        writer: type[Writer] = registry.load("output_format", self.output_format)
        options = WriterOptions(
            name=shard_name(shard_id, oom_shard_count),
            schema=schema,
            extension=encode_format,
            has_caption=save_caption,
            with_index=False,
        )
        self._writer = writer(open_store(output_folder), options)
        self._extension = encode_format
        self._rows = 0

    def write(self, img_str: bytes, key: str, caption: str | None, meta: dict[str, Any]) -> None:
        """Append a sample."""
        row = Row(
            index=self._rows,
            key=key,
            columns=meta,
            payload=img_str,
            extension=self._extension,
            caption=caption,
        )
        self._writer.write(row)
        self._rows += 1

    def close(self) -> None:
        """Make the shard visible."""
        self._writer.commit()


class FilesSampleWriter(_SampleWriter):
    """A folder of files."""

    output_format = "files"


class WebDatasetSampleWriter(_SampleWriter):
    """A tar."""

    output_format = "webdataset"


class ParquetSampleWriter(_SampleWriter):
    """A Parquet file that holds the images."""

    output_format = "parquet"


class TFRecordSampleWriter(_SampleWriter):
    """A TFRecord file."""

    output_format = "tfrecord"


class DummySampleWriter(_SampleWriter):
    """No file."""

    output_format = "dummy"
