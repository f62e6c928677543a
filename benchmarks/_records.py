"""Records of the benchmark: cases, contenders, runs. No behavior beyond simple derived values."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from _measure import Measurement

BASELINE = "img2dataset"
DAFT = "daft"
OURS = "dataset_assets"
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One workload for both tools, and targets relative to the fastest baseline setting."""

    name: str
    title: str
    origin: str
    """One of `_server.ORIGINS`."""
    arguments: dict[str, Any]
    """Of `download`, for both tools."""
    baseline: tuple[dict[str, Any], ...]
    """Best settings of the baseline; the fastest counts."""
    ours: dict[str, Any]
    """Our settings."""
    low_memory: dict[str, Any] | None = None
    """Another setting of ours, judged by its memory."""
    daft: dict[str, Any] | None = None
    """Settings of Daft, in the cases that it takes part in."""
    min_speedup: float | None = None
    """Target for images/s, ratio of medians."""
    min_daft_speedup: float | None = None
    """The same, relative to Daft."""
    max_memory: float | None = None
    """Target for peak PSS, ratio of medians."""
    min_baseline_python: tuple[int, int] = (3, 9)
    """With an older Python the baseline is shown, but not judged."""
    single_run: bool = False
    """Measured once, whatever --rounds says."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A tool with its settings, in one case."""

    tool: str
    """BASELINE, DAFT or OURS."""
    python: str
    python_version: str
    settings: dict[str, Any]
    low_memory: bool = False

    @property
    def label(self) -> str:
        """Name in the report."""
        return f"{self.tool}, low memory" if self.low_memory else self.tool

    @property
    def settings_text(self) -> str:
        """Describe the settings in one line."""
        if self.tool == DAFT:
            return ", ".join(f"{key}={value}" for key, value in self.settings.items())
        unit = "threads" if self.tool == BASELINE else "connections"
        rest = [
            f"{key}={value}"
            for key, value in self.settings.items()
            if key not in ("processes_count", "thread_count")
        ]
        return ", ".join(
            [f"{self.settings['processes_count']} x {self.settings['thread_count']} {unit}", *rest]
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run and its output."""

    case: str
    round: int
    cost: Measurement
    rows: int
    """Rows in the sidecars."""
    steady_per_s: float
    """Rows per second from the start of the first shard to the end of the last one."""
    ok: dict[str, int]
    """Kind of URL -> rows with status success."""
    seen: dict[str, int]
    """Kind of URL -> rows."""
    server_failures: int
    """5xx responses."""
    log_tail: str = ""
    """End of the log of a run that failed."""

    @property
    def per_s(self) -> float:
        """URLs processed per second of the whole run, including start-up."""
        return self.rows / self.cost.wall_s

    @property
    def succeeded(self) -> bool:
        """Whether the tool exited with 0 and wrote rows."""
        return self.cost.exit_status == 0 and self.rows > 0


@dataclass(slots=True)
class Results:
    """All measurements."""

    runs: dict[tuple[str, int], list[Run]] = field(default_factory=dict)
    """(case name, number of the contender) -> runs."""
    contenders: dict[str, list[Contender]] = field(default_factory=dict)
    """Case name -> contenders."""
    pixels: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, case: str, number: int) -> list[Run]:
        """Return the successful runs of a contender."""
        return [run for run in self.runs.get((case, number), []) if run.succeeded]

    def reference(self, case: str, tool: str = BASELINE) -> int | None:
        """Return the number of the fastest setting of a baseline in a case."""
        known = [
            n
            for n, contender in enumerate(self.contenders[case])
            if contender.tool == tool and self.of(case, n)
        ]
        return max(
            known,
            key=lambda n: statistics.median(run.per_s for run in self.of(case, n)),
            default=None,
        )
