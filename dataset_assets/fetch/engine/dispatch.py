"""Starts requests, and decides what follows each: the next hop, a retry, or an outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from time import time

from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch._target import Target, parse
from dataset_assets.fetch.engine.event_loop import EventLoop
from dataset_assets.fetch.engine.gates import Gates
from dataset_assets.fetch.engine.jobs import Job, failure_of, outcome_of, redirect_of, rules_of
from dataset_assets.fetch.engine.transfer import ACCEPT_PLAIN, Transfer
from dataset_assets.fetch.hosts.politeness import RequestEnd, retry_after_s
from dataset_assets.fetch.hosts.robots import MAX_BYTES as MAX_ROBOTS_BYTES
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause
from dataset_assets.records.fetching import FetchOutcome, Request

#: Causes after which the part of robots.txt that was received still applies.
_READABLE = frozenset({Cause.EMPTY_BODY, Cause.TOO_LARGE})
#: Kept connections of a site that were closed without an answer, in a row; then none is used again.
_MAX_STALE = 3
#: Sites with such connections that are remembered.
_MAX_SITES = 10_000


@dataclass(slots=True)
class FetchStats:
    """What a fetcher has done so far."""

    requests: int = 0
    """Requests sent: redirects, retries and robots.txt included."""
    bytes: int = 0
    """Bytes of bodies."""
    retries: int = 0
    """Attempts after the first."""
    insecure_redirects: int = 0
    """Redirects from https to http."""


class Dispatcher:
    """Owns every job of one call of `fetch` until its outcome. For the fetch thread only."""

    def __init__(
        self,
        options: FetchOptions,
        engine: EventLoop,
        gates: Gates,
        *,
        put: Callable[[FetchOutcome], None],
        stats: FetchStats,
        random: Random,
    ) -> None:
        self._options = options
        self._engine = engine
        self._gates = gates
        self._put = put
        self._stats = stats
        self._random = random
        self._stale: dict[str, int] = {}  # by site, in a row
        self._lines = [ACCEPT_PLAIN, *(f"{name}: {value}" for name, value in options.headers)]

    @property
    def is_idle(self) -> bool:
        """Whether no job is left."""
        return not self._engine.running and self._gates.is_empty

    @property
    def is_starving(self) -> bool:
        """Whether there is a connection without a job for it."""
        return self._engine.has_free and not self._gates.has_ready

    def tick(self, now: float) -> None:
        """Release jobs that have waited long enough."""
        self._gates.tick(now)
        self._end_refused(now)

    def add(self, request: Request, now: float) -> None:
        """Accept a request of the caller."""
        target = parse(request.url)
        if isinstance(target, Failure):
            self._put(FetchOutcome(request.token, cause=target.cause, message=target.message))
        else:
            job = Job(request.token, target, target, self._options.attempt_timeout_s)
            self._gates.enter(job, now)

    def start(self, now: float, *, only_hops: bool) -> bool:
        """Start the next job that may start; return whether there was one."""
        job = self._gates.next_job(now, only_hops=only_hops) if self._engine.has_free else None
        if job is not None:
            self._begin(job, self._engine.take(), now)
        if self._gates.refused:
            self._end_refused(now)
        return job is not None

    def handle_answers(self, now: float) -> None:
        """Admit more jobs of hosts whose first responses begin."""
        for transfer in self._engine.answered:
            self._gates.record_answer(transfer.job, transfer.status, now)
        self._engine.answered.clear()

    def handle_end(self, transfer: Transfer, now: float) -> None:
        """Decide how a job continues after a transfer."""
        job: Job = transfer.job
        job.requests += 1
        job.bytes_read += transfer.size
        self._stats.requests += 1
        self._stats.bytes += transfer.size
        if self._stale or transfer.was_stale:
            self._count_stale(job.target.origin.site, transfer)
        if transfer.is_whole:
            if job.host is not None or self._gates.suspects_outage:
                self._gates.record_end(
                    job, RequestEnd(transfer.started, transfer.status, None, None), now
                )
            self._finish(job, transfer, None, now)
        else:
            self._handle_other_end(job, transfer, now)
        if self._gates.refused:
            self._end_refused(now)
        transfer.discard()
        transfer.job = None
        self._engine.give(transfer)

    def _begin(self, job: Job, transfer: Transfer, now: float) -> None:
        pins = self._gates.take_pins(job)
        closes = self._stale.get(job.target.origin.site, 0) >= _MAX_STALE
        proxy = self._gates.proxy_of(job)
        transfer.begin(job.target.url, pins, now, fresh=job.needs_fresh or closes, proxy=proxy)
        transfer.cap = self._options.max_bytes if job.robots_of is None else MAX_ROBOTS_BYTES
        transfer.consent = job.robots_of is None
        transfer.deadline = now + job.remaining_s
        transfer.job = job
        host = job.host
        transfer.is_first = host is not None and not host.has_answered
        transfer.awaited = host is not None and not (host.has_answered and host.is_troubled)
        if self._options.headers:
            transfer.send_headers(self._lines if self._may_have_headers(job) else self._lines[:1])
        self._engine.start(transfer, at_once=bool(pins))

    def _may_have_headers(self, job: Job) -> bool:
        origin = job.target.origin
        if self._options.header_hosts:
            return origin.host in self._options.header_hosts
        return origin == job.first.origin

    def _handle_other_end(self, job: Job, transfer: Transfer, now: float) -> None:
        target = redirect_of(transfer, job.target.url)
        reason = failure_of(transfer) if target is None else None
        pause_s = retry_after_s(transfer.header(b"retry-after"), time) if reason else None
        cause = reason.cause if reason else None
        was_good = job.host is None or job.host.is_good
        end = RequestEnd(transfer.started, transfer.status, cause, pause_s, job.attempt > 0)
        if cause is Cause.PROXY_ERROR:
            self._gates.proxy_failure = reason
        self._gates.record_end(job, end, now)
        job.is_overloading = end.is_overload and was_good
        job.remaining_s = transfer.deadline - now
        if target is not None:
            self._redirect(job, transfer, target, now)
        elif transfer.was_stale and job.attempt < (self._options.retries or 1):
            self._send_again(job, now)
        elif reason is not None and self._may_retry(job, reason, pause_s):
            job.failure = reason
            self._retry(job, pause_s or 0.0, now)
        else:
            self._finish(job, transfer, reason, now)

    def _redirect(self, job: Job, transfer: Transfer, target: Target | Failure, now: float) -> None:
        if job.redirects == self._options.max_redirects:
            target = failure(Cause.TOO_MANY_REDIRECTS)
        if isinstance(target, Failure):
            self._finish(job, transfer, target, now)
            return
        job.redirects += 1
        if job.target.origin.scheme == "https" and target.origin.scheme == "http":
            self._stats.insecure_redirects += 1
        job.target = target
        self._gates.enter(job, now)

    def _send_again(self, job: Job, now: float) -> None:
        """Send a request at once on a new connection; the kept one was closed without an answer.

        That takes one of the retries. Where there are none, it is done once: a server may close a
        kept connection at any time, which says nothing about the URL.
        """
        job.attempt += 1
        job.needs_fresh = True
        self._stats.retries += 1
        self._gates.enter(job, now)

    def _count_stale(self, site: str, transfer: Transfer) -> None:
        """Learn from the ends of kept connections."""
        if transfer.was_stale:
            count = self._stale.pop(site, 0)
            self._stale[site] = count + 1
            if len(self._stale) > _MAX_SITES:
                del self._stale[next(iter(self._stale))]
        elif transfer.status and not transfer.opened:
            self._stale.pop(site, None)

    def _may_retry(self, job: Job, reason: Failure, pause_s: float | None) -> bool:
        can_help = reason.cause.is_transient and (pause_s or 0) <= self._options.max_retry_after_s
        retries = self._options.retries
        if retries and job.is_overloading:
            retries += 1  # a host that limits requests: the pace that it gets now can help
        return can_help and job.attempt < retries

    def _retry(self, job: Job, at_least_s: float, now: float) -> None:
        """Retry after an exponential pause with full jitter."""
        longest_s = min(self._options.max_backoff_s, self._options.backoff_s * 2**job.attempt)
        pause_s = self._random.uniform(0, longest_s)
        job.attempt += 1
        job.target = job.first
        job.redirects = 0
        job.remaining_s = self._options.attempt_timeout_s
        self._stats.retries += 1
        self._gates.hold(job, max(at_least_s, pause_s), now)

    def _end_refused(self, now: float) -> None:
        """End or retry jobs that may not start. They have no transfer."""
        refused = self._gates.refused
        while refused:
            job, reason = refused.popleft()
            if reason.cause is Cause.DNS_TEMPORARY and self._may_retry(job, reason, None):
                self._retry(job, 0.0, now)
            else:
                is_given_up = reason.cause is Cause.HOST_UNAVAILABLE
                self._finish(job, None, job.failure if is_given_up and job.failure else reason, now)

    def _finish(
        self, job: Job, transfer: Transfer | None, reason: Failure | None, now: float
    ) -> None:
        if job.robots_of is None:
            self._put(outcome_of(job, transfer, reason))
        elif (
            transfer is not None
            and transfer.brings_file
            and (reason is None or reason.cause in _READABLE)
        ):
            self._finish_rules(job.robots_of, transfer, now)
        elif reason is not None:
            self._gates.store_missing_rules(
                job.robots_of, transfer.status if transfer else 0, reason, now
            )

    def _finish_rules(self, root: str, transfer: Transfer, now: float) -> None:
        """Store the robots.txt of an origin."""
        rules = rules_of(transfer, MAX_ROBOTS_BYTES)
        if rules is not None:
            self._gates.store_rules(root, rules, now)
        else:
            reason = failure(Cause.BAD_ENCODING)
            self._gates.store_missing_rules(root, transfer.status, reason, now)
