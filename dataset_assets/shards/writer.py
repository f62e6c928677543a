"""The contract of an output format, and what it is told.

A format is a module with a class `Writer`. Its bytes depend only on its options and rows, so equal rows give equal files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pyarrow as pa

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.naming import member_extension
from dataset_assets.storage.store import Store

#: Columns of the sidecar that say where a payload lies: byte offset in the sample file and length.
INDEX = (pa.field("offset", pa.int64()), pa.field("bytes", pa.int64()))


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """What one shard looks like. Picklable.

    `schema` has the columns of `Row.columns`, then those of `Row.extra`.

    Raises:
        ConfigurationError: names that can not be used together.
    """

    name: str  # of the shard: "00000"
    schema: pa.Schema
    extension: str = "jpg"  # parquet and tfrecord: name of the payload column; the others use each row's own extension
    has_caption: bool = False
    with_index: bool = True  # False: exactly img2dataset's columns
    parts: tuple[
        str, ...
    ] = ()  # extensions of the further members that samples may have: each with a dot, which their payloads then have not

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or "." in self.name:
            raise ConfigurationError(
                f"not a shard name: {self.name!r}; expected digits such as '00000'"
            )
        for part in self.parts:
            if "." not in part or member_extension(part) != part or not self.with_index:
                raise ConfigurationError(
                    f"not a part of samples with an index: {part!r}; expected two extensions such as 'seg.png'"
                )
        names = self.table_schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigurationError(
                f"columns of shard {self.name} that occur twice: {', '.join(twice)}; rename them in the input"
            )

    @property
    def table_schema(self) -> pa.Schema:
        """Columns of the sidecar."""
        if not self.with_index:
            return self.schema
        of_parts = [
            pa.field(name, pa.int64()) for part in self.parts for name in part_columns(part)
        ]
        return pa.schema([*self.schema, *INDEX, *of_parts], metadata=self.schema.metadata)


@dataclass(frozen=True, slots=True)
class Sample:
    """One payload as it lies in a committed sample file."""

    key: str
    extension: str
    payload: bytes
    offset: int | None  # bytes from the start of the sample file; None where that means nothing
    parts: Mapping[str, bytes] = field(default_factory=dict)  # further members by extension
    part_offsets: Mapping[str, int] = field(default_factory=dict)


class Writer(Protocol):
    """Writes one shard. Nothing is visible to readers of the manifest before `commit` and the shard's record."""

    sidecar: ClassVar[
        bool
    ]  # whether a parquet file with the metadata of all rows lies beside the sample file
    suffix: ClassVar[
        str | None
    ]  # of the sample file; "" is a folder of files, None is no file at all

    def __init__(self, store: Store, options: WriterOptions) -> None:
        """Start the shard `options.name` in a folder."""

    def write(self, row: Row) -> None:
        """Append a row: in row order, failed ones too (`payload` None).

        Raises:
            DiskFull, StorageError: the store refuses the bytes.
            ConfigurationError: a value does not have its column's type.
        """

    def close(self) -> None:
        """Make everything durable; it stays uncommitted. Idempotent."""

    def commit(self) -> tuple[ShardFile, ...]:
        """Close, make the files visible, sample file first, and return them in that order."""

    def discard(self) -> None:
        """Remove what was written. No effect after `commit`. Idempotent."""

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[Sample]:
        """Yield the samples of a committed sample file in file order, one payload in memory at a time.

        Raises:
            ShardCorrupt: it is not what this format writes.
        """


def part_columns(part: str) -> tuple[str, str]:
    """Return the names of the sidecar columns that say where a part lies."""
    name = part.replace(".", "_")
    return f"{name}_{INDEX[0].name}", f"{name}_{INDEX[1].name}"


def index_names(names: Sequence[str]) -> frozenset[str]:
    """Return which columns of a sidecar say where something lies: the index of the payload, and those of the parts, which follow it in pairs."""
    index = [each.name for each in INDEX]
    start = names.index(index[0]) + len(index) if index[0] in names else len(names)
    after = names[start:] if list(names[start - len(index) : start]) == index else ()
    pairs = [
        name
        for pair in zip(after[::2], after[1::2], strict=False)
        for name in pair
        if pair == _pair_of(pair[0])
    ]
    return frozenset([*index, *(pairs if len(pairs) == len(after) else ())])


def _pair_of(name: str) -> tuple[str, str]:
    return part_columns(name.removesuffix(f"_{INDEX[0].name}"))


def refuse_parts(options: WriterOptions, output_format: str) -> None:
    """Check that a format is not asked for more than one payload per sample.

    Raises:
        ConfigurationError: it is.
    """
    if options.parts:
        raise ConfigurationError(
            f"output_format {output_format!r} can not hold parts of samples ({', '.join(options.parts)}); use 'webdataset'"
        )


def reserve_columns(options: WriterOptions, *names: str) -> None:
    """Check that no metadata column has a name that the format needs.

    Raises:
        ConfigurationError: one has.
    """
    taken = [name for name in names if name in options.table_schema.names]
    if taken:
        raise ConfigurationError(
            f"column {taken[0]!r} of the input has the name of the payload or caption column: rename it in the input"
        )
