"""The rows of a staged partition: its columns, and how an image becomes a row.

Stateless, so that several threads can make rows.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.header import ImageHeader, read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import SUCCESS, Cause
from dataset_assets.records.shards import Row
from dataset_assets.records.staged import LABEL_COUNTS, SampleError, StagedSample, StageItem
from dataset_assets.staging.source import StagingPartition

#: Columns of every staged partition. Those of the source stand between these two groups.
_FIRST = {
    "key": "string",
    "path": "string",
    "archive": "string",
    "archive_offset": "int64",
    "status": "string",
    "error_message": "string",
    "width": "int32",
    "height": "int32",
    "sha256": "string",
}
_LAST = {"cause": "string", "extension": "string", LABEL_COUNTS: "string"}
_TYPES = ("string", "int32", "int64", "double", "bool")
#: Images above this are refused before decoding; the largest published ones have 2 % of it.
MAX_PIXELS = 1 << 28
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_+=,@-]{0,79}")


def make_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Return the schema of the rows of a partition.

    Args:
        columns: the columns of its source, by name, with their Arrow types.

    Raises:
        ConfigurationError: the source names a type that rows do not support.
    """
    unknown = {name: kind for name, kind in columns.items() if kind not in _TYPES}
    if unknown:
        raise ConfigurationError(
            f"column types of a source: expected {', '.join(_TYPES)}, got {unknown}"
        )
    fields = [*_FIRST.items(), *columns.items(), *_LAST.items()]
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in fields])


class RowMaker:
    """Makes the row of one image.

    Its parts are those of the sample or, if asked for, the objects of the image by their paths.
    """

    def __init__(
        self, partition: StagingPartition, *, check_images: bool, with_objects: bool
    ) -> None:
        self._partition = partition
        self._with_objects = with_objects
        self._no_columns = dict.fromkeys([*_FIRST, *partition.columns])
        self._decode = _import_decoder() if check_images else None

    def make(self, item: StageItem) -> Row:
        """Make the sample, check the image and describe both.

        A bad image becomes a row without a payload.
        """
        # A sample whose image turns out bad still gives its key and columns to the row.
        sample = None
        try:
            sample = self._partition.make_sample(item)
            _check_key(sample.key, item)
            header = self._check_image(sample.payload)
            parts = sample.parts
            if self._with_objects:
                parts = dict(self._partition.make_objects(item))
        except (SampleError, RefusedImage) as exc:
            return self._failed_row(item, sample, exc.cause, str(exc))
        return self._row(item, sample, header, parts)

    def _check_image(self, payload: bytes) -> ImageHeader:
        header = read_header(payload)
        if header.pixels > MAX_PIXELS:
            raise RefusedImage(Cause.TOO_MANY_PIXELS, f"more than {MAX_PIXELS} pixels")
        if self._decode is not None:
            self._decode(payload, header)
        return header

    def _row(
        self,
        item: StageItem,
        sample: StagedSample,
        header: ImageHeader,
        parts: Mapping[str, bytes],
    ) -> Row:
        outcome = {
            "status": SUCCESS,
            "width": header.width,
            "height": header.height,
            "sha256": hashlib.sha256(sample.payload).hexdigest(),
        }
        extra = {
            "cause": None,
            "extension": sample.extension,
            LABEL_COUNTS: _counts_json(sample.label_counts),
        }
        return Row(
            item.index,
            sample.key,
            self._columns(item, sample.key, outcome, sample),
            extra,
            sample.payload,
            sample.extension,
            parts=parts,
        )

    def _failed_row(
        self, item: StageItem, sample: StagedSample | None, cause: Cause, message: str
    ) -> Row:
        key = _key_of(item.path) if sample is None else sample.key
        outcome = {"status": cause.status, "error_message": message}
        extra = {**dict.fromkeys(_LAST), "cause": cause}
        columns = self._columns(item, key, outcome, sample)
        return Row(item.index, key, columns, extra, cause=cause)

    def _columns(
        self, item: StageItem, key: str, outcome: Mapping[str, Any], sample: StagedSample | None
    ) -> dict[str, Any]:
        """Return the values of a row in the order of its schema."""
        return {
            **self._no_columns,
            "key": key,
            "path": item.path,
            "archive": item.archive,
            "archive_offset": item.offset,
            **outcome,
            **({} if sample is None else sample.columns),
        }


def _import_decoder() -> Callable[[bytes, ImageHeader], Any]:
    from dataset_assets.images.codec import decode  # imports OpenCV

    return decode


def _counts_json(counts: Mapping[int, int]) -> str | None:
    if not counts:
        return None
    return json.dumps({str(label): int(count) for label, count in sorted(counts.items())})


def _check_key(key: str, item: StageItem) -> None:
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            f"{item.path}: expected a sample key of 1 to 80 ASCII characters without dots and "
            f"slashes, got {key!r}; rename the image in its archive"
        )


def _key_of(path: str) -> str:
    """Return a key for an image to which the source cannot give one."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    return re.sub(r"[^A-Za-z0-9_-]", "_", stem or path)[-80:]
