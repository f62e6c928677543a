"""The contract of an output format and its options.

A format is a module in `formats/` with a class `Writer`. Its bytes depend only on its options and
rows, so equal rows give equal files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pyarrow as pa

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards.naming import member_extension
from dataset_assets.storage.store import Store

#: Columns of the sidecar that locate a payload: byte offset in the sample file, and length.
INDEX = (pa.field("offset", pa.int64()), pa.field("bytes", pa.int64()))


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterOptions:
    """Options of one shard, validated on construction. Picklable.

    Raises:
        ConfigurationError: names that cannot be used together.
    """

    name: str
    """Name of the shard, such as "00000"."""
    schema: pa.Schema
    """The columns of `Row.columns`, then those of `Row.extra`."""
    extension: str = "jpg"
    """Name of the payload column of parquet and tfrecord. Other formats use that of each row."""
    has_caption: bool = False
    """Whether rows have captions."""
    with_index: bool = True
    """Write index columns. False writes exactly the columns of img2dataset."""
    parts: tuple[str, ...] = ()
    """Extensions of the further members of samples, each with a dot, which payloads then lack."""

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or "." in self.name:
            raise ConfigurationError(
                f"name: expected digits such as '00000' for a shard, got {self.name!r}"
            )
        for part in self.parts:
            if "." not in part or member_extension(part) != part or not self.with_index:
                raise ConfigurationError(
                    "parts: expected an extension with a dot, such as 'seg.png', in a shard with "
                    f"an index, got {part!r}"
                )
        names = self.table_schema.names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ConfigurationError(
                f"shard {self.name}: expected each column once, got several called "
                f"{', '.join(repeated)}; rename them in the input"
            )

    @property
    def table_schema(self) -> pa.Schema:
        """Columns of the sidecar."""
        if not self.with_index:
            return self.schema
        index_of_parts = [
            pa.field(name, pa.int64()) for part in self.parts for name in part_columns(part)
        ]
        return pa.schema([*self.schema, *INDEX, *index_of_parts], metadata=self.schema.metadata)


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A sample as it lies in a committed sample file."""

    key: str
    extension: str
    payload: bytes
    offset: int | None
    """Bytes from the start of the sample file; None where the format has no offsets."""
    parts: Mapping[str, bytes] = field(default_factory=dict)
    """Further members, by extension."""
    part_offsets: Mapping[str, int] = field(default_factory=dict)


class Writer(Protocol):
    """Writes one shard.

    Readers of the manifest see nothing of it before `commit` and the record of the shard.
    """

    sidecar: ClassVar[bool]
    """Whether a Parquet file with the metadata of all rows lies beside the sample file."""
    suffix: ClassVar[str | None]
    """Suffix of the sample file; "" for a folder of files, None for no file."""

    def __init__(self, store: Store, options: WriterOptions) -> None:
        """Start the shard `options.name` in a folder."""

    def write(self, row: Row) -> None:
        """Append a row, in row order. Failed rows have the payload None.

        Raises:
            DiskFull, StorageError: the store refuses the bytes.
            ConfigurationError: a value does not have the type of its column.
        """

    def close(self) -> None:
        """Make everything durable; it stays uncommitted. Idempotent."""

    def commit(self) -> tuple[ShardFile, ...]:
        """Close, make the files visible, the sample file first, and return them in that order."""

    def discard(self) -> None:
        """Remove what was written. No effect after `commit`. Idempotent."""

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[StoredSample]:
        """Yield the samples of a committed sample file in file order, one payload in memory.

        Raises:
            ShardCorrupt: this format does not write such a file.
        """


def part_columns(part: str) -> tuple[str, str]:
    """Return the names of the sidecar columns that locate a part."""
    name = part.replace(".", "_")
    return f"{name}_{INDEX[0].name}", f"{name}_{INDEX[1].name}"


def index_names(names: Sequence[str]) -> frozenset[str]:
    """Return which columns of a sidecar are index columns.

    These are the index of the payload, and those of the parts, which follow it in pairs.
    """
    index = [each.name for each in INDEX]
    if index[0] not in names:
        return frozenset(index)
    start = names.index(index[0]) + len(index)
    if list(names[start - len(index) : start]) != index:
        return frozenset(index)
    after = names[start:]
    pairs = [
        pair for pair in zip(after[::2], after[1::2], strict=False) if pair == _pair_of(pair[0])
    ]
    if 2 * len(pairs) != len(after):
        return frozenset(index)  # what follows are columns of another tool
    return frozenset([*index, *after])


def _pair_of(name: str) -> tuple[str, str]:
    return part_columns(name.removesuffix(f"_{INDEX[0].name}"))


def refuse_parts(options: WriterOptions, output_format: str) -> None:
    """Refuse parts in a format that holds one payload per sample.

    Raises:
        ConfigurationError: the options ask for parts.
    """
    if options.parts:
        raise ConfigurationError(
            f"output_format: expected 'webdataset' for samples with parts "
            f"({', '.join(options.parts)}), got {output_format!r}"
        )


def reserve_columns(options: WriterOptions, *names: str) -> None:
    """Refuse metadata columns that have the names of columns of the format.

    Raises:
        ConfigurationError: a column has such a name.
    """
    taken = [name for name in names if name in options.table_schema.names]
    if taken:
        raise ConfigurationError(
            f"column {taken[0]!r}: expected another name than that of the payload or caption "
            "column; rename it in the input"
        )
