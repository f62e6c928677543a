"""The fetch thread: all parts put together, and the loop that feeds them."""

from collections.abc import Callable
from random import Random

from dataset_assets.fetch.addresses import AddressGuard
from dataset_assets.fetch.engine.backlog import Backlog, Source
from dataset_assets.fetch.engine.descriptors import budget
from dataset_assets.fetch.engine.dispatch import Dispatcher, FetchStats
from dataset_assets.fetch.engine.gates import Gates
from dataset_assets.fetch.engine.multi import Engine
from dataset_assets.fetch.engine.transfer import TransferFactory
from dataset_assets.fetch.hosts.politeness import Hosts
from dataset_assets.fetch.hosts.resolver import Lookup, Resolver
from dataset_assets.fetch.hosts.robots import RobotsCache
from dataset_assets.fetch.options import FetchOptions

#: s until a caller that had nothing to start is asked again although nothing is under way
_ASK_AGAIN_S = 0.02


class Memory:
    """What a fetcher knows for as long as it lives."""

    def __init__(
        self, options: FetchOptions, *, seed: int, clock: Callable[[], float], lookup: Lookup
    ) -> None:
        self.options, self.clock, self.lookup = options, clock, lookup
        self.random = Random(seed)
        self.stats = FetchStats()
        self.hosts = Hosts(options, self.random)
        self.robots = RobotsCache(options.robot_name, clock) if options.robots_txt else None


class Loop:
    """One set of connections and looked-up names, and the thread function that uses them."""

    def __init__(self, memory: Memory) -> None:
        options, clock = memory.options, memory.clock
        guard = AddressGuard(options.allow_private_networks)
        factory = TransferFactory(options, guard)
        connections, lookups = budget(options.max_connections)
        self.closed = False
        self._clock, self._hosts = clock, memory.hosts
        self._engine = Engine(options, factory, connections=connections, clock=clock)
        self._resolver = Resolver(
            memory.lookup,
            guard,
            threads=lookups,
            timeout_s=options.timeout_s,
            clock=clock,
            wake=self._engine.wake,
        )
        self._gates = Gates(options, guard, self._resolver, memory.hosts, memory.robots)
        self._dispatcher = Dispatcher(
            options, self._engine, self._gates, stats=memory.stats, random=memory.random
        )
        self._backlog_limits = (
            2 * options.max_connections,
            options.max_buffered_bytes,
            factory.meter,
        )

    def new_backlog(self) -> Backlog:
        """Make the way out of the next call of `serve`."""
        return Backlog(*self._backlog_limits, wake=self._engine.wake)

    def serve(self, source: Source, backlog: Backlog) -> None:
        """Fetch until the source is exhausted, or the consumer has stopped. Runs on the fetch thread."""
        error: BaseException | None = None
        try:
            self._dispatcher.put = backlog.put
            self._hosts.new_stream(self._clock())
            self._serve(source, backlog)
        except BaseException as exc:  # noqa: BLE001 -- the consumer's thread raises it: it came from there, or is a bug
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

    def _serve(self, source: Source, backlog: Backlog) -> None:
        engine, dispatcher = self._engine, self._dispatcher
        while not backlog.stopped:
            now, turn = self._clock(), backlog.turn
            self._gates.tick(now)
            self._fill(source, backlog, now)
            backlog.flush()
            if source.exhausted and dispatcher.is_idle:
                return
            ended = engine.step(self._wait_s(source, backlog, turn, now))
            if ended:
                now = self._clock()
                for transfer in ended:
                    dispatcher.ended(transfer, now)

    def _fill(self, source: Source, backlog: Backlog, now: float) -> None:
        """Start as much as there is room for."""
        dispatcher = self._dispatcher
        while True:
            has_room = backlog.has_room()
            request = source.pull(backlog.turn) if has_room and dispatcher.wants_more else None
            if request is not None:
                dispatcher.add(request)
            if not dispatcher.start(now, only_hops=not has_room) and request is None:
                return

    def _wait_s(self, source: Source, backlog: Backlog, turn: int, now: float) -> float:
        """Decide how long nothing but sockets needs to be looked at, and whether the consumer has to say that it goes on."""
        backlog.wants_every_wake = source.blocked_at is not None
        backlog.wants_wake = backlog.wants_every_wake or not backlog.has_room()
        if backlog.wants_wake and backlog.turn != turn:
            return 0.0  # it has gone on meanwhile
        if backlog.wants_every_wake and self._dispatcher.is_idle and backlog.is_empty:
            source.blocked_at = None
            return _ASK_AGAIN_S
        return self._gates.next_due_s(now)
