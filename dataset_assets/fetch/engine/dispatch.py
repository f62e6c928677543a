"""Starts requests, and decides what happens after one has ended: the next hop of a redirect, another try later, or an outcome."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from time import time

from dataset_assets.fetch._attempts import retry_after_s
from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch._target import Target, parse
from dataset_assets.fetch.engine.gates import Gates
from dataset_assets.fetch.engine.jobs import Job, failure_of, outcome_of, redirect_of
from dataset_assets.fetch.engine.multi import Engine
from dataset_assets.fetch.engine.transfer import ACCEPT_PLAIN, Transfer
from dataset_assets.fetch.hosts.politeness import End
from dataset_assets.fetch.hosts.robots import MAX_BYTES as MAX_ROBOTS_BYTES
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome, Request


@dataclass(slots=True)
class FetchStats:
    """What a fetcher has done so far."""

    requests: int = 0  # sent: redirects, retries and robots.txt included
    bytes: int = 0  # of bodies
    retries: int = 0
    insecure_redirects: int = 0  # from https to http


class Dispatcher:
    """Owns every job from `add` to its outcome. Belongs to the fetch thread."""

    def __init__(
        self,
        options: FetchOptions,
        engine: Engine,
        gates: Gates,
        *,
        stats: FetchStats,
        random: Random,
    ) -> None:
        self.put: Callable[[FetchOutcome], None] = _unset
        self._options, self._engine, self._gates, self._stats, self._random = (
            options,
            engine,
            gates,
            stats,
            random,
        )
        self._max_waiting = max(1000, 8 * options.max_connections)
        self._hopping: deque[Job] = (
            deque()
        )  # between two hops of a redirect: begun, so no limit of the consumer holds them back
        self._lines = [ACCEPT_PLAIN, *(f"{name}: {value}" for name, value in options.headers)]
        gates.fail = self._refused

    @property
    def is_idle(self) -> bool:
        """Whether no job is left."""
        return not (
            self._engine.running or self._hopping or self._gates.ready or self._gates.waiting
        )

    @property
    def wants_more(self) -> bool:
        """Whether another request of the caller could start at once, as far as is known."""
        return (
            not self._gates.ready
            and self._gates.waiting < self._max_waiting
            and self._engine.has_free
        )

    def add(self, request: Request) -> None:
        """Take a request of the caller."""
        target = parse(request.url)
        if isinstance(target, Failure):
            self.put(FetchOutcome(request.token, cause=target.cause, message=target.message))
        else:
            self._gates.ready.append(
                Job(request.token, target, target, self._options.attempt_timeout_s)
            )

    def start(self, now: float, *, only_hops: bool) -> bool:
        """Start the next job that may; return whether there was one to look at and a transfer for it."""
        jobs = self._hopping or (None if only_hops else self._gates.ready)
        transfer = self._engine.take() if jobs else None
        if not jobs or transfer is None:
            return False
        job = jobs.popleft()
        if self._gates.passes(job, now):
            self._begin(job, transfer, now)
        else:
            self._engine.give(transfer)
        return True

    def ended(self, transfer: Transfer, now: float) -> None:
        """Decide how a job goes on."""
        job: Job = transfer.job
        job.requests += 1
        job.bytes_read += transfer.size
        self._stats.requests += 1
        self._stats.bytes += transfer.size
        if (
            transfer.status == 200
            and transfer.size
            and not transfer.code
            and transfer.cause is None
        ):
            if job.host is not None:
                self._gates.left(job, End(transfer.started, 200, None, None), now)
            self._finish(job, transfer, None)
        else:
            self._ended_otherwise(job, transfer, now)
        transfer.discard()
        transfer.job = None
        self._engine.give(transfer)

    def _begin(self, job: Job, transfer: Transfer, now: float) -> None:
        pin = self._gates.pin_of(job)
        transfer.begin(job.target.url, pin, now)
        transfer.cap = self._options.max_bytes if job.robots_of is None else MAX_ROBOTS_BYTES
        transfer.consent = job.robots_of is None
        transfer.deadline = now + job.remaining_s
        transfer.job = job
        if self._options.headers:
            transfer.send_headers(self._lines if self._may_have_headers(job) else self._lines[:1])
        self._engine.start(transfer, at_once=pin is not None)

    def _may_have_headers(self, job: Job) -> bool:
        here = job.target.origin
        return (
            here.host in self._options.header_hosts
            if self._options.header_hosts
            else here == job.first.origin
        )

    def _ended_otherwise(self, job: Job, transfer: Transfer, now: float) -> None:
        target = redirect_of(transfer, job.target.url)
        reason = failure_of(transfer) if target is None else None
        pause_s = retry_after_s(transfer.header(b"retry-after"), time) if reason else None
        self._gates.left(
            job, End(transfer.started, transfer.status, reason and reason.cause, pause_s), now
        )
        job.remaining_s = transfer.deadline - now
        if target is not None:
            self._redirect(job, transfer, target)
        elif reason is not None and self._tries_again(job, reason, pause_s):
            self._hold(job, pause_s or 0.0, now)
        else:
            self._finish(job, transfer, reason)

    def _redirect(self, job: Job, transfer: Transfer, target: Target | Failure) -> None:
        if job.redirects == self._options.max_redirects:
            target = failure(Cause.TOO_MANY_REDIRECTS)
        if isinstance(target, Failure):
            self._finish(job, transfer, target)
            return
        job.redirects += 1
        self._stats.insecure_redirects += (
            job.target.origin.scheme == "https" and target.origin.scheme == "http"
        )
        job.target = target
        self._hopping.append(job)

    def _tries_again(self, job: Job, reason: Failure, pause_s: float | None) -> bool:
        can_help = reason.cause.is_transient and (pause_s or 0) <= self._options.max_retry_after_s
        return can_help and job.attempt < self._options.retries

    def _hold(self, job: Job, at_least_s: float, now: float) -> None:
        """Try again after an exponential pause with full jitter."""
        pause_s = self._random.uniform(
            0, min(self._options.max_backoff_s, self._options.backoff_s * 2**job.attempt)
        )
        job.attempt += 1
        job.target, job.redirects, job.remaining_s = job.first, 0, self._options.attempt_timeout_s
        self._stats.retries += 1
        self._gates.hold(job, max(at_least_s, pause_s), now)

    def _refused(self, job: Job, reason: Failure, now: float) -> None:
        """End a job at a gate: it has no transfer."""
        if reason.cause is Cause.DNS_TEMPORARY and self._tries_again(job, reason, None):
            self._hold(job, 0.0, now)
        else:
            self._finish(job, None, reason)

    def _finish(self, job: Job, transfer: Transfer | None, reason: Failure | None) -> None:
        if job.robots_of is None:
            self.put(outcome_of(job, transfer, reason))
        elif (
            transfer is not None
            and transfer.status == 200
            and (reason is None or reason.cause in _READABLE)
        ):
            self._gates.rules_loaded(job.robots_of, transfer.body())
        elif reason is not None:
            self._gates.rules_failed(job.robots_of, transfer.status if transfer else 0, reason)


#: what robots.txt says so far still counts
_READABLE = frozenset({Cause.EMPTY_BODY, Cause.TOO_LARGE})


def _unset(_outcome: FetchOutcome) -> None:
    raise NotImplementedError
