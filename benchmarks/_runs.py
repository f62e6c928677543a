"""The runs: contenders and order of each case, one new process and output folder per run.

Here: scheduling, arguments, reading the outputs. Not here: settings and targets (`download`),
measuring (`_measure`), the report (`_report`).
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from _baseline import Baseline
from _measure import Measurement, measure
from _photos import PhotoSet, kind_of, read_into_page_cache, write_list
from _records import BASELINE, DAFT, OURS, Case, Contender, Results, Run
from _report import write_report
from _server import PhotoServer

HERE = Path(__file__).resolve().parent
RUN_LIMIT_S = 1800
WARM_UP_URLS = 200
PIXEL_SAMPLE = 400
MEMORY = "memory"  # not a case: adds the low-memory setting to the cases that have one


class RunError(RuntimeError):
    """A tool fails in the warm-up; the message has its output."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """What every run needs."""

    options: argparse.Namespace
    common: dict[str, Any]
    """Arguments of every run of both tools."""
    photos: PhotoSet
    server: PhotoServer
    work: Path
    results: Results


def choose_cases(bench: Bench, cases: dict[str, Case]) -> list[Case]:
    """Return the cases to run; `memory` alone selects those with a low-memory setting."""
    wanted = [cases[name] for name in bench.options.cases if name != MEMORY]
    if MEMORY in bench.options.cases:
        wanted += [case for case in cases.values() if case.low_memory and case not in wanted]
    else:
        wanted = [dataclasses.replace(case, low_memory=None) for case in wanted]
    if not bench.server.has_latency and any(case.origin == "latency" for case in wanted):
        bench.results.notes.append(
            "case `latency` was skipped: nginx has no echo module "
            "(Debian: `apt-get install libnginx-mod-http-echo`)"
        )
        wanted = [case for case in wanted if case.origin != "latency"]
    return wanted


def contenders_of(case: Case, baselines: list[Baseline], tools: list[str]) -> list[Contender]:
    """Return the contenders of a case."""
    found = [
        Contender(each.tool, each.python, each.python_version, settings)
        for each in baselines
        for settings in (case.baseline if each.tool == BASELINE else filter(None, [case.daft]))
    ]
    if OURS in tools:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        found.append(Contender(OURS, sys.executable, version, case.ours))
        if case.low_memory:
            found.append(Contender(OURS, sys.executable, version, case.low_memory, low_memory=True))
    return found


def run_all(bench: Bench, cases: list[Case], baselines: list[Baseline]) -> bool:
    """Run everything and write the report in any case; return whether every run succeeded."""
    results = bench.results
    results.contenders = {
        case.name: contenders_of(case, baselines, bench.options.tools) for case in cases
    }
    _warm_up(bench, cases[0])
    read_into_page_cache(bench.photos)
    try:
        for round_number in range(1, bench.options.rounds + 1):
            for case, number in _schedule(cases, results, round_number):
                contender = results.contenders[case.name][number]
                run = _run(bench, case, contender, round_number)
                results.runs.setdefault((case.name, number), []).append(run)
                _print_run(run, case, contender, bench.options.rounds)
        if OURS in bench.options.tools:
            results.pixels.update(
                _pixels(
                    bench,
                    ["kernels", bench.photos.folder, str(min(PIXEL_SAMPLE, bench.photos.photos))],
                    "kernels",
                )
            )
    except BaseException:
        results.notes.append("**this report is incomplete: the run was interrupted**")
        raise
    finally:
        shutil.rmtree(bench.work, ignore_errors=True)
        report = write_report(Path(bench.options.results), results, cases, _facts(bench, baselines))
        print(f"\n{report}\n\nwritten to {bench.options.results}")
    return all(run.succeeded for runs in results.runs.values() for run in runs)


def _warm_up(bench: Bench, case: Case) -> None:
    """Run every contender of a case once on few URLs.

    It fills bytecode, compiled kernels and page cache, and shows whether the tool works.
    """
    for contender in bench.results.contenders[case.name]:
        run = _run(bench, case, contender, round_number=0)
        if not run.succeeded:
            raise RunError(
                f"{contender.label} fails on {run.rows} URLs, nothing was measured; its output:\n"
                f"{run.log_tail}"
            )


def _schedule(cases: list[Case], results: Results, round_number: int) -> Iterator[tuple[Case, int]]:
    """Yield the runs of a round in order.

    Tools alternate within a case, and every other round is reversed, so that drift affects both.
    """
    for case in cases:
        if case.single_run and round_number > 1:
            continue
        numbers = list(range(len(results.contenders[case.name])))
        if round_number % 2 == 0:
            numbers.reverse()
        yield from ((case, number) for number in numbers)


def _run(bench: Bench, case: Case, contender: Contender, round_number: int) -> Run:
    """Run one tool with a new output folder. Round 0 is a warm-up on few URLs."""
    options = bench.options
    server = bench.server
    rows = options.urls if round_number else min(options.urls, WARM_UP_URLS)
    shutil.rmtree(bench.work / "out", ignore_errors=True)
    bench.work.mkdir(parents=True, exist_ok=True)
    os.sync()  # so that no run waits for writes of the one before
    url_list = bench.work / "urls.parquet"
    write_list(url_list, bench.photos, server.origins(case.origin), rows)
    arguments: dict[str, Any] = {
        **contender.settings,
        "url_list": str(url_list),
        "output_folder": str(bench.work / "out"),
    }
    if contender.tool != DAFT:
        shard = options.shard if round_number else 100
        common = {**bench.common, **case.arguments, "number_sample_per_shard": shard}
        arguments = {**common, **arguments}
    if contender.tool == OURS:
        arguments |= {"allow_private_networks": ("127.0.0.0/8",), "ca_file": server.bundle}
    (bench.work / "arguments.json").write_text(json.dumps(arguments))
    command = [
        contender.python,
        str(HERE / "_run_tool.py"),
        contender.tool,
        str(bench.work / "arguments.json"),
    ]
    log = bench.work / "log.txt"
    failures = server.failures()
    cost = measure(
        command,
        env={**tool_environment(contender.tool), "SSL_CERT_FILE": server.bundle},
        log=log,
        server=server.pids(),
        limit_s=RUN_LIMIT_S,
    )
    run = _outcome(case, round_number, bench.work / "out", cost, server.failures() - failures, log)
    if round_number == 1 and case.name == "resize":
        _keep_for_pixels(bench, contender)
    return run


def tool_environment(tool: str) -> dict[str, str]:
    """Return the environment of a tool: without proxies and settings of Python."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.lower().endswith("_proxy") and not key.startswith("PYTHON")
    }
    if tool == BASELINE:
        # otherwise every process queries the package index for updates
        return {**kept, "NO_ALBUMENTATIONS_UPDATE": "1"}
    if tool == DAFT:
        return {**kept, "DO_NOT_TRACK": "true"}  # it reports its use otherwise
    return {**kept, "PYTHONPATH": str(HERE.parent)}


def _outcome(
    case: Case, round_number: int, out: Path, cost: Measurement, server_failures: int, log: Path
) -> Run:
    ok: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for file in out.glob("*.parquet"):
        for url, is_stored in _stored(file):
            seen[kind_of(url)] += 1
            ok[kind_of(url)] += is_stored
    records = [json.loads(path.read_text()) for path in out.glob("[0-9]*_stats.json")]
    start_s = min((record["start_time"] for record in records), default=0)
    span_s = max((record["end_time"] for record in records), default=0) - start_s
    rows = seen.total()
    tail = "" if cost.exit_status == 0 and rows else log.read_text(errors="replace")[-1500:]
    return Run(
        case.name,
        round_number,
        cost,
        rows,
        rows / span_s if span_s else 0.0,
        dict(ok),
        dict(seen),
        server_failures,
        tail,
    )


def _stored(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield the URLs of a sidecar, or of a file of Daft, and whether there is an image."""
    parquet = pq.ParquetFile(file)
    if "status" in parquet.schema_arrow.names:
        table = parquet.read(columns=["url", "status"])
        stored = pc.equal(table["status"], "success")
    else:
        table = parquet.read(columns=["url", "image"])
        stored = table["image"].is_valid()
    yield from zip(table["url"].to_pylist(), stored.to_pylist(), strict=True)


def _keep_for_pixels(bench: Bench, contender: Contender) -> None:
    """Keep the first shard of each tool, and compare them if both exist."""
    if contender.low_memory:
        return
    for extension in ("tar", "parquet"):
        made = bench.work / "out" / f"00000.{extension}"
        if made.exists():
            made.replace(bench.work / f"{contender.tool}.{extension}")
    shards = [bench.work / tool for tool in (OURS, BASELINE)]
    if all(shard.with_suffix(".tar").exists() for shard in shards):
        bench.results.pixels.update(_pixels(bench, ["shards", *map(str, shards)], "shards"))


def _pixels(bench: Bench, arguments: list[str], name: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        [sys.executable, str(HERE / "_pixels.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        bench.results.notes.append(
            f"the pixel check `{name}` failed: {done.stderr.strip().splitlines()[-1]}"
        )
        return {}
    return {name: json.loads(done.stdout)}


def _print_run(run: Run, case: Case, contender: Contender, rounds: int) -> None:
    result = "FAILED"
    if run.succeeded:
        result = (
            f"{run.per_s:8.0f} images/s, {run.cost.peak_pss_bytes >> 20:5d} MiB, "
            f"foreign CPU {run.cost.foreign_cpu_s:.1f} s"
        )
    print(
        f"round {run.round}/{rounds} {case.name:16s} {contender.label:28s} "
        f"{contender.settings_text:34s} {result}",
        flush=True,
    )
    if not run.succeeded:
        print(run.log_tail, flush=True)


def _facts(bench: Bench, baselines: list[Baseline]) -> dict[str, Any]:
    """Return what the report says about the setup."""
    return {
        "options": {
            key: value
            for key, value in vars(bench.options).items()
            if isinstance(value, int | list)
        },
        "photos": dataclasses.asdict(bench.photos),
        "baselines": [dataclasses.asdict(baseline) for baseline in baselines],
        "work": str(bench.work),
        "common": {**bench.common, "number_sample_per_shard": bench.options.shard},
    }
