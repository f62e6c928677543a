"""What a person or Weights & Biases sees while shards are made. Reads events, changes nothing.

On a terminal a progress bar with rate, success and remaining time; elsewhere a log line every ten seconds.
"""

import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from dataset_assets.errors import MissingDependency
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import ShardProgress, ShardRecord, ShardResult, add_counts

if TYPE_CHECKING:
    from rich.console import Console

logger = logging.getLogger("dataset_assets")

LOG_EVERY_S = 10.0
WANDB_EVERY_S = 60.0
_WANDB_TABLE_ROWS = 100


class Reporter(Protocol):
    """Shows progress; a context manager around the work."""

    def progress(self, event: ShardProgress) -> None:
        """Take rows that were just made."""

    def result(self, event: ShardResult) -> None:
        """Take a shard that ended."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *exc: object) -> None:
        """End."""


@dataclass(slots=True)
class Rate:
    """Running totals of rows."""

    total: int
    rows: int = 0
    successes: int = 0
    bytes_downloaded: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, event: ShardProgress) -> None:
        """Add up."""
        self.rows += event.rows
        self.successes += event.successes
        self.bytes_downloaded += event.bytes_downloaded

    @property
    def per_s(self) -> float:
        """Rows a second since the start."""
        return self.rows / max(time.monotonic() - self.started, 1e-9)

    @property
    def success(self) -> float:
        """Share of rows with a sample, 0 to 1."""
        return self.successes / self.rows if self.rows else 0.0

    def describe(self) -> str:
        """Say it in one line."""
        remaining_s = (self.total - self.rows) / self.per_s if self.rows else 0.0
        return (
            f"{self.rows:,} of {self.total:,} rows, {self.success:.1%} ok, {self.per_s:,.0f} rows/s, "
            f"{self.bytes_downloaded / 1e6:,.1f} MB, about {remaining_s:,.0f} s left"
        )


class LogReporter:
    """Log lines, for files and job logs."""

    def __init__(
        self, total: int, *, every_s: float = LOG_EVERY_S, log: logging.Logger = logger
    ) -> None:
        self._rate, self._every_s, self._log = Rate(total), every_s, log
        self._next = time.monotonic() + every_s

    def progress(self, event: ShardProgress) -> None:
        """See `Reporter`."""
        self._rate.add(event)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_s
            self._log.info(self._rate.describe())

    def result(self, event: ShardResult) -> None:
        """See `Reporter`."""
        if event.error is not None:
            self._log.error("shard %d failed: %s", event.task.shard_id, event.error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is open."""


class TerminalReporter:
    """A progress bar."""

    def __init__(self, total: int, console: "Console") -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._rate = Rate(total)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("downloading", total=total, rate="")

    def progress(self, event: ShardProgress) -> None:
        """See `Reporter`."""
        self._rate.add(event)
        text = f"{self._rate.per_s:,.0f}/s  {self._rate.success:.1%} ok"
        self._bar.update(self._task, completed=self._rate.rows, rate=text)

    def result(self, event: ShardResult) -> None:
        """See `Reporter`."""
        if event.error is not None:
            self._bar.console.print(f"[red]shard {event.task.shard_id} failed:[/red] {event.error}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


class WandbReporter:
    """Speed of each shard and of the whole, and a table of frequent messages, under img2dataset's keys."""

    def __init__(self, project: str, config: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError as exc:
            raise MissingDependency(
                "enable_wandb needs Weights & Biases: pip install 'dataset-assets[wandb]'"
            ) from exc
        self._wandb, self._project, self._config = wandb, project, dict(config)
        self._records: list[ShardRecord] = []
        self._started = time.time()
        self._next_table = time.monotonic() + WANDB_EVERY_S

    def progress(self, event: ShardProgress) -> None:
        """See `Reporter`: speed is logged per shard."""

    def result(self, event: ShardResult) -> None:
        """See `Reporter`."""
        if event.record is None or event.skipped:
            return
        self._records.append(event.record)
        self._run.log(_speed("worker", [event.record], event.record.duration))
        self._run.log(_speed("total", self._records, time.time() - self._started))
        if time.monotonic() >= self._next_table:
            self._next_table = time.monotonic() + WANDB_EVERY_S
            self._log_table()

    def __enter__(self) -> Self:
        settings = self._wandb.Settings(
            x_disable_meta=True
        )  # else the command line is stored, with whatever tokens it has
        self._run = self._wandb.init(project=self._project, config=self._config, settings=settings)
        return self

    def __exit__(self, *exc: object) -> None:
        self._log_table()
        self._run.finish()

    def _log_table(self) -> None:
        counts = add_counts(record.status_dict for record in self._records)
        rows = sum(record.count for record in self._records)
        data = [
            [status, number / rows, number]
            for status, number in list(counts.items())[:_WANDB_TABLE_ROWS]
        ]
        self._run.log(
            {"status": self._wandb.Table(columns=["status", "frequency", "count"], data=data)}
        )


def reporters(
    total_rows: int, *, wandb_project: str | None, config: Mapping[str, Any]
) -> list[Reporter]:
    """Choose what to show: a bar on a terminal, log lines elsewhere, and Weights & Biases when a project is named."""
    shown: list[Reporter] = [
        _on_terminal(total_rows) if sys.stderr.isatty() else LogReporter(total_rows)
    ]
    if wandb_project is not None:
        shown.append(WandbReporter(wandb_project, config))
    return shown


def _on_terminal(total_rows: int) -> Reporter:
    from rich.console import Console  # not loaded where no bar is shown

    console = Console(file=sys.stderr)
    return TerminalReporter(total_rows, console) if console.is_terminal else LogReporter(total_rows)


def _speed(prefix: str, records: list[ShardRecord], duration_s: float) -> dict[str, float]:
    count = sum(record.count for record in records)
    shares = {
        SUCCESS: sum(record.successes for record in records),
        "failed_to_download": sum(record.failed_to_download for record in records),
        "failed_to_resize": sum(record.failed_to_resize for record in records),
    }
    logged = {f"{prefix}/{name}": number / max(count, 1) for name, number in shares.items()}
    return {
        f"{prefix}/img_per_sec": count / max(duration_s, 1e-9),
        **logged,
        f"{prefix}/count": count,
    }
