"""Plan URL lists: assign their rows to shards, for good. This is the asset `raw_urls` of the graph.

A plan is a folder. `plan.json` (`dataset_assets.records.plans.Plan`) is written last and
atomically, and names the files of the parts (`plan_parts`). Lists that arrive later are added with
the next shard numbers; what is planned never moves. Rows are streamed: one batch and one shard are
in memory.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dataset_assets.checks import integer
from dataset_assets.errors import ConfigurationError, ListChanged, ObjectMissing, PlanMismatch
from dataset_assets.pipelines.download._column_types import convert
from dataset_assets.pipelines.download._fingerprint import shard_fingerprint
from dataset_assets.pipelines.download.plan_parts import (
    check_not_empty,
    cut,
    empty_plan,
    list_fingerprint,
    part_schema,
    write_part,
)
from dataset_assets.records.plans import Plan, PlanPart
from dataset_assets.records.stored_json import parse_stored
from dataset_assets.records.typed_json import decode, load_object
from dataset_assets.storage.store import Store
from dataset_assets.urls.lists import ListOptions, UrlList
from dataset_assets.urls.sources import open_lists

logger = logging.getLogger(__name__)

PLAN = "plan.json"
#: Size and time of each list when it was planned: a list that still has both is not read again.
#: Safe to delete.
SEEN = "seen.json"
# A list that was modified this close to the planning may change again within one tick of the clock
# of its file system, so it is read again.
_SETTLED_S = 2.0

#: Called with the rows read so far and their size in memory, in bytes.
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
    """Plan the lists of a source, or add those that are new to the plan in a store.

    Idempotent: a known list (same name, same rows) stays as it was planned, also when it has been
    moved or deleted since.

    Args:
        source: a path or URL of a file, folder or glob; or, in memory, URLs, dictionaries, a pandas
            or Arrow table, or record batches.
        store: the folder of the plan.
        options: how the lists are read.
        samples_per_shard: rows of a shard.
        first_shard: number of the first shard of a new plan.
        progress: called with the rows read so far and their size in memory, in bytes.

    Raises:
        EmptyList: there is not a single row.
        ListChanged: a known list has other rows now. Nothing was changed.
        ConfigurationError: the plan was made with other options.
        MissingColumn, UnreadableList: a list cannot be read as asked. The plan is unchanged.
        PlanMismatch: another process has changed the plan at the same time.
    """
    integer("number_sample_per_shard", samples_per_shard, 1)
    asked = empty_plan(options, samples_per_shard)
    return _Planner(store, asked, first_shard, progress).run(open_lists(source, options))


def load_plan(store: Store) -> Plan:
    """Read the plan of a store.

    Raises:
        ObjectMissing: there is none.
        PlanMismatch: a newer version of this package wrote it.
        ShardCorrupt: it is malformed.
    """
    try:
        return parse_stored(
            store.read(PLAN),
            Plan.from_json,
            where=store.locate(PLAN),
            expected="a plan of this package",
            remedy="plan again in another folder",
        )
    except ConfigurationError as exc:
        raise PlanMismatch(f"{exc}, or plan again in another folder") from exc


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
        before = self._stored_plan()
        known = {part.name: part for part in before.parts}
        seen = self._read_seen()
        for each in lists:
            if each.name in known and not _is_settled(each, seen, started):
                self._check_unchanged(each, known[each.name])
        plan = self._add_new_lists(
            before, [each for each in lists if each.name not in known], lists
        )
        check_not_empty(plan, lists)
        if plan != before:
            self._publish(before, plan)
        self._write_seen(lists, started)
        return plan

    def _stored_plan(self) -> Plan:
        try:
            plan = load_plan(self.store)
        except ObjectMissing:
            return self.asked
        for name in ("samples_per_shard", "columns", "has_caption"):
            planned = getattr(plan, name)
            asked = getattr(self.asked, name)
            if planned != asked:
                raise ConfigurationError(
                    f"the plan in {self.store.url} was made with {name} {planned}, got {asked}; "
                    "use the same value, or another folder"
                )
        return plan

    def _read_seen(self) -> dict[str, tuple[float, ...]]:
        try:
            return decode(dict[str, tuple[float, ...]], load_object(self.store.read(SEEN)))
        except (ObjectMissing, ValueError):
            return {}

    def _write_seen(self, lists: list[UrlList], started: float) -> None:
        settled = {
            each.name: [each.bytes, each.modified]
            for each in lists
            if 0 < each.modified < started - _SETTLED_S
        }
        self.store.write(SEEN, json.dumps(settled, indent=1).encode(), durable=False)

    def _check_unchanged(self, each: UrlList, part: PlanPart) -> None:
        planned = part_schema(self.store, part)
        shards = convert(self._shards(each), planned, each.name, "the plan")
        fingerprints = [shard_fingerprint(shard) for shard in shards]
        if list_fingerprint(fingerprints) != part.fingerprint:
            raise ListChanged(
                f"{each.name} was planned with {part.rows:,} rows and has other rows now. Planned "
                "rows never move: give the changed list another name to add its rows, or plan in "
                "another folder"
            )

    def _add_new_lists(self, plan: Plan, new: list[UrlList], lists: list[UrlList]) -> Plan:
        """Write and add the new lists; one that was planned under another name adds nothing."""
        names = {each.name for each in lists}
        moved = {part.fingerprint: part.name for part in plan.parts if part.name not in names}
        for each in new:
            part = write_part(self.store, each, self._shards(each), plan, self.first_shard)
            if part is None:
                continue
            if part.fingerprint not in moved:
                plan = plan.with_part(part)
                continue
            logger.info("%s was planned before as %s", each.name, moved[part.fingerprint])
            for name in part.files:
                self.store.delete(name)
        return plan

    def _shards(self, each: UrlList) -> Iterator[pa.Table]:
        for shard in cut(each.read(), self.asked.samples_per_shard):
            yield shard
            self.rows += shard.num_rows
            self.bytes += shard.nbytes
            if self.progress is not None:
                self.progress(self.rows, self.bytes)

    def _publish(self, before: Plan, plan: Plan) -> None:
        """Write the plan, unless another process has planned in the same folder since."""
        if self._stored_plan() != before:
            raise PlanMismatch(
                f"another process has planned in {self.store.url} at the same time; run again to "
                "add the lists that it does not have"
            )
        self.store.write(PLAN, plan.to_json())


def _is_settled(each: UrlList, seen: dict[str, tuple[float, ...]], now: float) -> bool:
    return seen.get(each.name) == (each.bytes, each.modified) and each.modified < now - _SETTLED_S
