"""A map over several threads that keeps the order of its input and bounded memory."""

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items in flight for each thread, finished results included: enough to keep it busy while results
#: are written.
PER_THREAD = 4
_JOIN_TIMEOUT_S = 5.0


def ordered_map(
    items: Iterator[Item], work: Callable[[Item], Result], *, threads: int
) -> Generator[Result, None, None]:
    """Yield `work(item)` for each item, in order.

    One thread reads `items`, `threads` threads run `work`. An exception of either is raised here
    in its turn, after the results before it.
    """
    slots = threading.Semaphore(threads * PER_THREAD)
    stopped = threading.Event()
    results: SimpleQueue[Future[Result] | None] = SimpleQueue()
    with ThreadPoolExecutor(threads, thread_name_prefix="stage") as pool:

        def read() -> None:
            try:
                while slots.acquire() and not stopped.is_set():
                    item = next(items, None)
                    if item is None or stopped.is_set():
                        break
                    results.put(pool.submit(work, item))
            except BaseException as exc:  # noqa: BLE001 - raised where the results are taken
                failed: Future[Result] = Future()
                failed.set_exception(exc)
                results.put(failed)
            results.put(None)

        reader = threading.Thread(target=read, name="stage reader", daemon=True)
        reader.start()
        try:
            while (future := results.get()) is not None:
                yield future.result()
                slots.release()
        finally:
            stopped.set()
            slots.release()
            # The reader may be waiting for the network. It then ends on its own, unobserved.
            reader.join(_JOIN_TIMEOUT_S)
            pool.shutdown(cancel_futures=True)
