"""One thread reads, several work, results come in the order of what was read. At most a few are under way, so memory stays bounded."""

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Under way for each working thread, those that wait to be taken among them: enough to keep it busy while results are written.
PER_THREAD = 4
_STOP_S = 5.0


def in_order(
    items: Iterator[Item], work: Callable[[Item], Result], *, threads: int
) -> Generator[Result, None, None]:
    """Yield `work(item)` for each item, in order. What `items` or `work` raises is raised here in its turn, after the results before it."""
    room = threading.Semaphore(threads * PER_THREAD)
    stopped = threading.Event()
    results: SimpleQueue[Future[Result] | None] = SimpleQueue()
    with ThreadPoolExecutor(threads, thread_name_prefix="stage") as pool:

        def read() -> None:
            try:
                while room.acquire() and not stopped.is_set():
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
                room.release()
        finally:
            stopped.set()
            room.release()
            reader.join(_STOP_S)  # it may wait for the network; then it ends by itself, unheard
            pool.shutdown(cancel_futures=True)
