"""What is shown while shards are made."""

import io
import logging

from rich.console import Console

from dataset_assets.pipelines.download.progress import LogReporter, TerminalReporter
from dataset_assets.records.shards import ShardProgress, ShardResult, ShardTask


def test_log_lines_carry_rows_success_rate_and_time_left(caplog):
    with caplog.at_level(logging.INFO), LogReporter(200, every_s=0) as reporter:
        reporter.progress(ShardProgress(rows=50, successes=40, bytes_downloaded=3_000_000))
        reporter.result(ShardResult(ShardTask(7, "out"), error="DiskFull: no space"))
    assert "50 of 200 rows, 80.0% ok" in caplog.text
    assert "3.0 MB" in caplog.text
    assert "s left" in caplog.text
    assert "shard 7 failed: DiskFull: no space" in caplog.text


def test_a_terminal_shows_a_bar_with_rate_and_success():
    screen = io.StringIO()
    with TerminalReporter(200, Console(file=screen, force_terminal=True, width=120)) as reporter:
        reporter.progress(ShardProgress(rows=200, successes=150, bytes_downloaded=1))
        reporter.result(ShardResult(ShardTask(3, "out"), error="cut"))
    assert "200/200" in screen.getvalue()
    assert "75.0% ok" in screen.getvalue()
    assert "failed:" in screen.getvalue()
