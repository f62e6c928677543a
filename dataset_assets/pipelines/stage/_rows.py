"""The rows of a staged partition: its columns, and what becomes of one image. Holds no state, so that several threads can make rows."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.header import Header, read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import SUCCESS, Cause
from dataset_assets.records.shards import Row
from dataset_assets.records.staged import LABEL_COUNTS, SampleError, StagedSample, StageItem
from dataset_assets.staging.source import StagingPartition

#: Columns of every staged partition: those of the source stand between the two groups.
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
EXTRA = {"cause": "string", "extension": "string", LABEL_COUNTS: "string"}
_KINDS = ("string", "int32", "int64", "double", "bool")
#: Refused before decoding; the largest images of the published datasets have 2 % of it.
MAX_PIXELS = 1 << 28
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_+=,@-]{0,79}")


def schema_of(columns: Mapping[str, str]) -> pa.Schema:
    """Return the columns of the rows of a partition whose source has these.

    Raises:
        ConfigurationError: the source names a type that rows do not have.
    """
    unknown = {name: kind for name, kind in columns.items() if kind not in _KINDS}
    if unknown:
        raise ConfigurationError(
            f"types of columns of a source: expected {', '.join(_KINDS)}, came {unknown}"
        )
    fields = [*_FIRST.items(), *columns.items(), *EXTRA.items()]
    return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in fields])


class Made(NamedTuple):
    """What became of an image."""

    row: Row
    objects: tuple[
        tuple[str, bytes], ...
    ] = ()  # layout `objects`: path and bytes of each, none of a bad image


class RowMaker:
    """Makes the row of one image, and its objects when they are asked for."""

    def __init__(
        self, partition: StagingPartition, *, check_images: bool, with_objects: bool
    ) -> None:
        self._partition, self._with_objects = partition, with_objects
        self._none = dict.fromkeys(partition.columns)
        self._decode = _decoder() if check_images else None

    def __call__(self, item: StageItem) -> Made:
        """Draw, check and describe. A bad image is a row without a payload."""
        sample = None
        try:
            sample = self._partition.sample(item)
            _check_key(sample.key, item)
            header = self._check(sample.payload)
            objects = tuple(self._partition.objects(item)) if self._with_objects else ()
        except (SampleError, RefusedImage) as exc:
            return Made(self._failure(item, sample, exc.cause, str(exc)))
        return Made(self._row(item, sample, header), objects)

    def _check(self, payload: bytes) -> Header:
        header = read_header(payload)
        if header.pixels > MAX_PIXELS:
            raise RefusedImage(Cause.TOO_MANY_PIXELS, f"more than {MAX_PIXELS} pixels")
        if self._decode is not None:
            self._decode(payload, header)
        return header

    def _row(self, item: StageItem, sample: StagedSample, header: Header) -> Row:
        digest = hashlib.sha256(sample.payload).hexdigest()
        columns = {**_place(item, sample.key), "status": SUCCESS, "error_message": None}
        columns |= {
            "width": header.width,
            "height": header.height,
            "sha256": digest,
            **self._none,
            **sample.columns,
        }
        counts = (
            json.dumps(
                {str(label): int(count) for label, count in sorted(sample.label_counts.items())}
            )
            if sample.label_counts
            else None
        )
        extra = {"cause": None, "extension": sample.extension, LABEL_COUNTS: counts}
        return Row(
            item.index,
            sample.key,
            columns,
            extra,
            sample.payload,
            sample.extension,
            parts=sample.parts,
        )

    def _failure(
        self, item: StageItem, sample: StagedSample | None, cause: Cause, message: str
    ) -> Row:
        key = sample.key if sample is not None else _key_of(item.path)
        columns = {
            **_place(item, key),
            "status": cause.status,
            "error_message": message,
            "width": None,
            "height": None,
            "sha256": None,
        }
        columns |= {**self._none, **(sample.columns if sample is not None else {})}
        return Row(
            item.index,
            key,
            columns,
            {"cause": cause, "extension": None, LABEL_COUNTS: None},
            cause=cause,
        )


def _decoder() -> Callable[[bytes, Header], Any]:
    from dataset_assets.images.decode import decode  # brings OpenCV

    return decode


def _place(item: StageItem, key: str) -> dict[str, Any]:
    return {"key": key, "path": item.path, "archive": item.archive, "archive_offset": item.offset}


def _check_key(key: str, item: StageItem) -> None:
    if not _KEY.fullmatch(key):
        raise ConfigurationError(
            f"{item.path}: {key!r} can not be a sample's key: expected 1 to 80 ASCII characters without dots and slashes"
        )


def _key_of(path: str) -> str:
    """Return a key for an image of which the source can not say one."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", path.rpartition("/")[2].rpartition(".")[0] or path)[-80:]
