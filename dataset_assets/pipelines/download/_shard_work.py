"""What one worker does: shards in, records out, with the tail of one shard overlapping the start of the next.

The whole of a worker's life is one stream of requests through one `Fetcher`, so connections, DNS answers and what was learnt about hosts
outlive a shard, and the last slow urls of a shard do not leave the machine idle. Everything but the network and the commits happens on the
calling thread (and in codec threads, when asked for).
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from dataset_assets.errors import DiskFull
from dataset_assets.fetch.client import Fetcher
from dataset_assets.images.prepare import silence_codecs, warm_up
from dataset_assets.pipelines.download._samples import Sample, SampleMaker
from dataset_assets.pipelines.download._shard_job import RetryJob, ShardJob
from dataset_assets.pipelines.download.plan_urls import read_shard
from dataset_assets.records.fetching import FetchOutcome, Request
from dataset_assets.records.shards import ShardProgress, ShardRecord, ShardResult, ShardTask
from dataset_assets.shards.commits import read_record
from dataset_assets.shards.naming import shard_name
from dataset_assets.storage.store import open_store

if TYPE_CHECKING:
    from dataset_assets.pipelines.download._workers import ShardWork

#: Open shards of one worker: one that waits for its last urls, one that is in full swing.
MAX_OPEN_SHARDS = 2
PROGRESS_EVERY_S = 0.5
#: After so long without an answer, samples that are ready are written, and the parent process hears of this one.
HEARTBEAT_S = 0.1
#: Futures in flight per codec thread: enough to keep it busy while results are written.
_FUTURES_PER_THREAD = 4


def work_on(work: "ShardWork", tasks: Iterator[ShardTask]) -> Iterator[ShardProgress | ShardResult]:
    """See `ShardWork`."""
    if work.options.image is not None:
        warm_up(work.options.image)
        if (
            multiprocessing.parent_process() is not None
        ):  # a process of ours: its standard error may be changed
            silence_codecs()
    worker = _Worker(work, tasks)
    try:
        yield from worker.run()
    finally:
        worker.close()


class _Worker:
    def __init__(self, work: "ShardWork", tasks: Iterator[ShardTask]) -> None:
        self._work, self._tasks = work, tasks
        self._make = SampleMaker(work.options)
        self._pending: deque[Request] = deque()  # filled here, emptied by the fetch thread
        self._open: set[ShardJob] = set()
        self._has_tasks = True
        self._commits = _Commits()
        self._progress = _Progress()

    def run(self) -> Iterator[ShardProgress | ShardResult]:
        """Yield results, and progress about twice a second."""
        with (
            Fetcher(self._work.options.fetch) as fetcher,
            closing(fetcher.fetch(self._requests(), heartbeat_s=HEARTBEAT_S)) as outcomes,
        ):
            samples = self._samples(outcomes)
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
        """Finish the commits that have begun, and discard what is still open."""
        self._commits.close()
        for job in self._open:
            job.discard()
        self._open.clear()

    def _requests(self) -> Iterator[Request | None]:
        """Feed the fetcher, on its thread. None: nothing to start at the moment."""
        while self._has_tasks or self._open:
            yield self._pending.popleft() if self._pending else None

    def _open_next(self) -> Iterator[ShardResult]:
        """Open shards while there is room and nothing is left to request."""
        while self._has_tasks and not self._pending and len(self._open) < MAX_OPEN_SHARDS:
            task = next(self._tasks, None)
            if task is None:
                self._has_tasks = False
                return
            try:
                job = self._job(task)
            except DiskFull:
                raise
            except Exception as exc:  # noqa: BLE001 - a bad shard is reported and retried; the others go on
                yield ShardResult(task, error=_describe(exc))
                continue
            self._open.add(job)
            self._pending.extend(job.requests())

    def _job(self, task: ShardTask) -> ShardJob:
        work = self._work
        table = read_shard(open_store(work.plan_url), work.plan, task.shard_id)
        store = open_store(task.folder)
        shard = (task, table, store, work.options, work.fingerprints[task.shard_id])
        old = (
            read_record(store, shard_name(task.shard_id, work.options.oom_shard_count))
            if work.retry_failed
            else None
        )
        return ShardJob(*shard) if old is None else RetryJob(old, work.retry_failed, *shard)

    def _samples(
        self, outcomes: Iterator[FetchOutcome | None]
    ) -> Iterator[tuple[FetchOutcome, Sample] | None]:
        threads = self._work.options.codec_thread_count
        if threads == 0:
            return (
                None if outcome is None else (outcome, self._sample(outcome))
                for outcome in outcomes
            )
        return self._threaded(outcomes, threads)

    def _threaded(
        self, outcomes: Iterator[FetchOutcome | None], threads: int
    ) -> Iterator[tuple[FetchOutcome, Sample] | None]:
        futures: deque[tuple[FetchOutcome, Future[Sample]]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="codec") as pool:
            for outcome in outcomes:
                if outcome is not None:
                    futures.append((outcome, pool.submit(self._sample, outcome)))
                while futures and (
                    outcome is None
                    or len(futures) >= threads * _FUTURES_PER_THREAD
                    or futures[0][1].done()
                ):
                    made, future = futures.popleft()
                    yield made, future.result()
                if outcome is None:
                    yield None

    def _sample(self, outcome: FetchOutcome) -> Sample:
        job, index = outcome.token
        return self._make(outcome, expected_hash=job.expected_hash(index), bboxes=job.bboxes(index))

    def _take(self, outcome: FetchOutcome, sample: Sample) -> Iterator[ShardResult]:
        job, index = outcome.token
        self._progress.add(outcome, is_success=sample.media.cause is None)
        if job not in self._open:
            return  # it failed while this row was under way
        try:
            job.add(index, outcome, sample)
        except DiskFull:
            raise
        except Exception as exc:  # noqa: BLE001 - as in `_open_next`
            job.discard()
            self._pending = deque(
                request for request in self._pending if request.token[0] is not job
            )
            self._open.discard(job)
            yield ShardResult(job.task, error=_describe(exc))
            return
        if job.is_complete:
            self._open.discard(job)
            self._commits.begin(job)


class _Commits:
    """Commits shards on a thread of their own: waiting for the disk does not hold up the shards that are still open."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._begun: deque[tuple[ShardJob, Future[ShardRecord]]] = deque()

    def begin(self, job: ShardJob) -> None:
        """Commit a complete shard."""
        self._begun.append((job, self._thread.submit(job.finish)))

    def ended(self, *, wait: bool) -> Iterator[ShardResult]:
        """Yield the results of the commits that have ended; `wait` for all of them, or while there are too many.

        Raises:
            DiskFull: there was no room for one; it is discarded.
        """
        while self._begun and (
            wait or len(self._begun) >= MAX_OPEN_SHARDS or self._begun[0][1].done()
        ):
            job, future = self._begun.popleft()
            try:
                yield ShardResult(job.task, future.result())
            except DiskFull:
                job.discard()
                raise
            except Exception as exc:  # noqa: BLE001 - a bad shard is reported and retried; the others go on
                job.discard()
                yield ShardResult(job.task, error=_describe(exc))

    def close(self) -> None:
        """Wait until what has begun has ended, well or badly."""
        self._thread.shutdown()
        for job, future in self._begun:
            if future.exception() is not None:
                job.discard()
        self._begun.clear()


class _Progress:
    """Adds up what happened between two reports."""

    def __init__(self) -> None:
        self._rows = self._successes = self._bytes = 0
        self._next = time.monotonic() + PROGRESS_EVERY_S

    def add(self, outcome: FetchOutcome, *, is_success: bool) -> None:
        self._rows += 1
        self._successes += is_success
        self._bytes += outcome.bytes_read

    def due(self) -> Iterator[ShardProgress]:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PROGRESS_EVERY_S
        yield ShardProgress(self._rows, self._successes, self._bytes)
        self._rows = self._successes = self._bytes = 0


def _describe(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}"
