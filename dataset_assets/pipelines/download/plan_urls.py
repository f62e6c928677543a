"""Plan url lists: cut their rows into shards, once and for all. This is the asset `raw_urls` of the graph.

A plan is a folder: `plan.json` (see `records.Plan`), written last and atomically, names `part-NNNNN-MMMMM-<list>.parquet` files in which row group i
is shard i of the file. Lists that arrive later are added with the next shard numbers; nothing that is planned ever moves. Rows stream through: what
is held is one batch and one shard.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import (
    ConfigurationError,
    EmptyList,
    ListChanged,
    ObjectMissing,
    PlanMismatch,
)
from dataset_assets.pipelines.download._fingerprint import shard_fingerprint
from dataset_assets.pipelines.download._plan_part import PartWriter
from dataset_assets.records.plans import Plan, PlanPart
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.storage.store import Store
from dataset_assets.urls.lists import ListOptions, UrlList
from dataset_assets.urls.sources import open_lists

logger = logging.getLogger(__name__)

PLAN = "plan.json"
#: Size and time of the lists when they were planned: one that still has both is not read again. Safe to delete.
SEEN = "seen.json"
SHARDS_PER_FILE = 64
#: A list that was modified this close to the planning may change again within the same tick of the clock: it is read again.
_SETTLED_S = 2.0

Progress = Callable[[int, int], None]


def plan_urls(
    source: Any,
    store: Store,
    options: ListOptions,
    *,
    samples_per_shard: int = 10_000,
    first_shard: int = 0,
    progress: Progress | None = None,
) -> Plan:
    """Plan the lists of a source, or add those that are new to the plan that the store has.

    Idempotent: a known list (same name, same rows) is kept as it was planned, also when it is gone by now or has moved. The first shard of a new plan
    is `first_shard`.

    `source` is a path or url of a file, folder or glob; or, in memory, urls, dictionaries, a pandas or Arrow table, or record batches. `progress` is
    called with the rows read so far and their size in memory.

    Raises:
        EmptyList: there is not one row.
        ListChanged: a known list has other rows now. Nothing was changed.
        ConfigurationError: the plan was made with other options.
        MissingColumn, UnreadableList: a list can not be read as asked. The plan is as it was.
    """
    if samples_per_shard < 1:
        raise ConfigurationError(
            f"number_sample_per_shard: expected at least 1, came {samples_per_shard}"
        )
    asked = Plan(
        samples_per_shard,
        SHARDS_PER_FILE,
        options.columns,
        has_caption=options.caption_col is not None,
    )
    lists = open_lists(source, options)
    return _Planner(store, asked, first_shard, progress).run(lists)


def load_plan(store: Store) -> Plan:
    """Read the plan of a store.

    Raises:
        ObjectMissing: there is none.
        PlanMismatch: it was written by another version.
    """
    data = store.read(PLAN)
    version = json.loads(data).get("schema_version")
    if version != SCHEMA_VERSION:
        raise PlanMismatch(
            f"{store.locate(PLAN)} has schema version {version}, expected {SCHEMA_VERSION}: plan again in another folder"
        )
    return Plan.from_json(data)


def read_shard(store: Store, plan: Plan, shard_id: int) -> pa.Table:
    """Read the rows of one shard: `plan.columns`, in the order of the list.

    Raises:
        ConfigurationError: the plan has no such shard.
    """
    part = plan.part_of(shard_id)
    number, group = divmod(shard_id - part.first_shard, plan.shards_per_file)
    with store.open_read(part.files[number]) as stored, pq.ParquetFile(stored) as parquet:
        return parquet.read_row_group(group, use_threads=False)


@dataclass
class _Planner:
    """One call of `plan_urls`."""

    store: Store
    asked: Plan  # without parts
    first_shard: int
    progress: Progress | None
    rows: int = 0
    bytes: int = 0

    def run(self, lists: list[UrlList]) -> Plan:
        started = time.time()
        plan = self._planned()
        known = {part.name: part for part in plan.parts}
        seen = self._seen()
        for each in lists:
            if each.name in known and not _is_settled(each, seen, started):
                self._check_unchanged(each, known[each.name])
        names = {each.name for each in lists}
        moved = {part.fingerprint: part.name for part in plan.parts if part.name not in names}
        parts = list(plan.parts)
        for each in lists:
            if each.name not in known:
                parts += self._new_part(each, parts, moved)
        if not parts:
            raise EmptyList(
                f"no rows in {', '.join(sorted(names)[:3])}: expected at least one url; check the path and input_format"
            )
        if len(parts) > len(plan.parts):
            self._write(plan, replace(plan, parts=tuple(parts)))
        self._remember(lists, started)
        return replace(plan, parts=tuple(parts))

    def _planned(self) -> Plan:
        try:
            plan = load_plan(self.store)
        except ObjectMissing:
            return self.asked
        for name in ("samples_per_shard", "columns", "has_caption"):
            then, now = getattr(plan, name), getattr(self.asked, name)
            if then != now:
                raise ConfigurationError(
                    f"the plan in {self.store.url} was made with {name} {then}, came {now}: use the same, or another folder"
                )
        return plan

    def _seen(self) -> dict[str, list[float]]:
        try:
            seen: dict[str, list[float]] = json.loads(self.store.read(SEEN))
        except (ObjectMissing, ValueError):
            return {}
        return seen

    def _remember(self, lists: list[UrlList], started: float) -> None:
        settled = {
            each.name: [each.bytes, each.modified]
            for each in lists
            if 0 < each.modified < started - _SETTLED_S
        }
        self.store.write(SEEN, json.dumps(settled, indent=1).encode(), durable=False)

    def _check_unchanged(self, each: UrlList, part: PlanPart) -> None:
        fingerprints = [shard_fingerprint(shard) for shard in self._shards(each)]
        if _list_fingerprint(fingerprints) != part.fingerprint:
            raise ListChanged(
                f"{each.name} was planned with {part.rows:,} rows and has others now. Planned rows never move: "
                "give the changed list another name to add its rows, or plan in another folder"
            )

    def _new_part(
        self, each: UrlList, parts: list[PlanPart], moved: dict[str, str]
    ) -> list[PlanPart]:
        """Write the rows of a list; return its part, or nothing when it brings nothing new."""
        last = parts[-1] if parts else None
        first_shard = last.shards.stop if last else self.first_shard
        prefix = f"part-{len(parts):05d}"
        suffix = hashlib.sha256(each.name.encode()).hexdigest()[:8]
        with PartWriter(self.store, prefix, suffix, self.asked.shards_per_file) as writer:
            for shard in self._shards(each):
                writer.add(shard)
        fingerprints = tuple(writer.fingerprints)
        fingerprint = _list_fingerprint(fingerprints)
        if not fingerprints:
            logger.warning("%s has no rows", each.name)
            return []
        if fingerprint in moved:
            logger.info("%s is %s, which was planned before", each.name, moved[fingerprint])
            writer.delete()
            return []
        return [
            PlanPart(
                each.name,
                fingerprint,
                writer.rows,
                first_shard,
                len(fingerprints),
                tuple(writer.files),
                each.bytes,
                fingerprints,
            )
        ]

    def _shards(self, each: UrlList) -> Iterator[pa.Table]:
        for shard in cut(each.read(), self.asked.samples_per_shard):
            yield shard
            self.rows += shard.num_rows
            self.bytes += shard.nbytes
            if self.progress is not None:
                self.progress(self.rows, self.bytes)

    def _write(self, before: Plan, plan: Plan) -> None:
        """Publish the plan, unless another process has planned here in the meantime."""
        if self._planned() != before:
            raise PlanMismatch(
                f"another process has planned in {self.store.url} at the same time; run again to add what it has not"
            )
        self.store.write(PLAN, plan.to_json())


def cut(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Cut a stream of tables into tables of `rows` rows; the last may have fewer."""
    held: list[pa.Table] = []
    missing = rows
    for table in tables:
        rest = table
        while rest.num_rows >= missing:
            yield pa.concat_tables([*held, rest.slice(0, missing)])
            rest, held, missing = rest.slice(missing), [], rows
        if rest.num_rows:
            held.append(rest)
            missing -= rest.num_rows
    if held:
        yield pa.concat_tables(held)


def _is_settled(each: UrlList, seen: dict[str, list[float]], now: float) -> bool:
    return seen.get(each.name) == [each.bytes, each.modified] and each.modified < now - _SETTLED_S


def _list_fingerprint(shards: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(shards).encode()).hexdigest()
