"""The rows of a plan as they are stored: each URL list is a part, cut into shards.

A part is one or more Parquet files. Row group i of a file is shard i of that file, and a file holds
`shards_per_file` shards. Files mean nothing until a plan names them; a list that is planned again
writes the same files again. Which lists belong to a lasting plan is decided in `plan_urls`.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import EmptyList
from dataset_assets.pipelines.download._column_types import convert
from dataset_assets.pipelines.download._fingerprint import shard_fingerprint
from dataset_assets.records.plans import Plan, PlanPart
from dataset_assets.storage.parquet import ParquetSink
from dataset_assets.storage.store import Store
from dataset_assets.urls.lists import ListOptions, UrlList
from dataset_assets.urls.sources import open_lists

logger = logging.getLogger(__name__)

SHARDS_PER_FILE = 64
# A dictionary of values that hardly repeat costs time and saves nothing.
_WITHOUT_DICTIONARY = ("url", "caption")


def plan_once(
    source: Any, store: Store, options: ListOptions, *, samples_per_shard: int, first_shard: int = 0
) -> Plan:
    """Plan the lists of a source for one run, in an empty folder. The plan itself is not stored.

    Args:
        source: what `plan_urls` takes.
        store: where the rows go.
        options: how the lists are read.
        samples_per_shard: rows of a shard.
        first_shard: number of the first shard.

    Raises:
        EmptyList: there is not a single row.
        MissingColumn, UnreadableList: a list cannot be read as asked.
    """
    plan = empty_plan(options, samples_per_shard)
    lists = open_lists(source, options)
    for each in lists:
        part = write_part(store, each, cut(each.read(), samples_per_shard), plan, first_shard)
        if part is not None:
            plan = plan.with_part(part)
    check_not_empty(plan, lists)
    return plan


def empty_plan(options: ListOptions, samples_per_shard: int) -> Plan:
    """Return a plan without parts."""
    has_caption = options.caption_col is not None
    return Plan(samples_per_shard, SHARDS_PER_FILE, options.columns, has_caption)


def check_not_empty(plan: Plan, lists: Sequence[UrlList]) -> None:
    """Refuse a plan without rows.

    Raises:
        EmptyList: none of the lists has a row.
    """
    if not plan.parts:
        names = ", ".join(sorted(each.name for each in lists)[:3])
        raise EmptyList(
            f"no rows in {names}: expected at least one URL; check the path and input_format"
        )


def write_part(
    store: Store, source: UrlList, shards: Iterator[pa.Table], plan: Plan, first_shard: int
) -> PlanPart | None:
    """Write the shards of a list; return the part, or None when the list has no rows.

    Args:
        store: the folder of the plan.
        source: the list that the rows are from.
        shards: its rows, cut into shards.
        plan: the plan that the part will follow.
        first_shard: number of the first shard of a plan without parts.

    Raises:
        UnreadableList: a column has another type than in the first list of the plan, and values
            that the type of the first list cannot hold.
    """
    prefix = f"part-{len(plan.parts):05d}"
    suffix = hashlib.sha256(source.name.encode()).hexdigest()[:8]
    if plan.parts:
        first = plan.parts[0]
        shards = convert(shards, part_schema(store, first), source.name, first.name)
    with _PartWriter(store, prefix, suffix, plan.shards_per_file) as writer:
        for shard in shards:
            writer.add(shard)
    if not writer.fingerprints:
        logger.warning("%s has no rows", source.name)
        return None
    return PlanPart(
        name=source.name,
        fingerprint=list_fingerprint(writer.fingerprints),
        rows=writer.rows,
        first_shard=plan.next_shard(first_shard),
        shard_count=len(writer.fingerprints),
        files=tuple(writer.files),
        source_bytes=source.bytes,
        shard_fingerprints=tuple(writer.fingerprints),
    )


def part_schema(store: Store, part: PlanPart) -> pa.Schema:
    """Read the types of the columns of a part."""
    with store.open_read(part.files[0]) as stored, pq.ParquetFile(stored) as parquet:
        return parquet.schema_arrow


def list_fingerprint(shard_fingerprints: Sequence[str]) -> str:
    """Return the sha256 (hex) of a list from those of its shards."""
    return hashlib.sha256("\n".join(shard_fingerprints).encode()).hexdigest()


def read_shard(store: Store, plan: Plan, shard_id: int) -> pa.Table:
    """Read the rows of one shard: `plan.columns`, in the order of the list.

    Raises:
        ConfigurationError: the plan has no such shard.
    """
    part = plan.part_of(shard_id)
    number, group = divmod(shard_id - part.first_shard, plan.shards_per_file)
    with store.open_read(part.files[number]) as stored, pq.ParquetFile(stored) as parquet:
        return parquet.read_row_group(group, use_threads=False)


def cut(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut a stream of tables into tables of `rows` rows; the last may have fewer."""
    held: list[pa.Table] = []
    missing = rows
    for table in tables:
        rest = table
        while rest.num_rows >= missing:
            yield pa.concat_tables([*held, rest.slice(0, missing)])
            rest = rest.slice(missing)
            held = []
            missing = rows
        if rest.num_rows:
            held.append(rest)
            missing -= rest.num_rows
    if held:
        yield pa.concat_tables(held)


class _PartWriter:
    """Writes shards in order. Leaving it completes the last file, or discards it after an error."""

    def __init__(self, store: Store, prefix: str, suffix: str, shards_per_file: int) -> None:
        self.fingerprints: list[str] = []
        self.files: list[str] = []
        self.rows = 0
        self._store = store
        self._prefix = prefix
        self._suffix = suffix
        self._shards_per_file = shards_per_file
        self._open: ParquetSink | None = None

    def add(self, shard: pa.Table) -> None:
        """Append the rows of a shard."""
        if self._open is None:
            self._open = self._start_file(shard.schema)
        self._open.write(shard, row_group_size=shard.num_rows)
        self.fingerprints.append(shard_fingerprint(shard))
        self.rows += shard.num_rows
        if len(self.fingerprints) % self._shards_per_file == 0:
            self._end_file()

    def _start_file(self, schema: pa.Schema) -> ParquetSink:
        name = f"{self._prefix}-{len(self.files):05d}-{self._suffix}.parquet"
        staged = self._store.stage(name, sha256=False)
        return ParquetSink(
            staged,
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in _WITHOUT_DICTIONARY],
            write_statistics=False,
        )

    def _end_file(self) -> None:
        if self._open is not None:
            self._open.commit()
            self.files.append(self._open.staged.key)
            self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._end_file()
        elif self._open is not None:
            self._open.discard()
