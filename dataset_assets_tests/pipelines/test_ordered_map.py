"""One thread reads, several work, results come in order."""

import threading
import time

import pytest

from dataset_assets.pipelines.stage._ordered_map import PER_THREAD, ordered_map


def test_results_come_in_order_when_work_takes_unequal_time():
    def work(number):
        time.sleep(0.004 * (number % 3 == 0))
        return number

    assert list(ordered_map(iter(range(40)), work, threads=3)) == list(range(40))


def test_few_items_are_in_flight_when_results_are_not_taken():
    seen = []

    def items():
        for number in range(1000):
            seen.append(number)
            yield number

    results = ordered_map(items(), str, threads=2)
    assert next(results) == "0"
    time.sleep(0.1)
    assert len(seen) <= 2 * PER_THREAD + 1
    results.close()
    assert threading.active_count() < 10


@pytest.mark.parametrize("where", ["items", "work"])
def test_error_is_raised_in_its_turn(where):
    def items():
        yield from range(5)
        if where == "items":
            raise OSError("at 5")
        yield 5
        yield 6

    def work(number):
        if number == 5:
            raise OSError("at 5")
        return number

    results = ordered_map(items(), work, threads=2)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(OSError, match="at 5"):
        next(results)


def test_reader_ends_when_results_are_no_longer_wanted():
    before = threading.active_count()
    results = ordered_map(iter(range(100)), str, threads=2)
    assert next(results) == "0"
    assert threading.active_count() > before
    results.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
