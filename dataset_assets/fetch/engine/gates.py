"""Decides when a job may start: robots.txt of its origin, addresses and limits of its host.

A job that has to wait is kept here, while others overtake it: names of many jobs are looked up
before there is a connection for them, and a host that is new, slow or paused holds back only its
own. A job that may never start comes back in `refused`, and so does one that has waited for its
host for `_MAX_WAITS` times the timeout of an attempt.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import count
from math import inf

from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch._target import Target
from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.engine.jobs import Job
from dataset_assets.fetch.hosts.politeness import Host, Hosts, RequestEnd
from dataset_assets.fetch.hosts.resolver import Resolver
from dataset_assets.fetch.hosts.robots import RobotsCache
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.fetch.proxies import Proxies
from dataset_assets.records.causes import Cause

#: A job waits for its host for at most so many times the timeout of an attempt, unless limits that
#: the user has set make it wait.
_MAX_WAITS = 2


class Gates:
    """Holds every job that has not started.

    Attributes:
        proxy_failure: how the proxy failed, if it has since the last response through it.
        refused: jobs that may never start, with the reason; the dispatcher ends them.
        waiting: number of jobs that wait for a name, a robots.txt, a host or a time.
        queued: number of those that wait for a host.
    """

    def __init__(
        self,
        options: FetchOptions,
        guard: AddressGuard,
        resolver: Resolver,
        hosts: Hosts,
        robots: RobotsCache | None,
        proxies: Proxies,
    ) -> None:
        # Jobs whose name is known. Hops of redirects have begun, so that a full backlog does not
        # hold them back; first contacts go before the others.
        self._hops: deque[Job] = deque()
        self._first: deque[Job] = deque()
        self._ready: deque[Job] = deque()
        self.proxy_failure: Failure | None = None
        self.refused: deque[tuple[Job, Failure]] = deque()
        self.waiting = 0
        self.queued = 0
        self._guard = guard
        self._resolver = resolver
        self._hosts = hosts
        self._robots = robots
        self._proxies = proxies
        self._wait_timeout_s = options.wait_timeout_s
        self._for_rules: dict[str, list[Job]] = {}
        self._for_names: dict[str, list[Job]] = {}
        self._timers: list[tuple[float, int, Job | Host]] = []
        self._sequence = count()

    @property
    def has_ready(self) -> bool:
        """Whether a job could start as far as its name is concerned."""
        return bool(self._ready or self._first)

    @property
    def is_empty(self) -> bool:
        """Whether no job is left."""
        return not (self.waiting or self._ready or self._first or self._hops or self.refused)

    @property
    def suspects_outage(self) -> bool:
        """Whether hosts have failed to respond since the last response."""
        return bool(self._hosts.outage.sites)

    def enter(self, job: Job, now: float) -> None:
        """Take a job that is new, or has a new target."""
        if self._is_allowed(job, now) and self._has_address(job, now):
            self._line_up(job)

    def next_job(self, now: float, *, only_hops: bool) -> Job | None:
        """Return a job that starts now, or None. Jobs whose host is not free begin to wait."""
        while line := self._hops or (None if only_hops else self._first or self._ready):
            job = line.popleft()
            if not self._has_name(job):
                self.enter(job, now)
            elif job.host is not None or self._has_slot(job, now):
                return job
        return None

    def proxy_of(self, job: Job) -> str:
        """Return the URL of the proxy of a job's target, or ""."""
        if not self._proxies.is_used:
            return ""
        origin = job.target.origin
        return self._proxies.of(origin.scheme, origin.host, origin.port)

    def take_pins(self, job: Job) -> list[str]:
        """Return what libcurl does not know yet of the addresses of a job's host."""
        if self.proxy_of(job):
            return []
        return self._resolver.take_pins(job.target.origin.authority)

    def record_answer(self, job: Job, status: int, now: float) -> None:
        """Record that the header of a response has come, and admit jobs that wait for its host."""
        if job.host is not None:
            self._hosts.record_answer(job.host, status)
            self._release(job.host, now)

    def record_end(self, job: Job, end: RequestEnd, now: float) -> None:
        """Record how a request ended, and admit jobs that wait for its host."""
        host = job.host
        job.host = None
        has_passed = bool(end.status) and end.cause is not Cause.PROXY_ERROR
        if self.proxy_failure is not None and has_passed and self.proxy_of(job):
            self.proxy_failure = None
        was_out = self._hosts.outage.is_on
        host = self._hosts.record_end(job.target.origin.site, host, end, now)
        if was_out and not self._hosts.outage.is_on:
            self._resolver.forget_failures()
        if host is not None and host.queue:
            self._release(host, now)

    def hold(self, job: Job, seconds: float, now: float) -> None:
        """Let a job wait for a number of seconds."""
        self.waiting += 1
        heappush(self._timers, (now + seconds, next(self._sequence), job))

    def next_due_s(self, now: float) -> float:
        """Return the seconds until `tick` has something to do."""
        due_s = self._timers[0][0] - now if self._timers else inf
        return min(due_s, self._resolver.timeout_s / 10) if self._for_names else due_s

    def tick(self, now: float) -> None:
        """Release jobs whose name has been looked up or whose time has come."""
        for authority, resolution in self._resolver.collect(now):
            jobs = self._pop(self._for_names, authority)
            if resolution.failure is None:
                for job in jobs:
                    self._line_up(job)
            else:
                if resolution.failure.cause is Cause.DNS_TEMPORARY:
                    self._hosts.outage.record_failure(authority, now)
                self.refused.extend((job, resolution.failure) for job in jobs)
        while self._timers and self._timers[0][0] <= now:
            item = heappop(self._timers)[2]
            if isinstance(item, Host):
                item.has_timer = False
                self._release(item, now)
            else:
                self.waiting -= 1
                self.enter(item, now)

    def store_rules(self, root: str, body: bytes, now: float) -> None:
        """Store a robots.txt, and release the jobs that wait for it."""
        if self._robots is not None:
            self._robots.store(root, body)
        self._enter_all(root, now)

    def store_missing_rules(self, root: str, status: int, reason: Failure, now: float) -> None:
        """Store that there is no robots.txt, or none for now, and release the jobs."""
        if self._robots is not None:
            self._robots.store_failure(root, status, reason)
        self._enter_all(root, now)

    def _enter_all(self, root: str, now: float) -> None:
        for job in self._pop(self._for_rules, root):
            self.enter(job, now)

    def _line_up(self, job: Job) -> None:
        if job.redirects:
            self._hops.append(job)
        elif job.robots_of is not None or self._hosts.is_new(job.target.origin.site):
            self._first.append(job)
        else:
            self._ready.append(job)

    def _pop(self, waiting: dict[str, list[Job]], key: str) -> list[Job]:
        jobs = waiting.pop(key, [])
        self.waiting -= len(jobs)
        return jobs

    def _is_allowed(self, job: Job, now: float) -> bool:
        if self._robots is None or job.robots_of is not None:
            return True
        root = job.target.origin.root
        if not self._robots.knows(root):
            self._wait_for_rules(job, root, now)
            return False
        return self._unless(self._robots.refuses(job.target), job)

    def _wait_for_rules(self, job: Job, root: str, now: float) -> None:
        if self._park(self._for_rules, root, job):
            target = Target(f"{root}/robots.txt", job.target.origin)
            self.enter(Job(None, target, target, self._wait_timeout_s, robots_of=root), now)

    def _has_address(self, job: Job, now: float) -> bool:
        origin = job.target.origin
        if origin.literal:
            return self._unless(failure(self._guard.refuses(origin.host, origin.port)), job)
        if self.proxy_of(job):  # it looks the name up itself
            return self._unless(failure(self._guard.refuses_name(origin.host)), job)
        name = self._resolver.names.get(origin.authority)
        if name is not None and now < name.expires:
            return self._unless(name.failure, job)
        if self._park(self._for_names, origin.authority, job):
            self._resolver.ask(origin)
        return False

    def _has_name(self, job: Job) -> bool:
        """Tell whether libcurl needs no address, or gets it; a name may have been forgotten."""
        origin = job.target.origin
        is_known = origin.literal or origin.authority in self._resolver.names
        return is_known or bool(self.proxy_of(job))

    def _park(self, waiting: dict[str, list[Job]], key: str, job: Job) -> bool:
        """Let a job wait for a key; tell whether it is the first that does."""
        self.waiting += 1
        others = waiting.setdefault(key, [])
        others.append(job)
        return len(others) == 1

    def _unless(self, refusal: Failure | None, job: Job) -> bool:
        if refusal is not None:
            self.refused.append((job, refusal))
        return refusal is None

    def _has_slot(self, job: Job, now: float) -> bool:
        host = self._hosts.limited_host(job.target.origin.site, now)
        if host is None:
            return True
        if now < host.given_up_until:
            return self._unless(self._unavailable(job), job)
        if host.queue or host.wait_s(now) > 0:
            job.wait_until = now + _MAX_WAITS * self._wait_timeout_s
            if self._is_late(job, host, now):
                return self._unless(self._unavailable(job), job)
            self.waiting += 1
            self.queued += 1
            host.queue.append(job)
            self._set_timer(host, now)
            return False
        self._admit(job, host, now)
        return True

    def _unavailable(self, job: Job) -> Failure:
        """Return why a job cannot reach its host: a proxy that fails is not a dead host."""
        of_proxy = self.proxy_failure if self.proxy_of(job) else None
        return of_proxy or failure(Cause.HOST_UNAVAILABLE)

    def _is_late(self, job: Job, host: Host, now: float) -> bool:
        """Tell whether a job has waited for its host too long, or will have after the pause."""
        is_over = max(now, host.paused_until) > job.wait_until
        return is_over and self._hosts.may_expire(host, now)

    def _admit(self, job: Job, host: Host, now: float) -> None:
        job.host = host
        self._hosts.record_start(job.target.origin.site, host, now)

    def _set_timer(self, host: Host, now: float) -> None:
        wait_s = host.wait_s(now)
        if wait_s < inf and not host.has_timer:
            host.has_timer = True
            heappush(self._timers, (now + wait_s, next(self._sequence), host))

    def _release(self, host: Host, now: float) -> None:
        """Admit jobs that wait for a host, as many as its limits allow now."""
        is_given_up = now < host.given_up_until
        while host.queue:
            is_lost = is_given_up or self._is_late(host.queue[0], host, now)
            if not is_lost and host.wait_s(now) > 0:
                self._set_timer(host, now)
                return
            job = host.queue.popleft()
            self.waiting -= 1
            self.queued -= 1
            if is_lost:
                self.refused.append((job, self._unavailable(job)))
            else:
                self._admit(job, host, now)
                self._line_up(job)
