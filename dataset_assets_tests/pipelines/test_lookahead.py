import sys

import pytest

from dataset_assets.fetch.options import FetchOptions
from dataset_assets.pipelines.download import lookahead
from dataset_assets.pipelines.download.lookahead import TaskFeed
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.shards import ShardTask
from dataset_assets.shards import reorder
from dataset_assets.shards.reorder import ReorderBudget, ReorderBuffer, spill_folder
from dataset_assets_tests.shards.test_reorder import row


def wants(unstarted=0, shards=1, rows=1000, left=100, *, budget=None, **options):
    options = DownloadOptions(samples_per_shard=rows, **options)
    budget = budget or ReorderBudget(1 << 20)
    feed = TaskFeed(iter([ShardTask(0, "out")]), range(left), options, budget)
    return feed.next(unstarted=unstarted, open_rows=[rows] * shards) is not None


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"unstarted": 399}, True),
        ({"unstarted": 400}, False),
        ({"shards": 19}, True),
        ({"shards": 20}, False),  # 20,000 rows
        ({"shards": 1, "rows": 50_000}, True),  # two shards are always allowed
        ({"shards": 2, "rows": 50_000}, False),
        # A fair share of what is left, in rows.
        ({"unstarted": 49, "rows": 10, "left": 10, "processes_count": 2}, True),
        ({"unstarted": 50, "rows": 10, "left": 10, "processes_count": 2}, False),
    ],
)
def test_next_shard_is_opened_while_few_rows_are_left_to_start(state, expected):
    assert wants(**state) is expected


def test_full_disk_or_too_long_files_stop_the_lookahead(tmp_path, monkeypatch):
    monkeypatch.setattr(reorder, "MAX_SPILLED_BYTES", 1000)
    budget = ReorderBudget(0)
    with ReorderBuffer(budget, tmp_path) as buffer:
        buffer.add(1, row(1, b"x" * 999))
        assert wants(shards=2, budget=budget)
        buffer.add(2, row(2, b"x"))
        assert not wants(shards=2, budget=budget)
        assert wants(shards=1, budget=budget)
    assert wants(shards=2, budget=budget)
    free = reorder.shutil._ntuple_diskusage(10_000, 9_000, 1_000)
    monkeypatch.setattr(reorder.shutil, "disk_usage", lambda _: free)
    budget = ReorderBudget(0, workers=2)  # each may take an eighth of 1,000 bytes
    with ReorderBuffer(budget, tmp_path) as buffer:
        buffer.add(1, row(1, b"x" * 124))
        assert wants(shards=2, budget=budget)
        buffer.add(2, row(2, b"x"))
        assert not wants(shards=2, budget=budget)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on open files")
def test_open_files_limit_the_open_shards(monkeypatch):
    limits = {"now": (1024, 1024)}
    monkeypatch.setattr(lookahead.resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(lookahead.resource, "setrlimit", lambda _, given: limits.update(now=given))
    fetch = FetchOptions(max_connections=56)
    few = {"rows": 10, "fetch": fetch}
    assert wants(shards=99, **few)  # 1024 files: 624 for others, 4 for each shard
    assert not wants(shards=100, **few)
    limits["now"] = (1024, 1 << 20)
    assert wants(shards=1999, **few)
    assert limits["now"] == (624 + 4 * 2001, 1 << 20)


def test_feed_estimates_what_is_left_from_the_last_task():
    tasks = [ShardTask(7, "out"), ShardTask(10, "out")]
    options = DownloadOptions(samples_per_shard=10)
    feed = TaskFeed(iter(tasks), [7, 8, 9, 10], options, ReorderBudget(0))
    assert feed.next(unstarted=40, open_rows=[]) is None
    assert feed.next(unstarted=39, open_rows=[]) == tasks[0]
    assert feed.next(unstarted=30, open_rows=[]) is None
    assert feed.next(unstarted=29, open_rows=[]) == tasks[1]
    assert feed.next(unstarted=1, open_rows=[]) is None
    assert feed.has_more
    assert feed.next(unstarted=0, open_rows=[]) is None
    assert not feed.has_more


def test_rows_are_spilled_beside_a_local_output_and_not_into_memory(tmp_path, monkeypatch):
    assert spill_folder(str(tmp_path)) == str(tmp_path)
    monkeypatch.setattr(reorder.tempfile, "tempdir", "/tmp")
    monkeypatch.setattr(reorder.os, "access", lambda folder, _: folder == "/var/tmp")
    assert spill_folder("s3://bucket/folder") == "/var/tmp"
    monkeypatch.setattr(reorder.os, "access", lambda *_: False)
    assert spill_folder("s3://bucket/folder") == "/tmp"
    monkeypatch.setattr(reorder.tempfile, "tempdir", str(tmp_path))
    assert spill_folder("s3://bucket/folder") == str(tmp_path)
