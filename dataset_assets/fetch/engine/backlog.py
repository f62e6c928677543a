"""Between the fetch thread and its consumer: requests enter while there is room, outcomes leave.

Room is measured in outcomes and bytes that the consumer has not finished with. Only one thread
writes each counter, so no lock is needed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue

from dataset_assets.fetch.engine.transfer import Meter
from dataset_assets.records.fetching import FetchOutcome, Request

#: The consumer wakes the fetch thread when this share of a full backlog is left.
_REFILL_AT = 0.75


class RequestFeed:
    """The caller's requests, pulled one at a time."""

    def __init__(self, requests: Iterable[Request | None]) -> None:
        self.exhausted = False
        self.pulled = 0
        # The consumer's turn in which the caller had nothing to start.
        self.blocked_at: int | None = None
        self._requests = iter(requests)

    @property
    def may_have_more(self) -> bool:
        """Whether the caller is not known to have nothing to start."""
        return not self.exhausted and self.blocked_at is None

    def pull(self, turn: int) -> Request | None:
        """Return the next request, or None when there is none before the consumer's next turn."""
        if self.exhausted or self.blocked_at == turn:
            return None
        self.blocked_at = None
        for request in self._requests:
            if request is None:
                self.blocked_at = turn
            else:
                self.pulled += 1
            return request
        self.exhausted = True
        return None


class Backlog:
    """Outcomes that the consumer has not finished with."""

    def __init__(
        self, max_outcomes: int, max_bytes: int, meter: Meter, wake: Callable[[], None]
    ) -> None:
        self.stopped = False  # set by the consumer
        self.consumed = 0  # outcomes the consumer has finished with
        self.turn = 0  # how often the consumer has come back for more
        self.wants_wake = False
        self.wants_every_wake = False
        self._max_outcomes = max_outcomes
        self._max_bytes = max_bytes
        self._meter = meter
        self._wake = wake
        self._put_outcomes = 0
        self._put_bytes = 0
        self._consumed_bytes = 0
        self._batch: deque[FetchOutcome] = deque()
        self._batches: SimpleQueue[deque[FetchOutcome] | BaseException | None] = SimpleQueue()

    @property
    def is_empty(self) -> bool:
        """Whether the consumer has finished with everything."""
        return self._put_outcomes == self.consumed

    def has_room(self) -> bool:
        """Tell whether another request may start."""
        waiting_bytes = self._put_bytes - self._consumed_bytes + self._meter.bytes
        return (
            self._put_outcomes - self.consumed < self._max_outcomes
            and waiting_bytes < self._max_bytes
        )

    def put(self, outcome: FetchOutcome) -> None:
        """Add an outcome. The consumer sees it after `flush`."""
        self._batch.append(outcome)
        self._put_outcomes += 1
        if outcome.body is not None:
            self._put_bytes += len(outcome.body)

    def flush(self) -> None:
        """Pass the added outcomes to the consumer."""
        if self._batch:
            self._batches.put(self._batch)
            self._batch = deque()

    def end(self, error: BaseException | None) -> None:
        """Tell the consumer that nothing follows, or which error ended the fetch."""
        self.flush()
        self._batches.put(error)

    def stop(self) -> None:
        """Tell the fetch thread that no more outcomes are wanted. For the consumer."""
        self.stopped = True
        self._wake()

    def wake_consumer(self) -> None:
        """Make a waiting consumer see a heartbeat. For any thread."""
        self._batches.put(deque())

    def outcomes(self, heartbeat_s: float | None = None) -> Iterator[FetchOutcome | None]:
        """Yield outcomes, and None after each `heartbeat_s` seconds without one. For the consumer.

        Raises:
            BaseException: what the caller's iterable of requests raised.
        """
        while isinstance(batch := self._next_batch(heartbeat_s), deque):
            if not batch:
                yield None
                self._take_turn()
            while batch:
                outcome = batch.popleft()
                size = len(outcome.body or b"")
                yield outcome
                del outcome
                self.consumed += 1
                self._consumed_bytes += size
                self._take_turn()
        if batch is not None:
            raise batch

    def _take_turn(self) -> None:
        self.turn += 1
        if self.wants_wake and (self.wants_every_wake or self._is_low()):
            self._wake()

    def _next_batch(self, heartbeat_s: float | None) -> deque[FetchOutcome] | BaseException | None:
        try:
            return self._batches.get(timeout=heartbeat_s)
        except Empty:
            return deque()

    def _is_low(self) -> bool:
        few = self._put_outcomes - self.consumed <= _REFILL_AT * self._max_outcomes
        return few and self._put_bytes - self._consumed_bytes <= _REFILL_AT * self._max_bytes
