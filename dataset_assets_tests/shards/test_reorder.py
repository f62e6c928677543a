import gc
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.errors import DiskFull, ShardError
from dataset_assets.records.shards import Row
from dataset_assets.shards.reorder import ReorderBudget, ReorderBuffer


def row(index, payload):
    return Row(index, str(index), {}, payload=payload)


def file_size(buffer):
    return os.fstat(buffer._file.fileno()).st_size if buffer._file is not None else 0


@settings(max_examples=150, deadline=None)
@given(
    payloads=st.lists(st.none() | st.binary(max_size=40), max_size=40),
    limit=st.integers(0, 200),
    seed=st.randoms(use_true_random=False),
    drain=st.booleans(),
)
def test_rows_come_out_in_order_and_whole_when_they_arrive_in_any_order(
    payloads, limit, seed, drain
):
    order = list(range(len(payloads)))
    seed.shuffle(order)
    out = []
    with ReorderBuffer(ReorderBudget(limit)) as buffer:
        for index in order:
            buffer.add(index, row(index, payloads[index]))
            in_memory = sum(
                len(each.payload)
                for i, each in buffer._rows.items()
                if each.payload is not None and i != buffer._next
            )
            assert in_memory <= limit
            if drain:
                out += buffer.ready()
        out += buffer.ready()
        assert len(buffer) == 0
        assert buffer._bytes == 0
        assert file_size(buffer) == 0
    assert [(each.index, each.payload) for each in out] == list(enumerate(payloads))


def test_memory_is_bounded_when_one_row_is_late(tmp_path):
    with ReorderBuffer(ReorderBudget(10_000), tmp_path) as buffer:
        for index in range(1, 1000):
            buffer.add(index, row(index, bytes([index % 256]) * 1000))
        assert (
            sum(len(each.payload) for each in buffer._rows.values() if each.payload is not None)
            == 10_000
        )
        assert file_size(buffer) == 989 * 1000
        assert (
            list(tmp_path.iterdir()) == []
        )  # the file has no name: a killed process leaves nothing
        assert list(buffer.ready()) == []
        buffer.add(0, row(0, b"late" * 5000))
        out = list(buffer.ready())
        assert [each.index for each in out] == list(range(1000))
        assert all(each.payload == bytes([each.index % 256]) * 1000 for each in out[1:])
        assert file_size(buffer) == 0


def test_file_is_reused_when_it_was_drained(tmp_path):
    with ReorderBuffer(ReorderBudget(0), tmp_path) as buffer:
        for first in range(0, 40, 4):
            for index in (first + 3, first + 2, first + 1, first):
                buffer.add(index, row(index, b"x" * 100))
            assert file_size(buffer) == 300
            assert len(list(buffer.ready())) == 4
            assert file_size(buffer) == 0


def test_no_file_is_made_when_rows_fit_in_memory(tmp_path):
    with ReorderBuffer(ReorderBudget(1000), tmp_path / "does not exist") as buffer:
        for index in reversed(range(10)):
            buffer.add(index, row(index, b"x" * 100))
        assert len(list(buffer.ready())) == 10
        assert buffer._file is None


@pytest.mark.parametrize("second", [0, 1])
def test_row_is_refused_when_it_comes_twice(second):
    buffer = ReorderBuffer(ReorderBudget(10))
    buffer.add(0, row(0, b""))
    list(buffer.ready())
    buffer.add(1, row(1, b""))
    with pytest.raises(ShardError, match=f"got row {second} twice"):
        buffer.add(second, row(second, b""))


def test_disk_full_names_the_folder_when_there_is_no_room(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with (
        ReorderBuffer(ReorderBudget(0), tmp_path) as buffer,
        pytest.raises(
            DiskFull, match=f"{tmp_path}: cannot spill .*: No space left on device; free some space"
        ),
    ):
        buffer.add(1, row(1, b"x"))


def test_disk_full_names_the_folder_when_it_cannot_be_used(tmp_path):
    with (
        ReorderBuffer(ReorderBudget(0), tmp_path / "missing") as buffer,
        pytest.raises(DiskFull, match="missing: cannot spill .*: No such file"),
    ):
        buffer.add(1, row(1, b"x"))


def test_everything_is_written_when_the_disk_takes_little_at_a_time(tmp_path, monkeypatch):
    original = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: original(fd, data[:7], at))
    payload = random.Random(1).randbytes(1000)
    with ReorderBuffer(ReorderBudget(0), tmp_path) as buffer:
        buffer.add(1, row(1, payload))
        buffer.add(0, row(0, None))
        assert [each.payload for each in buffer.ready()] == [None, payload]


def test_descriptor_is_freed_when_closed(tmp_path):
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    buffer = ReorderBuffer(ReorderBudget(0), tmp_path)
    buffer.add(1, row(1, b"x"))
    buffer.close()
    buffer.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(buffer) == 0


def test_buffers_of_one_budget_share_its_memory(tmp_path):
    budget = ReorderBudget(1000)
    first = ReorderBuffer(budget, tmp_path)
    second = ReorderBuffer(budget, tmp_path)
    for index in range(1, 11):
        first.add(index, row(index, b"x" * 60))
        second.add(index, row(index, b"x" * 60))
    held = [
        each.payload for buffer in (first, second) for each in buffer._rows.values() if each.payload
    ]
    assert sum(map(len, held)) <= 1000
    assert budget.spilled_bytes == 1200 - sum(map(len, held))
    first.close()
    second.add(11, row(11, b"x" * 500))  # takes the memory that the first has given back
    assert second._rows[11].payload is not None
    second.add(0, row(0, None))
    assert len(list(second.ready())) == 12
    assert budget.spilled_bytes == 0
    assert budget._bytes == 0
