"""What one worker does: tasks in, records out; many shards overlap.

All requests of a worker are one stream through one `Fetcher`, so that connections, DNS answers and
what was learned about hosts outlive a shard. The next shard is opened while few rows are left to
start, so that slow URLs at the end of a shard do not leave the machine idle (`lookahead`). Fetching
has a thread, and commits have a few; everything else happens on the calling thread, or in codec
threads when the options ask for them. What a shard consists of is in `shard`.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from dataset_assets.errors import DiskFull
from dataset_assets.fetch.client import Fetcher
from dataset_assets.images.transform import ImageTransform, silence_codecs, warm_up
from dataset_assets.pipelines.download._malloc import keep_freed_memory
from dataset_assets.pipelines.download.lookahead import TaskFeed
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.plan_parts import read_shard
from dataset_assets.pipelines.download.rows import Sample
from dataset_assets.pipelines.download.shard import OpenShard, RetriedShard
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome, Request
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import ShardProgress, ShardRecord, ShardResult, ShardTask
from dataset_assets.shards.commits import read_record
from dataset_assets.shards.naming import shard_name
from dataset_assets.shards.reorder import ReorderBudget
from dataset_assets.storage.store import Store, open_store

PROGRESS_EVERY_S = 0.5
#: After so long without an answer, samples that are ready are written, and progress is reported.
HEARTBEAT_S = 0.1
# Samples in work per codec thread: enough to keep it busy while results are written.
_FUTURES_PER_THREAD = 4
# Complete shards that are committed at the same time: most of it is waiting for the disk or the
# network. More hold back the writing of others.
_MAX_COMMITS = 4


def make_shards(
    plan_url: str,
    plan: Plan,
    options: DownloadOptions,
    fingerprints: Mapping[int, str],
    retry_failed: frozenset[Cause],
    tasks: Iterator[ShardTask],
) -> Iterator[ShardProgress | ShardResult]:
    """Make the shards of `tasks` and yield how each ended, in any order, with progress between.

    A shard that fails becomes a result with an error; the others continue.

    Args:
        plan_url: store of the plan's rows.
        plan: the plan.
        options: how rows become shards.
        fingerprints: shard id -> fingerprint of its rows and the options.
        retry_failed: causes of failed rows to fetch again in committed shards.
        tasks: the shards to make, asked for one by one.

    Raises:
        DiskFull: there is no room; committed shards stay.
    """
    is_own_process = multiprocessing.parent_process() is not None
    if is_own_process:
        keep_freed_memory()
    if options.image is not None:
        warm_up(options.image)
        if is_own_process:  # so that its standard error may be changed
            silence_codecs()
    reorder = ReorderBudget(options.reorder_bytes, workers=options.processes_count)
    shards = _Shards(open_store(plan_url), plan, options, fingerprints, retry_failed, reorder)
    worker = _Worker(shards, tasks)
    try:
        yield from worker.run()
    finally:
        worker.close()


@dataclass(frozen=True, slots=True)
class _Shards:
    """Opens the shards of a plan."""

    plan_store: Store
    plan: Plan
    options: DownloadOptions
    fingerprints: Mapping[int, str]
    retry_failed: frozenset[Cause]
    reorder: ReorderBudget

    def open(self, task: ShardTask) -> OpenShard:
        table = read_shard(self.plan_store, self.plan, task.shard_id)
        store = open_store(task.folder)
        fingerprint = self.fingerprints[task.shard_id]
        shard = (task, table, store, self.options, fingerprint, self.reorder)
        if self.retry_failed:
            old = read_record(store, shard_name(task.shard_id, self.options.oom_shard_count))
            if old is not None:
                return RetriedShard(old, self.retry_failed, *shard)
        return OpenShard(*shard)


class _Worker:
    def __init__(self, shards: _Shards, tasks: Iterator[ShardTask]) -> None:
        options = shards.options
        self._shards = shards
        self._options = options
        self._tasks = TaskFeed(tasks, shards.fingerprints, options, shards.reorder)
        self._transform = ImageTransform(options.image) if options.image is not None else None
        # Filled on this thread, emptied on the fetch thread.
        self._pending: deque[Request] = deque()
        # Open shards, with the rows that each fetches.
        self._open: dict[OpenShard, int] = {}
        self._commits = _Commits()
        self._progress = _Progress()

    def run(self) -> Iterator[ShardProgress | ShardResult]:
        """Yield results, and progress about twice a second."""
        with (
            Fetcher(self._options.fetch) as fetcher,
            closing(fetcher.fetch(self._requests(), heartbeat_s=HEARTBEAT_S)) as outcomes,
        ):
            samples = self._samples(outcomes, fetcher)
            while True:
                yield from self._open_next()
                yield from self._commits.ended(wait=not self._open)
                if not self._open:
                    return
                made = next(samples)
                if made is not None:
                    yield from self._take(*made)
                yield from self._progress.due()

    def close(self) -> None:
        """Finish the commits that have begun, and discard the shards that are still open."""
        self._commits.close()
        for shard in self._open:
            shard.discard()
        self._open.clear()

    def _requests(self) -> Iterator[Request | None]:
        """Feed the fetcher, on its thread. None: nothing to start at the moment."""
        while self._tasks.has_more or self._pending:
            yield self._pending.popleft() if self._pending else None

    def _open_next(self) -> Iterator[ShardResult]:
        """Open shards while there is room and few rows are left to request."""
        while task := self._tasks.next(unstarted=len(self._pending), open_rows=self._open.values()):
            try:
                shard = self._shards.open(task)
            except DiskFull:
                raise
            except Exception as exc:  # noqa: BLE001 - a bad shard is reported and retried
                yield ShardResult(task, error=_describe(exc))
                continue
            requests = shard.requests()
            self._open[shard] = len(requests)
            self._pending.extend(requests)

    def _samples(
        self, outcomes: Iterator[FetchOutcome | None], fetcher: Fetcher
    ) -> Iterator[tuple[FetchOutcome, Sample] | None]:
        threads = self._options.codec_thread_count
        if threads == 0:
            return (
                None if outcome is None else (outcome, self._sample(outcome))
                for outcome in outcomes
            )
        return self._threaded(outcomes, threads, fetcher)

    def _threaded(
        self, outcomes: Iterator[FetchOutcome | None], threads: int, fetcher: Fetcher
    ) -> Iterator[tuple[FetchOutcome, Sample] | None]:
        futures: deque[tuple[FetchOutcome, Future[Sample]]] = deque()

        def wake_if_next(done: Future[Sample]) -> None:
            if futures and futures[0][1] is done:
                fetcher.wake()

        with ThreadPoolExecutor(threads, thread_name_prefix="codec") as pool:
            for outcome in outcomes:
                if outcome is not None:
                    submitted = pool.submit(self._sample, outcome)
                    futures.append((outcome, submitted))
                    submitted.add_done_callback(wake_if_next)
                while futures and (
                    len(futures) >= threads * _FUTURES_PER_THREAD or futures[0][1].done()
                ):
                    made, future = futures.popleft()
                    yield made, future.result()
                if outcome is None:
                    yield None
            for made, future in futures:
                yield made, future.result()

    def _sample(self, outcome: FetchOutcome) -> Sample:
        shard, index = outcome.token
        sample: Sample = shard.make_sample(index, outcome, self._transform)
        return sample

    def _take(self, outcome: FetchOutcome, sample: Sample) -> Iterator[ShardResult]:
        shard, index = outcome.token
        self._progress.add(outcome, is_success=sample.media.cause is None)
        if shard not in self._open:
            return  # it failed while this row was being fetched
        try:
            shard.add(index, outcome, sample)
        except DiskFull:
            raise
        except Exception as exc:  # noqa: BLE001 - a bad shard is reported and retried
            shard.discard()
            self._pending = deque(each for each in self._pending if each.token[0] is not shard)
            del self._open[shard]
            yield ShardResult(shard.task, error=_describe(exc))
            return
        if shard.is_complete:
            del self._open[shard]
            self._commits.begin(shard)


class _Commits:
    """Commits shards on threads of their own, so that open shards do not wait for the disk."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_MAX_COMMITS, thread_name_prefix="commit")
        self._begun: deque[tuple[OpenShard, Future[ShardRecord]]] = deque()

    def begin(self, shard: OpenShard) -> None:
        """Commit a complete shard."""
        self._begun.append((shard, self._threads.submit(shard.finish)))

    def ended(self, *, wait: bool) -> Iterator[ShardResult]:
        """Yield the results of the commits that have ended.

        Args:
            wait: wait for all of them; else only while there are too many.

        Raises:
            DiskFull: there was no room for one; it is discarded.
        """
        while self._begun and (
            wait or len(self._begun) >= _MAX_COMMITS or self._begun[0][1].done()
        ):
            shard, future = self._begun.popleft()
            try:
                yield ShardResult(shard.task, future.result())
            except DiskFull:
                shard.discard()
                raise
            except Exception as exc:  # noqa: BLE001 - a bad shard is reported and retried
                shard.discard()
                yield ShardResult(shard.task, error=_describe(exc))

    def close(self) -> None:
        """Wait until every commit has ended, and discard the shards that failed."""
        self._threads.shutdown()
        for shard, future in self._begun:
            if future.exception() is not None:
                shard.discard()
        self._begun.clear()


class _Progress:
    """Adds up what happened between two reports."""

    def __init__(self) -> None:
        self._rows = 0
        self._successes = 0
        self._bytes = 0
        self._next = time.monotonic() + PROGRESS_EVERY_S
        self._proxy_failure: str | None = None  # "" once reported

    def add(self, outcome: FetchOutcome, *, is_success: bool) -> None:
        self._rows += 1
        self._successes += is_success
        self._bytes += outcome.bytes_read
        if outcome.cause is Cause.PROXY_ERROR and self._proxy_failure is None:
            self._proxy_failure = outcome.message

    def due(self) -> Iterator[ShardProgress]:
        now = time.monotonic()
        if now < self._next and not self._proxy_failure:
            return
        self._next = now + PROGRESS_EVERY_S
        failure = self._proxy_failure or ""
        yield ShardProgress(self._rows, self._successes, self._bytes, failure)
        if failure:
            self._proxy_failure = ""
        self._rows = 0
        self._successes = 0
        self._bytes = 0


def _describe(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
