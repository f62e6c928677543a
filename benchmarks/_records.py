"""What travels inside the benchmark: cases, contenders, runs. No behaviour beyond simple derived values."""

import statistics
from dataclasses import dataclass, field
from typing import Any

from _measure import Measurement

BASELINE = "img2dataset"
OURS = "dataset_assets"
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of work that both tools do, and what ours must reach against the fastest baseline setting."""

    name: str
    title: str
    origin: str  # of `_server.ORIGINS`
    arguments: dict[str, Any]  # of `download`, for both tools
    baseline: tuple[dict[str, Any], ...]  # its best settings; the fastest counts
    ours: dict[str, Any]
    low_memory: dict[str, Any] | None = None  # a further setting of ours, judged by its memory
    min_speedup: float | None = None  # images/s, ratio of medians
    max_memory: float | None = None  # peak PSS, ratio of medians
    min_baseline_python: tuple[int, int] = (3, 9)  # an older baseline is shown, not judged
    single_run: bool = False  # measured once, whatever --rounds says


@dataclass(frozen=True, slots=True)
class Contender:
    """A tool with its settings, in one case."""

    tool: str  # BASELINE or OURS
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
    """One measured run and what it left behind."""

    case: str
    round: int
    cost: Measurement
    rows: int  # in the sidecars
    steady_per_s: (
        float  # rows / (end of the last shard - start of the first), as in the shard records
    )
    ok: dict[str, int]  # kind of url -> rows with status success
    seen: dict[str, int]  # kind of url -> rows
    server_failures: int  # 5xx replies
    log_tail: str = ""  # of a run that failed

    @property
    def per_s(self) -> float:
        """Urls handled per second of the whole run, start-up included."""
        return self.rows / self.cost.wall_s

    @property
    def ended_well(self) -> bool:
        """Whether the tool said so and left rows."""
        return self.cost.exit_status == 0 and self.rows > 0


@dataclass(slots=True)
class Results:
    """Everything measured: (case name, contender) -> runs, and the checks made besides."""

    runs: dict[tuple[str, int], list[Run]] = field(
        default_factory=dict
    )  # (case name, number of the contender)
    contenders: dict[str, list[Contender]] = field(default_factory=dict)  # case name -> contenders
    pixels: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, case: str, number: int) -> list[Run]:
        """Runs of a contender that ended well."""
        return [run for run in self.runs.get((case, number), []) if run.ended_well]

    def reference(self, case: str) -> int | None:
        """Number of the fastest baseline setting in a case."""
        known = [
            n
            for n, contender in enumerate(self.contenders[case])
            if contender.tool == BASELINE and self.of(case, n)
        ]
        return max(
            known,
            key=lambda n: statistics.median(run.per_s for run in self.of(case, n)),
            default=None,
        )
