"""What a job has to pass before its request starts: robots.txt of its origin, the addresses of its host, the politeness that its host needs.

A job that has to wait is kept here and comes back through `ready`, where it tries again; others pass it meanwhile.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import inf

from dataset_assets.fetch._causes import Failure, failure
from dataset_assets.fetch._target import Target
from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.engine.jobs import Job
from dataset_assets.fetch.hosts.politeness import End, Host, Hosts
from dataset_assets.fetch.hosts.resolver import Resolver
from dataset_assets.fetch.hosts.robots import RobotsCache
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.records.causes import Cause


class Gates:
    """Holds every job that waits. `fail` gets those whose wait ends badly."""

    def __init__(
        self,
        options: FetchOptions,
        guard: AddressGuard,
        resolver: Resolver,
        hosts: Hosts,
        robots: RobotsCache | None,
    ) -> None:
        self.ready: deque[Job] = deque()
        self.waiting = 0
        self.fail: Callable[[Job, Failure, float], None] = _unset
        self._guard, self._resolver, self._hosts, self._robots = guard, resolver, hosts, robots
        self._looks_up = options.proxy is None  # a proxy looks names up itself
        self._attempt_timeout_s = options.attempt_timeout_s
        self._for_rules: dict[str, list[Job]] = {}
        self._for_names: dict[str, list[Job]] = {}
        self._timers: list[tuple[float, int, Job | Host]] = []
        self._sequence = count()

    def passes(self, job: Job, now: float) -> bool:
        """Tell whether a job may start now. If not, it waits, or has failed."""
        if job.host is not None:
            return True  # its turn has come
        return (
            self._is_allowed(job, now) and self._has_address(job, now) and self._has_turn(job, now)
        )

    def pin_of(self, job: Job) -> str | None:
        """Return the addresses that libcurl has to be told, once."""
        name = self._resolver.names.get(job.target.origin.authority)
        if name is None or name.pin is None:
            return None
        pin, name.pin = name.pin, None
        return pin

    def left(self, job: Job, end: End, now: float) -> None:
        """Learn how a request ended, and let others have its turn."""
        host, job.host = job.host, None
        host = self._hosts.ended(job.target.origin.site, host, end, now)
        if host is not None and host.queue:
            self._release(host, now)

    def hold(self, job: Job, seconds: float, now: float) -> None:
        """Let a job wait for a time."""
        self.waiting += 1
        heappush(self._timers, (now + seconds, next(self._sequence), job))

    def next_due_s(self, now: float) -> float:
        """Seconds until something here has to be looked at."""
        due_s = self._timers[0][0] - now if self._timers else inf
        return min(due_s, self._resolver.timeout_s / 10) if self._for_names else due_s

    def tick(self, now: float) -> None:
        """Let go of what has waited long enough."""
        for authority, name in self._resolver.answered(now):
            for job in self._pop(self._for_names, authority):
                if name.failure is None:
                    self.ready.append(job)
                else:
                    self.fail(job, name.failure, now)
        while self._timers and self._timers[0][0] <= now:
            item = heappop(self._timers)[2]
            if isinstance(item, Host):
                item.armed = False
                self._release(item, now)
            else:
                self.waiting -= 1
                self.ready.append(item)

    def rules_loaded(self, root: str, body: bytes) -> None:
        """Take in a robots.txt."""
        if self._robots is not None:
            self._robots.loaded(root, body)
        self.ready.extend(self._pop(self._for_rules, root))

    def rules_failed(self, root: str, status: int, reason: Failure) -> None:
        """Take in that there is no robots.txt, or none for now."""
        if self._robots is not None:
            self._robots.failed(root, status, reason)
        self.ready.extend(self._pop(self._for_rules, root))

    def _pop(self, waiting: dict[str, list[Job]], key: str) -> list[Job]:
        jobs = waiting.pop(key, [])
        self.waiting -= len(jobs)
        return jobs

    def _is_allowed(self, job: Job, now: float) -> bool:
        if self._robots is None or job.robots_of is not None:
            return True
        root = job.target.origin.root
        if not self._robots.knows(root):
            self._wait_for_rules(job, root)
            return False
        return self._unless(self._robots.refuses(job.target), job, now)

    def _wait_for_rules(self, job: Job, root: str) -> None:
        if self._park(self._for_rules, root, job):
            target = Target(f"{root}/robots.txt", job.target.origin)
            self.ready.appendleft(
                Job(None, target, target, self._attempt_timeout_s, robots_of=root)
            )

    def _has_address(self, job: Job, now: float) -> bool:
        origin = job.target.origin
        if origin.literal:
            return self._unless(failure(self._guard.refuses(origin.host, origin.port)), job, now)
        if not self._looks_up:
            return True
        name = self._resolver.names.get(origin.authority)
        if name is not None and now < name.expires:
            return self._unless(name.failure, job, now)
        if self._park(self._for_names, origin.authority, job):
            self._resolver.ask(origin)
        return False

    def _park(self, waiting: dict[str, list[Job]], key: str, job: Job) -> bool:
        """Let a job wait with others for the same thing; tell whether it is the first."""
        self.waiting += 1
        others = waiting.setdefault(key, [])
        others.append(job)
        return len(others) == 1

    def _unless(self, refusal: Failure | None, job: Job, now: float) -> bool:
        if refusal is not None:
            self.fail(job, refusal, now)
        return refusal is None

    def _has_turn(self, job: Job, now: float) -> bool:
        host = self._hosts.entered(job.target.origin.site, now)
        if host is None:
            return True
        if now < host.given_up_until:
            return self._unless(failure(Cause.HOST_UNAVAILABLE), job, now)
        if host.queue or host.wait_s(now) > 0:
            self.waiting += 1
            host.queue.append(job)
            self._arm(host, now)
            return False
        self._let_in(job, host, now)
        return True

    def _let_in(self, job: Job, host: Host, now: float) -> None:
        job.host = host
        self._hosts.started(host, now)

    def _arm(self, host: Host, now: float) -> None:
        wait_s = host.wait_s(now)
        if wait_s < inf and not host.armed:
            host.armed = True
            heappush(self._timers, (now + wait_s, next(self._sequence), host))

    def _release(self, host: Host, now: float) -> None:
        """Let the urls of a host go on, as many as it may have now."""
        given_up = now < host.given_up_until
        while host.queue and (given_up or host.wait_s(now) <= 0):
            job = host.queue.popleft()
            self.waiting -= 1
            if given_up:
                self.fail(job, failure(Cause.HOST_UNAVAILABLE), now)
            else:
                self._let_in(job, host, now)
                self.ready.append(job)
        if host.queue:
            self._arm(host, now)


def _unset(_job: Job, _failure: Failure, _now: float) -> None:
    raise NotImplementedError
