"""The fetch thread: connects all parts of the engine, and runs the loop that feeds them."""

from collections.abc import Callable
from random import Random

from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.engine.backlog import Backlog, RequestFeed
from dataset_assets.fetch.engine.dispatch import Dispatcher, FetchStats
from dataset_assets.fetch.engine.event_loop import EventLoop, budget
from dataset_assets.fetch.engine.gates import Gates
from dataset_assets.fetch.engine.transfer import TransferFactory
from dataset_assets.fetch.hosts.politeness import Hosts
from dataset_assets.fetch.hosts.resolver import Lookup, Resolver
from dataset_assets.fetch.hosts.robots import RobotsCache
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.fetch.proxies import Proxies

#: Rows that are pulled although there is no connection for them yet, so that their names are known
#: when there is one. As many as the consumer has finished with, at most this many.
MAX_AHEAD = 4000
#: Rows that are pulled and not finished, those that wait for their host included.
MAX_OPEN_ROWS = 20_000
#: Seconds without a row to start after which more rows are looked at.
_STARVING_S = 0.05
#: Seconds until an idle engine asks a caller again that had no request to start.
_ASK_AGAIN_S = 0.02


class FetcherState:
    """What a fetcher keeps for its whole life: options, random numbers, hosts, robots.txt."""

    def __init__(
        self, options: FetchOptions, *, seed: int, clock: Callable[[], float], lookup: Lookup
    ) -> None:
        self.options = options
        self.clock = clock
        self.lookup = lookup
        self.random = Random(seed)
        self.stats = FetchStats()
        self.hosts = Hosts(options, self.random)
        self.robots = RobotsCache(options.robot_name, clock) if options.robots_txt else None
        self.proxies = Proxies(options.proxy)


class FetchLoop:
    """One set of connections and looked-up names, and the thread function that uses them."""

    def __init__(self, state: FetcherState) -> None:
        options = state.options
        guard = AddressGuard(options.allow_private_networks)
        factory = TransferFactory(options, guard)
        connections, lookups, extra = budget(options.max_connections)
        self.closed = False
        self._state = state
        self._outage = state.hosts.outage
        self._meter = factory.meter
        self._engine = EventLoop(
            options, factory, connections=connections, extra=extra, clock=state.clock
        )
        self._resolver = Resolver(
            state.lookup,
            guard,
            threads=lookups,
            timeout_s=options.timeout_s,
            clock=state.clock,
            wake=self._engine.wake,
        )
        # Rows that may wait for their host before the consumer has had an outcome.
        self._for_hosts = self._seen_pulled = 0
        self._pulled_at = 0.0
        self._gates = Gates(
            options, guard, self._resolver, state.hosts, state.robots, state.proxies
        )

    def new_backlog(self) -> Backlog:
        """Create the backlog of the next call of `serve`."""
        options = self._state.options
        return Backlog(
            2 * options.max_connections,
            options.max_buffered_bytes,
            self._meter,
            wake=self._engine.wake,
        )

    def serve(self, feed: RequestFeed, backlog: Backlog) -> None:
        """Fetch until the feed is exhausted or the consumer stops. Runs on the fetch thread."""
        error: BaseException | None = None
        try:
            self._serve(feed, backlog)
        except BaseException as exc:  # noqa: BLE001 -- the consumer's thread raises it
            error = exc
        if error is not None or backlog.stopped:
            self.close()
        backlog.end(error)

    def close(self) -> None:
        """Close every socket."""
        if not self.closed:
            self.closed = True
            self._engine.close()
            self._resolver.close()

    def _serve(self, feed: RequestFeed, backlog: Backlog) -> None:
        engine = self._engine
        clock = self._state.clock
        dispatcher = Dispatcher(
            self._state.options,
            engine,
            self._gates,
            put=backlog.put,
            stats=self._state.stats,
            random=self._state.random,
        )
        self._state.hosts.start_stream(clock())
        self._for_hosts = self._seen_pulled = 0
        while not backlog.stopped:
            now = clock()
            turn = backlog.turn
            dispatcher.tick(now)
            self._start_requests(feed, backlog, dispatcher, now)
            backlog.flush()
            if feed.exhausted and dispatcher.is_idle:
                return
            is_starving = not feed.exhausted and dispatcher.is_starving
            wait_s = _consumer_wait_s(feed, backlog, dispatcher, turn, is_starving=is_starving)
            if wait_s is None:
                wait_s = self._gates.next_due_s(now)
                if self._outage.sites:
                    wait_s = min(wait_s, self._outage.next_due_s(now))
                if is_starving and backlog.is_empty and feed.may_have_more:
                    self._look_further(feed, now)
                    wait_s = min(wait_s, _STARVING_S)
            ended = engine.step(wait_s)
            if ended or engine.answered:
                now = clock()
                dispatcher.handle_answers(now)
                for transfer in ended:
                    dispatcher.handle_end(transfer, now)

    def _start_requests(
        self, feed: RequestFeed, backlog: Backlog, dispatcher: Dispatcher, now: float
    ) -> None:
        """Start as many requests as there is room for, and look ahead for more."""
        while True:
            has_room = backlog.has_room()
            may_pull = has_room and self._may_pull(feed, backlog, now)
            request = feed.pull(backlog.turn) if may_pull else None
            if request is not None:
                dispatcher.add(request, now)
            if not dispatcher.start(now, only_hops=not has_room) and request is None:
                return

    def _may_pull(self, feed: RequestFeed, backlog: Backlog, now: float) -> bool:
        """Tell whether to pull a row: not too far ahead of the consumer, and not in an outage.

        Rows that wait for their host can not start, so they do not count as rows ahead. Many of
        them are pulled only for a consumer that keeps up, or that has had nothing for a while.
        """
        consumed = backlog.consumed
        open_rows = feed.pulled - consumed
        begun = 3 * self._state.options.max_connections
        keeps_up = consumed > 0 and backlog.is_empty
        for_hosts = (
            MAX_OPEN_ROWS if keeps_up else min(MAX_OPEN_ROWS, 8 * consumed + self._for_hosts)
        )
        return (
            open_rows - self._gates.queued < begun + min(MAX_AHEAD, consumed)
            and open_rows < begun + for_hosts
            and not (self._outage.sites and self._outage.holds(now))
        )

    def _look_further(self, feed: RequestFeed, now: float) -> None:
        """Allow more rows for hosts when none could start for a while."""
        if feed.pulled != self._seen_pulled:
            self._seen_pulled = feed.pulled
            self._pulled_at = now
        elif now - self._pulled_at >= _STARVING_S:
            self._pulled_at = now
            self._for_hosts = 2 * self._for_hosts + self._state.options.max_connections


def _consumer_wait_s(
    feed: RequestFeed, backlog: Backlog, dispatcher: Dispatcher, turn: int, *, is_starving: bool
) -> float | None:
    """Decide whether the consumer has to wake the engine.

    Returns the longest wait in seconds, or None when only sockets and timers matter.
    """
    backlog.wants_every_wake = feed.blocked_at is not None and is_starving
    backlog.wants_wake = is_starving or not backlog.has_room()
    if backlog.wants_wake and backlog.turn != turn:
        return 0.0  # the consumer has come back meanwhile
    if backlog.wants_every_wake and dispatcher.is_idle and backlog.is_empty:
        feed.blocked_at = None
        return _ASK_AGAIN_S
    return None
