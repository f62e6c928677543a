"""The fetch thread: connects all parts of the engine, and runs the loop that feeds them."""

from collections.abc import Callable
from random import Random

from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.engine.backlog import Backlog, RequestFeed
from dataset_assets.fetch.engine.descriptors import budget
from dataset_assets.fetch.engine.dispatch import Dispatcher, FetchStats
from dataset_assets.fetch.engine.event_loop import EventLoop
from dataset_assets.fetch.engine.gates import Gates
from dataset_assets.fetch.engine.transfer import TransferFactory
from dataset_assets.fetch.hosts.politeness import Hosts
from dataset_assets.fetch.hosts.resolver import Lookup, Resolver
from dataset_assets.fetch.hosts.robots import RobotsCache
from dataset_assets.fetch.options import FetchOptions

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


class FetchLoop:
    """One set of connections and looked-up names, and the thread function that uses them."""

    def __init__(self, state: FetcherState) -> None:
        options = state.options
        guard = AddressGuard(options.allow_private_networks)
        factory = TransferFactory(options, guard)
        connections, lookups = budget(options.max_connections)
        self.closed = False
        self._state = state
        self._meter = factory.meter
        self._engine = EventLoop(options, factory, connections=connections, clock=state.clock)
        self._resolver = Resolver(
            state.lookup,
            guard,
            threads=lookups,
            timeout_s=options.timeout_s,
            clock=state.clock,
            wake=self._engine.wake,
        )
        self._gates = Gates(options, guard, self._resolver, state.hosts, state.robots)

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
        while not backlog.stopped:
            now = clock()
            turn = backlog.turn
            dispatcher.tick(now)
            _start_requests(feed, backlog, dispatcher, now)
            backlog.flush()
            if feed.exhausted and dispatcher.is_idle:
                return
            wait_s = _consumer_wait_s(feed, backlog, dispatcher, turn)
            if wait_s is None:
                wait_s = self._gates.next_due_s(now)
            ended = engine.step(wait_s)
            if ended:
                now = clock()
                for transfer in ended:
                    dispatcher.handle_end(transfer, now)


def _start_requests(
    feed: RequestFeed, backlog: Backlog, dispatcher: Dispatcher, now: float
) -> None:
    """Start as many requests as there is room for."""
    while True:
        has_room = backlog.has_room()
        request = feed.pull(backlog.turn) if has_room and dispatcher.wants_more else None
        if request is not None:
            dispatcher.add(request)
        if not dispatcher.start(now, only_hops=not has_room) and request is None:
            return


def _consumer_wait_s(
    feed: RequestFeed, backlog: Backlog, dispatcher: Dispatcher, turn: int
) -> float | None:
    """Decide whether the consumer has to wake the engine.

    Returns the longest wait in seconds, or None when only sockets and timers matter.
    """
    backlog.wants_every_wake = feed.blocked_at is not None
    backlog.wants_wake = backlog.wants_every_wake or not backlog.has_room()
    if backlog.wants_wake and backlog.turn != turn:
        return 0.0  # the consumer has come back meanwhile
    if backlog.wants_every_wake and dispatcher.is_idle and backlog.is_empty:
        feed.blocked_at = None
        return _ASK_AGAIN_S
    return None
