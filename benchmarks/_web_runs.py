"""One run of a tool on the simulated web, and what it made of it.

Here: arguments, reading the outputs. Not here: settings and order (`web`), the tables
(`_web_report`).
"""

import json
import os
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
from _hosts import WebPlan
from _measure import Measurement, measure
from _photos import PhotoSet
from _records import OURS, Contender
from _runs import HERE, RUN_LIMIT_S, tool_environment
from _web import SimulatedWeb

LONGEST_CAUSE = 60  # characters; the baseline's causes are texts


@dataclass(frozen=True, slots=True)
class WebRun:
    """One measured run and its output."""

    arrangement: str
    round: int
    cost: Measurement
    rows: int
    """Rows in the sidecars."""
    by_kind: dict[str, dict[str, int]]
    """Kind of host -> `success` or cause -> rows."""
    responses: dict[str, int]
    """Status -> responses that nginx sent; 499: the client left before."""
    shards: int
    longest_open_s: float
    """Of one shard: from its start, as its record says, to the modification of the record."""
    log_tail: str = ""
    """End of the log of a run that failed."""

    @property
    def per_s(self) -> float:
        """Rows per second of the whole run, including start-up."""
        return self.rows / self.cost.wall_s

    @property
    def outcomes(self) -> Counter[str]:
        """`success` or cause -> rows."""
        return sum((Counter(counts) for counts in self.by_kind.values()), Counter())

    @property
    def successes(self) -> int:
        """Rows with an image."""
        return self.outcomes["success"]

    @property
    def succeeded(self) -> bool:
        """Whether the tool exited with 0 and wrote rows."""
        return self.cost.exit_status == 0 and self.rows > 0


def run_tool(
    contender: Contender,
    arguments: dict[str, Any],
    web: SimulatedWeb,
    photos: PhotoSet,
    work: Path,
    round_number: int,
    fast_rows: int | None,
) -> WebRun:
    """Run a tool in a new process, with a new output folder.

    Args:
        contender: the tool and its settings.
        arguments: further arguments of `download`.
        web: where the URLs lead to.
        photos: what its hosts serve.
        work: folder for list, output and log.
        round_number: of this run.
        fast_rows: length of a list for a warm-up; None: the list of the plan.
    """
    shutil.rmtree(work / "out", ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    os.sync()  # so that no run waits for writes of the one before
    web.plan.write_list(work / "urls.parquet", photos, fast_rows)
    arguments = {
        **arguments,
        **contender.settings,
        "url_list": str(work / "urls.parquet"),
        "output_folder": str(work / "out"),
    }
    if contender.tool == OURS:
        arguments["allow_private_networks"] = ("127.0.0.0/8",)
    (work / "arguments.json").write_text(json.dumps(arguments))
    before = web.responses()
    cost = measure(
        [
            contender.python,
            str(HERE / "_run_tool.py"),
            contender.tool,
            str(work / "arguments.json"),
        ],
        env=tool_environment(contender.tool),
        log=work / "log.txt",
        server=web.pids(),
        limit_s=RUN_LIMIT_S,
    )
    by_kind = _outcomes(work / "out", web.plan)
    opened_s = _open_s(work / "out")
    run = WebRun(
        arrangement=web.plan.arrangement,
        round=round_number,
        cost=cost,
        rows=sum(sum(counts.values()) for counts in by_kind.values()),
        by_kind=by_kind,
        responses=dict(web.responses() - before),
        shards=len(opened_s),
        longest_open_s=max(opened_s, default=0.0),
        log_tail=(work / "log.txt").read_text(errors="replace")[-1500:],
    )
    shutil.rmtree(work / "out", ignore_errors=True)
    return run


def _outcomes(out: Path, plan: WebPlan) -> dict[str, dict[str, int]]:
    """Count the rows of the sidecars by kind of host and outcome."""
    kinds = plan.kinds()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for sidecar in out.glob("[0-9]*.parquet"):
        table = pq.read_table(sidecar)
        cause = "cause" if "cause" in table.column_names else "error_message"
        columns = (table[name].to_pylist() for name in ("url", "status", cause))
        for url, status, text in zip(*columns, strict=True):
            outcome = "success" if status == "success" else str(text)[:LONGEST_CAUSE]
            found[kinds[urlsplit(url).netloc]][outcome] += 1
    return {kind: dict(counts) for kind, counts in found.items()}


def _open_s(out: Path) -> list[float]:
    """Return how long each shard was open.

    Both tools note in the record of a shard when they began with it, before the first request and
    the first file; both write the record last.
    """
    return [
        record.stat().st_mtime - json.loads(record.read_text())["start_time"]
        for record in out.glob("[0-9]*_stats.json")
    ]
