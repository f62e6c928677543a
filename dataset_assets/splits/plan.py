"""Which files a split becomes, and which samples and members each holds: decided from sizes alone, before any payload is read.

A file holds whole samples in key order, as many as fit; a sample larger than the limit has a file of its own. Equal samples give an equal plan, in
whatever order they come.

Layouts of an archive, for the sample `rec/cam` with the parts `0000.pgm`, `0001.pgm`:

    webdataset   rec/cam.0000.pgm rec/cam.0001.pgm rec/cam.json      metadata as JSON beside the payloads
    frames       rec/cam/0000.pgm rec/cam/0001.pgm                   a folder per video; a part without a dot (`jpg`) is `rec/cam.jpg`
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from dataset_assets.archives.member_names import check_member_name
from dataset_assets.archives.tar_writer import stored_bytes
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample

LAYOUTS = ("webdataset", "frames")
COMPRESSIONS = ("auto", "none", "gz")
MEDIA = ("image", "frames", "file")
#: Extensions of payloads that gzip makes smaller.
UNCOMPRESSED = frozenset({"bmp", "csv", "json", "jsonl", "pbm", "pgm", "pnm", "ppm", "tsv", "txt"})
#: What a row of a table can hold, since Arrow counts the bytes of a value in 31 bits.
MAX_ROW_BYTES = 2**31 - 2**20
_ROW_OVERHEAD = 100  # bytes of a table for each payload: its name, lengths, page headers
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveOptions:
    """How the files of a split are written."""

    layout: str = "webdataset"
    compression: str = "auto"  # "auto": gz where no payload is compressed already
    max_archive_bytes: int = 512 * _MB  # before gz
    archives: bool = True
    tables: bool = True
    max_table_bytes: int = 500 * _MB
    row_group_bytes: int = 64 * _MB  # of payloads; what a reader holds in memory

    def __post_init__(self) -> None:
        _check_choice("layout", self.layout, LAYOUTS)
        _check_choice("compression", self.compression, COMPRESSIONS)
        for name in ("max_archive_bytes", "max_table_bytes", "row_group_bytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigurationError(
                    f"{name}: expected a whole number of bytes above zero, got {value!r}"
                )
        if not (self.archives or self.tables):
            raise ConfigurationError(
                "archives and tables are both off: nothing would be written; switch one of them on"
            )


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file to write."""

    name: str  # relative to the folder of the version
    split: str
    kind: str  # "tar", "tar.gz" or "parquet"
    samples: tuple[SourceSample, ...]  # in key order


def plan_files(
    samples_by_split: Mapping[str, Sequence[SourceSample]], media: str, options: ArchiveOptions
) -> list[FilePlan]:
    """List the files of all splits, in name order. An empty split has one table without rows, and no archive.

    Raises:
        ConfigurationError: a name is not safe, a key occurs twice, or a sample does not fit what it should be written to.
    """
    _check_choice("media", media, MEDIA)
    ordered = {
        split: sorted(samples, key=lambda sample: sample.key)
        for split, samples in samples_by_split.items()
    }
    _check_samples(ordered, media, options)
    kind = archive_kind(
        (sample for samples in ordered.values() for sample in samples), options.compression
    )
    plans: list[FilePlan] = []
    for split, samples in ordered.items():
        if options.archives and samples:
            sized = ((sample, _archived_bytes(sample, options.layout)) for sample in samples)
            plans += _files(
                "archives", split, kind, list(_packed(sized, options.max_archive_bytes))
            )
        if options.tables:
            sized = (
                (sample, sample.bytes + _ROW_OVERHEAD * len(sample.parts)) for sample in samples
            )
            plans += _files(
                "data", split, "parquet", list(_packed(sized, options.max_table_bytes)) or [()]
            )
    return sorted(plans, key=lambda plan: plan.name)


def archive_kind(samples: Iterable[SourceSample], compression: str) -> str:
    """Return "tar" or "tar.gz"."""
    if compression == "auto":
        extensions = {
            part.rpartition(".")[2].lower() for sample in samples for part in sample.parts
        }
        return "tar.gz" if extensions and extensions <= UNCOMPRESSED else "tar"
    return "tar.gz" if compression == "gz" else "tar"


def member_names(sample: SourceSample, layout: str) -> list[str]:
    """Return the name of each payload in an archive, in the order of the parts. Metadata is not among them."""
    if layout == "webdataset":
        return [f"{sample.key}.{part}" for part in sample.parts]
    return [
        f"{sample.key}/{part}" if "." in part else f"{sample.key}.{part}" for part in sample.parts
    ]


def sample_members(
    sample: SourceSample, payloads: Sequence[bytes], layout: str
) -> list[tuple[str, bytes]]:
    """Return the members of a sample with their data: what `TarWriter.add` takes."""
    return [
        *zip(member_names(sample, layout), payloads, strict=True),
        *_metadata_member(sample, layout),
    ]


def _metadata_member(sample: SourceSample, layout: str) -> list[tuple[str, bytes]]:
    """Return the JSON of the columns. A payload that is called `json` is the sample's own metadata and takes its place."""
    if layout != "webdataset" or "json" in sample.parts:
        return []
    values = {name: _json_value(value) for name, value in sample.columns.items()}
    return [(f"{sample.key}.json", json.dumps(values, sort_keys=True, allow_nan=False).encode())]


def _json_value(value: Any) -> Any:
    return (
        None if isinstance(value, float) and not math.isfinite(value) else value
    )  # JSON has no NaN


def _archived_bytes(sample: SourceSample, layout: str) -> int:
    """Return an upper bound: how `sample.bytes` spreads over the payloads is not known."""
    metadata = sum(stored_bytes(name, len(data)) for name, data in _metadata_member(sample, layout))
    return (
        sample.bytes
        + metadata
        + sum(stored_bytes(name, 1) for name in member_names(sample, layout))
    )


def _packed(
    sized: Iterable[tuple[SourceSample, int]], max_bytes: int
) -> Iterator[tuple[SourceSample, ...]]:
    batch: list[SourceSample] = []
    total = 0
    for sample, size in sized:
        if batch and total + size > max_bytes:
            yield tuple(batch)
            batch, total = [], 0
        batch.append(sample)
        total += size
    if batch:
        yield tuple(batch)


def _files(
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
                raise ConfigurationError(
                    f"two samples have the key {one.key!r}: expected every key once"
                )
        for sample in samples:
            _check_names(sample, options.layout)
            if options.tables:
                _check_row(sample, media)


def _check_names(sample: SourceSample, layout: str) -> None:
    if not sample.parts:
        raise ConfigurationError(f"sample {sample.key!r} has no payload: expected at least one")
    names = [check_member_name(name) for name in member_names(sample, layout)]
    if len({name.lower() for name in names}) != len(
        names
    ):  # readers lower extensions, and some disks do not tell the case
        raise ConfigurationError(
            f"sample {sample.key!r} has two payloads of one name, or names that differ in case only: {sample.parts}"
        )


def _check_row(sample: SourceSample, media: str) -> None:
    if media != "frames" and len(sample.parts) != 1:
        raise ConfigurationError(
            f"sample {sample.key!r} has {len(sample.parts)} payloads ({', '.join(sample.parts)}), a row of a table holds one: "
            "choose one by its extension, or switch tables off"
        )
    if sample.bytes > MAX_ROW_BYTES:
        raise ConfigurationError(
            f"sample {sample.key!r} has {sample.bytes} bytes, a row of a table holds {MAX_ROW_BYTES}: cut it shorter, or switch tables off"
        )


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
