"""What a person or Weights & Biases sees while shards are made. Reads events, changes nothing.

A terminal shows a progress bar with rate, success and remaining time; elsewhere a line is logged
every ten seconds.
"""

import logging
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from dataset_assets.errors import ConfigurationError, MissingDependency
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import ShardProgress, ShardRecord, ShardResult, add_counts
from dataset_assets.redaction import redact

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


@dataclass(frozen=True, slots=True)
class WandbRun:
    """A run to log to Weights & Biases."""

    project: str
    config: Mapping[str, Any]
    """Options of the run, without secrets."""


def new_reporter(total_rows: int, wandb: WandbRun | None = None) -> Reporter:
    """Return a bar on a terminal, log lines elsewhere; and Weights & Biases where asked for.

    Raises:
        MissingDependency: Weights & Biases is asked for and not installed.
    """
    shown = _terminal_reporter(total_rows) if sys.stderr.isatty() else LogReporter(total_rows)
    return shown if wandb is None else _Reporters([shown, WandbReporter(wandb)])


@dataclass(slots=True)
class Rate:
    """Running totals of rows."""

    total: int
    rows: int = 0
    successes: int = 0
    bytes_downloaded: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, event: ShardProgress) -> None:
        """Add the rows of an event."""
        self.rows += event.rows
        self.successes += event.successes
        self.bytes_downloaded += event.bytes_downloaded

    @property
    def per_s(self) -> float:
        """Rows per second since the start."""
        return self.rows / max(time.monotonic() - self.started, 1e-9)

    @property
    def success(self) -> float:
        """Fraction of rows with a sample."""
        return self.successes / self.rows if self.rows else 0.0

    def describe(self) -> str:
        """Return the totals as one line."""
        remaining_s = (self.total - self.rows) / self.per_s if self.rows else 0.0
        return (
            f"{self.rows:,} of {self.total:,} rows, {self.success:.1%} ok, "
            f"{self.per_s:,.0f} rows/s, {self.bytes_downloaded / 1e6:,.1f} MB, "
            f"about {remaining_s:,.0f} s left"
        )


class LogReporter:
    """Log lines, for files and job logs."""

    def __init__(
        self, total: int, *, every_s: float = LOG_EVERY_S, log: logging.Logger = logger
    ) -> None:
        self._rate = Rate(total)
        self._every_s = every_s
        self._log = log
        self._next = time.monotonic() + every_s

    def progress(self, event: ShardProgress) -> None:
        """Log the totals when the last line is old enough."""
        self._rate.add(event)
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_s
            self._log.info(self._rate.describe())

    def result(self, event: ShardResult) -> None:
        """Log a failed shard."""
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
        """Move the bar."""
        self._rate.add(event)
        text = f"{self._rate.per_s:,.0f}/s  {self._rate.success:.1%} ok"
        self._bar.update(self._task, completed=self._rate.rows, rate=text)

    def result(self, event: ShardResult) -> None:
        """Print a failed shard above the bar."""
        if event.error is not None:
            self._bar.console.print(f"[red]shard {event.task.shard_id} failed:[/red] {event.error}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


class WandbReporter:
    """Logs the speed of each shard and of the whole run, and a table of frequent messages.

    Keys are those of img2dataset.
    """

    def __init__(self, run: WandbRun) -> None:
        try:
            import wandb
        except ImportError as exc:
            raise MissingDependency(
                "enable_wandb: expected the package wandb, which is not installed; "
                "pip install 'dataset-assets[wandb]'"
            ) from exc
        self._wandb = wandb
        self._project = run.project
        self._config = dict(run.config)
        self._records: list[ShardRecord] = []
        self._started = time.time()
        self._next_table = time.monotonic() + WANDB_EVERY_S

    def progress(self, event: ShardProgress) -> None:
        """Do nothing: speed is logged per shard."""

    def result(self, event: ShardResult) -> None:
        """Log a shard that was made."""
        if event.record is None or event.skipped:
            return
        self._records.append(event.record)
        self._run.log(_speed("worker", [event.record], event.record.duration))
        self._run.log(_speed("total", self._records, time.time() - self._started))
        if time.monotonic() >= self._next_table:
            self._next_table = time.monotonic() + WANDB_EVERY_S
            self._log_table()

    def __enter__(self) -> Self:
        # Otherwise wandb stores the command line, with any tokens in it.
        settings = self._wandb.Settings(x_disable_meta=True)
        try:
            self._run = self._wandb.init(
                project=self._project, config=self._config, settings=settings
            )
        except self._wandb.errors.Error as exc:
            reason = redact(str(exc).partition("\n")[0])
            raise ConfigurationError(
                f"enable_wandb: expected a run of Weights & Biases, got: {reason} Log in with "
                "`wandb login`, set WANDB_MODE=offline, or leave enable_wandb out"
            ) from exc
        return self

    def __exit__(self, *exc: object) -> None:
        self._log_table()
        self._run.finish()

    def _log_table(self) -> None:
        counts = add_counts(record.status_dict for record in self._records)
        rows = sum(record.count for record in self._records)
        frequent = list(counts.items())[:_WANDB_TABLE_ROWS]
        data = [[status, number / rows, number] for status, number in frequent]
        table = self._wandb.Table(columns=["status", "frequency", "count"], data=data)
        self._run.log({"status": table})


class _Reporters:
    """Several reporters as one."""

    def __init__(self, reporters: list[Reporter]) -> None:
        self._reporters = reporters

    def progress(self, event: ShardProgress) -> None:
        for each in self._reporters:
            each.progress(event)

    def result(self, event: ShardResult) -> None:
        for each in self._reporters:
            each.result(event)

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            for each in self._reporters:
                entered.enter_context(each)
            self._entered = entered.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._entered.close()


def _terminal_reporter(total_rows: int) -> Reporter:
    from rich.console import Console  # slow to import, and needed for a bar only

    console = Console(file=sys.stderr)
    return TerminalReporter(total_rows, console) if console.is_terminal else LogReporter(total_rows)


def _speed(prefix: str, records: list[ShardRecord], duration_s: float) -> dict[str, float]:
    count = sum(record.count for record in records)
    rows = {
        SUCCESS: sum(record.successes for record in records),
        "failed_to_download": sum(record.failed_to_download for record in records),
        "failed_to_resize": sum(record.failed_to_resize for record in records),
    }
    fractions = {f"{prefix}/{name}": number / max(count, 1) for name, number in rows.items()}
    return {
        f"{prefix}/img_per_sec": count / max(duration_s, 1e-9),
        **fractions,
        f"{prefix}/count": count,
    }
