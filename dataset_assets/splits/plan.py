"""Plans the files of a split, and the samples and members of each, before any payload is read.

A file holds whole samples in key order, as many as fit; a sample larger than the limit has a file
of its own. Equal samples give an equal plan, in whatever order they are listed.

Layouts of an archive, for the sample `rec/cam` with the parts `0000.pgm` and `0001.pgm`:

    webdataset   rec/cam.0000.pgm rec/cam.0001.pgm rec/cam.json
    frames       rec/cam/0000.pgm rec/cam/0001.pgm

`webdataset` has the metadata as JSON beside the payloads. `frames` has a folder for each video, and
stores a part without a dot (`jpg`) as `rec/cam.jpg`.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dataset_assets import checks
from dataset_assets.archives.member_names import check_member_name
from dataset_assets.archives.tar_writer import stored_bytes
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample

LAYOUTS = ("webdataset", "frames")
COMPRESSIONS = ("auto", "none", "gz")
MEDIA = ("image", "frames", "file")
#: Extensions of payloads that gzip makes smaller.
UNCOMPRESSED = frozenset({"bmp", "csv", "json", "jsonl", "pbm", "pgm", "pnm", "ppm", "tsv", "txt"})
#: Limit of a row of a table, since Arrow counts the bytes of a value in 31 bits.
MAX_ROW_BYTES = 2**31 - 2**20
#: Bytes that a table needs for each payload: its name, lengths, page headers.
_ROW_OVERHEAD = 100
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOptions:
    """Options of the files of a split.

    Raises:
        ConfigurationError: an invalid value.
    """

    layout: str = "webdataset"
    """Names in the tars: `webdataset`, or `frames` for a folder per video."""
    compression: str = "auto"
    """Compression of the tars: `none`, `gz`, or `auto` (gz if no payload is compressed already)."""
    max_archive_bytes: int = 512 * _MB
    """Bytes of a tar before compression, at most. Only a single sample may exceed it."""
    archives: bool = True
    """Write tars."""
    tables: bool = True
    """Write Parquet tables."""
    max_table_bytes: int = 500 * _MB
    """Bytes of a table, at most. Only a single sample may exceed it."""
    row_group_bytes: int = 64 * _MB
    """Bytes of payloads in a row group, which a reader holds in memory."""

    def __post_init__(self) -> None:
        checks.one_of("layout", self.layout, LAYOUTS)
        checks.one_of("compression", self.compression, COMPRESSIONS)
        for name in ("max_archive_bytes", "max_table_bytes", "row_group_bytes"):
            checks.integer(name, getattr(self, name), low=1)
        if not (self.archives or self.tables):
            raise ConfigurationError(
                "archives and tables: expected at least one of them to be true, got false for both"
            )


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file to write."""

    name: str
    """Path in the folder of the version."""
    split: str
    kind: str
    """"tar", "tar.gz" or "parquet"."""
    samples: tuple[SourceSample, ...]
    """The samples in key order."""


def plan_files(
    samples_by_split: Mapping[str, Sequence[SourceSample]], media: str, options: ArchiveOptions
) -> list[FilePlan]:
    """List the files of all splits, in name order.

    An empty split has one table without rows, and no archive.

    Args:
        samples_by_split: the samples of each split, in any order.
        media: as in `SplitManifest.media`.
        options: what the files look like.

    Raises:
        ConfigurationError: a name is not safe, a key occurs twice, or a sample does not fit into a
            file.
    """
    checks.one_of("media", media, MEDIA)
    ordered = {
        split: sorted(samples, key=lambda sample: sample.key)
        for split, samples in samples_by_split.items()
    }
    _check_samples(ordered, media, options)
    all_samples = (sample for samples in ordered.values() for sample in samples)
    kind = archive_kind(all_samples, options.compression)
    plans: list[FilePlan] = []
    for split, samples in ordered.items():
        if options.archives and samples:
            sizes = (_archived_bytes(sample, options.layout) for sample in samples)
            batches = list(_packed(samples, sizes, options.max_archive_bytes))
            plans += _name_files("archives", split, kind, batches)
        if options.tables:
            sizes = (sample.bytes + _ROW_OVERHEAD * len(sample.parts) for sample in samples)
            batches = list(_packed(samples, sizes, options.max_table_bytes))
            plans += _name_files("data", split, "parquet", batches or [()])
    return sorted(plans, key=lambda plan: plan.name)


def archive_kind(samples: Iterable[SourceSample], compression: str) -> str:
    """Return "tar" or "tar.gz"."""
    if compression == "auto":
        parts = (part for sample in samples for part in sample.parts)
        extensions = {part.rpartition(".")[2].lower() for part in parts}
        return "tar.gz" if extensions and extensions <= UNCOMPRESSED else "tar"
    return "tar.gz" if compression == "gz" else "tar"


def member_names(sample: SourceSample, layout: str) -> list[str]:
    """Return the name of each payload in an archive, in the order of the parts.

    Metadata is not among them.
    """
    if layout == "webdataset":
        return [f"{sample.key}.{part}" for part in sample.parts]
    return [
        f"{sample.key}/{part}" if "." in part else f"{sample.key}.{part}" for part in sample.parts
    ]


def sample_members(
    sample: SourceSample, payloads: Sequence[bytes], layout: str
) -> list[tuple[str, bytes]]:
    """Return name and data of the members of a sample, as `TarWriter.add` takes them."""
    named = zip(member_names(sample, layout), payloads, strict=True)
    return [*named, *_metadata_member(sample, layout)]


def _metadata_member(sample: SourceSample, layout: str) -> list[tuple[str, bytes]]:
    """Return the JSON member with the columns.

    A payload with the extension `json` is the metadata of the sample itself and replaces it.
    """
    if layout != "webdataset" or "json" in sample.parts:
        return []
    values = {name: _json_value(value) for name, value in sample.columns.items()}
    return [(f"{sample.key}.json", json.dumps(values, sort_keys=True, allow_nan=False).encode())]


def _json_value(value: Any) -> Any:
    """Return null for infinities and NaN, which JSON cannot hold."""
    is_finite = not isinstance(value, float) or math.isfinite(value)
    return value if is_finite else None


def _archived_bytes(sample: SourceSample, layout: str) -> int:
    """Return an upper bound: the size of each single payload is not known."""
    metadata = sum(stored_bytes(name, len(data)) for name, data in _metadata_member(sample, layout))
    overhead = sum(stored_bytes(name, 1) for name in member_names(sample, layout))
    return sample.bytes + metadata + overhead


def _packed(
    samples: Iterable[SourceSample], sizes: Iterable[int], max_bytes: int
) -> Iterator[tuple[SourceSample, ...]]:
    batch: list[SourceSample] = []
    total = 0
    for sample, size in zip(samples, sizes, strict=True):
        if batch and total + size > max_bytes:
            yield tuple(batch)
            batch = []
            total = 0
        batch.append(sample)
        total += size
    if batch:
        yield tuple(batch)


def _name_files(
    folder: str, split: str, kind: str, batches: Sequence[tuple[SourceSample, ...]]
) -> list[FilePlan]:
    count = len(batches)
    return [
        FilePlan(f"{folder}/{split}-{i:05d}-of-{count:05d}.{kind}", split, kind, batch)
        for i, batch in enumerate(batches)
    ]


def _check_samples(
    samples_by_split: Mapping[str, Sequence[SourceSample]], media: str, options: ArchiveOptions
) -> None:
    for samples in samples_by_split.values():
        for one, other in pairwise(samples):
            if one.key == other.key:
                raise ConfigurationError(f"expected each key once, got {one.key!r} in two samples")
        for sample in samples:
            _check_names(sample, options.layout)
            if options.tables:
                _check_row(sample, media)


def _check_names(sample: SourceSample, layout: str) -> None:
    if not sample.parts:
        raise ConfigurationError(f"sample {sample.key!r}: expected at least one payload, got none")
    names = [check_member_name(name) for name in member_names(sample, layout)]
    # Readers lower extensions, and some disks ignore case.
    if len({name.lower() for name in names}) != len(names):
        raise ConfigurationError(
            f"sample {sample.key!r}: expected payloads whose names differ in more than case, "
            f"got {sample.parts}"
        )


def _check_row(sample: SourceSample, media: str) -> None:
    if media != "frames" and len(sample.parts) != 1:
        raise ConfigurationError(
            f"sample {sample.key!r}: expected one payload for a row of a table, got "
            f"{len(sample.parts)} ({', '.join(sample.parts)}); choose one by its extension, or set "
            "tables to false"
        )
    if sample.bytes > MAX_ROW_BYTES:
        raise ConfigurationError(
            f"sample {sample.key!r}: expected {MAX_ROW_BYTES} bytes at most in a row of a table, "
            f"got {sample.bytes}; shorten it, or set tables to false"
        )
