"""Measure `dataset_assets.download` side by side with img2dataset, on one local server, in one run.

    python benchmarks/download.py                       everything that has a target, 3 interleaved rounds, 20,000 urls
    python benchmarks/download.py --quick               does it work at all (about a minute)
    python benchmarks/download.py --cases resize,https --rounds 1

Writes benchmarks/results/download.md (and .json with every run). benchmarks/README.md says what is measured and how to read it.
Here: the settings of both tools, the cases with their targets, the order of runs.
"""

import argparse
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from _baseline import Baseline, BaselineError, prepare_baseline
from _measure import measure
from _photos import PhotoSet, kind_of, prepare_photos, read_into_page_cache, write_list
from _records import BASELINE, OURS, Case, Contender, Results, Run
from _report import write_report
from _server import LATENCY_S, PhotoServer, ServerError, nginx_path

HERE = Path(__file__).resolve().parent
RUN_LIMIT_S = 1800

# --- settings: what both get, and the best that each can do ---

COMMON = {
    "input_format": "parquet",
    "url_col": "url",
    "caption_col": "caption",
    "output_format": "webdataset",
    "compute_hash": "sha256",
    "extract_exif": True,
    "timeout": 10,
    "retries": 0,
}
RESIZE = {"image_size": 256, "resize_mode": "keep_ratio", "encode_quality": 95, "encode_format": "jpg"}
ORIGINALS = {"disable_all_reencoding": True}

# img2dataset: found by trying 16 to 128 threads and 1 to 4 processes on two cores, 64 to 512 threads under latency
THEIRS = ({"processes_count": 2, "thread_count": 32},)
THEIRS_LATENCY = ({"processes_count": 2, "thread_count": 256}, {"processes_count": 2, "thread_count": 512})

# dataset_assets: thread_count is connections per process; codec_threads 0 decodes in the process's main thread
OUR_RESIZE = {"processes_count": 2, "thread_count": 32, "codec_threads": 0}
OUR_ORIGINALS = {"processes_count": 2, "thread_count": 32, "codec_threads": 0}
OUR_LATENCY = {"processes_count": 2, "thread_count": 2000, "codec_threads": 0}
OUR_RESIZE_LOW_MEMORY = {"processes_count": 1, "thread_count": 32, "codec_threads": 2}
OUR_ORIGINALS_LOW_MEMORY = {"processes_count": 1, "thread_count": 32, "codec_threads": 0}

CASES = {
    case.name: case
    for case in (
        Case(
            name="resize",
            title="resize to 256 (keep_ratio, quality 95), webdataset, http",
            origin="http",
            arguments=RESIZE,
            baseline=THEIRS,
            ours=OUR_RESIZE,
            low_memory=OUR_RESIZE_LOW_MEMORY,
            min_speedup=1.7,
            max_memory=1.10,
        ),
        Case(
            name="originals",
            title="originals kept (disable_all_reencoding), webdataset, http",
            origin="http",
            arguments=ORIGINALS,
            baseline=THEIRS,
            ours=OUR_ORIGINALS,
            low_memory=OUR_ORIGINALS_LOW_MEMORY,
            min_speedup=3.0,
            max_memory=1.0,
        ),
        Case(
            name="https",
            title="resize to 256, https, one host, keep-alive",
            origin="https",
            arguments=RESIZE,
            baseline=THEIRS,
            ours=OUR_RESIZE,
            min_speedup=2.0,
            min_baseline_python=(3, 12),
        ),
        Case(
            name="https-originals",
            title="originals kept, https, one host, keep-alive",
            origin="https",
            arguments=ORIGINALS,
            baseline=THEIRS,
            ours=OUR_ORIGINALS,
            min_speedup=2.0,
            min_baseline_python=(3, 12),
        ),
        Case(
            name="latency",
            title=f"originals kept, http, {LATENCY_S} s to the first byte",
            origin="latency",
            arguments=ORIGINALS,
            baseline=THEIRS_LATENCY,
            ours=OUR_LATENCY,
            min_speedup=3.5,
        ),
        Case(
            name="handshake",
            title="originals kept, https, a new connection for every url",
            origin="closing",
            arguments=ORIGINALS,
            baseline=THEIRS,
            ours=OUR_ORIGINALS,
            min_baseline_python=(3, 12),
            single_run=True,
        ),
        Case(
            name="hosts", title="originals kept, http, 200 hosts", origin="hosts", arguments=ORIGINALS, baseline=THEIRS, ours=OUR_ORIGINALS, single_run=True
        ),
        Case(
            name="parquet",
            title="resize to 256, parquet output, http",
            origin="http",
            arguments={**RESIZE, "output_format": "parquet"},
            baseline=THEIRS,
            ours=OUR_RESIZE,
            single_run=True,
        ),
    )
}
MEMORY = "memory"  # not a case: adds the low-memory setting to the cases that have one
DEFAULT_CASES = ("resize", "originals", "https", "https-originals", "latency", MEMORY)


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """What every run needs."""

    options: argparse.Namespace
    photos: PhotoSet
    server: PhotoServer
    work: Path
    results: Results


def main() -> int:
    options = _parse()
    cache = HERE / ".cache"
    cache.mkdir(exist_ok=True)
    raise_file_limit()
    try:
        nginx_path()
        baselines = [prepare_baseline(cache, wanted) for wanted in options.baseline_python] if BASELINE in options.tools else []
        photos = prepare_photos(cache, options.photos)
        if options.prepare:
            print("ready")
            return 0
        with PhotoServer(cache / "server", photos.folder) as server:
            bench = Bench(options, photos, server, Path(options.work or cache / "work"), Results())
            bench.results.notes += [baseline.note for baseline in baselines if baseline.note]
            complete = run_all(bench, choose_cases(bench), baselines)
    except (BaselineError, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if complete else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure dataset_assets.download side by side with img2dataset.")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (3)")
    parser.add_argument("--urls", type=int, help="urls per run (20000)")
    parser.add_argument("--shard", type=int, help="urls per shard (2000)")
    parser.add_argument("--photos", type=int, help="distinct photos that the urls refer to (6000; about 0.7 GB on disk)")
    parser.add_argument("--cases", help=f"comma-separated from {', '.join([*CASES, MEMORY])} (default {','.join(DEFAULT_CASES)})")
    parser.add_argument("--tools", default=f"{BASELINE},{OURS}", help="comma-separated; the default is both")
    parser.add_argument("--baseline-python", default="python3.12", help="comma-separated commands or paths; of several the fastest counts")
    parser.add_argument("--work", help="folder for the outputs, removed run by run (benchmarks/.cache/work)")
    parser.add_argument("--results", default=str(HERE / "results" / "download.md"), help="where the report goes")
    parser.add_argument("--quick", action="store_true", help="1 round, 400 urls, 300 photos: does it work at all")
    parser.add_argument("--prepare", action="store_true", help="only fill the cache (photos, the baseline's environment)")
    options = parser.parse_args()
    defaults = {"rounds": 1, "urls": 400, "shard": 100, "photos": 300} if options.quick else {"rounds": 3, "urls": 20000, "shard": 2000, "photos": 6000}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    options.cases = options.cases.split(",") if options.cases else list(DEFAULT_CASES)
    options.tools = options.tools.split(",")
    options.baseline_python = options.baseline_python.split(",")
    if unknown := [name for name in options.cases if name not in CASES and name != MEMORY]:
        parser.error(f"unknown case {unknown[0]!r}; there are {', '.join([*CASES, MEMORY])}")
    if unknown := [name for name in options.tools if name not in (BASELINE, OURS)]:
        parser.error(f"unknown tool {unknown[0]!r}; there are {BASELINE}, {OURS}")
    return options


def choose_cases(bench: Bench) -> list[Case]:
    """List the cases to run; `memory` alone means the cases that have a low-memory setting."""
    wanted = [CASES[name] for name in bench.options.cases if name != MEMORY]
    if MEMORY in bench.options.cases:
        wanted += [case for case in CASES.values() if case.low_memory and case not in wanted]
    else:
        wanted = [dataclasses.replace(case, low_memory=None) for case in wanted]
    if not bench.server.has_latency and any(case.origin == "latency" for case in wanted):
        bench.results.notes.append("case `latency` was left out: nginx has no echo module (Debian: `apt-get install libnginx-mod-http-echo`)")
        wanted = [case for case in wanted if case.origin != "latency"]
    return wanted


def contenders_of(case: Case, baselines: list[Baseline], tools: list[str]) -> list[Contender]:
    """List who runs in a case."""
    found = [Contender(BASELINE, each.python, each.python_version, settings) for each in baselines for settings in case.baseline]
    if OURS in tools:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        found.append(Contender(OURS, sys.executable, version, case.ours))
        if case.low_memory:
            found.append(Contender(OURS, sys.executable, version, case.low_memory, low_memory=True))
    return found


def run_all(bench: Bench, cases: list[Case], baselines: list[Baseline]) -> bool:
    """Run everything, write the report whatever happens, and return whether every run ended well."""
    results = bench.results
    results.contenders = {case.name: contenders_of(case, baselines, bench.options.tools) for case in cases}
    for _, contender in _schedule(cases[:1], results, 1):  # bytecode, compiled kernels, page cache
        _run(bench, cases[0], results.contenders[cases[0].name][contender], round_number=0)
    read_into_page_cache(bench.photos)
    try:
        for round_number in range(1, bench.options.rounds + 1):
            for case, number in _schedule(cases, results, round_number):
                contender = results.contenders[case.name][number]
                run = _run(bench, case, contender, round_number)
                results.runs.setdefault((case.name, number), []).append(run)
                _tell(run, case, contender, bench.options.rounds)
        if OURS in bench.options.tools:
            results.pixels.update(_pixels(bench, ["kernels", bench.photos.folder, str(min(400, bench.photos.photos))], "kernels"))
    finally:
        shutil.rmtree(bench.work, ignore_errors=True)
        report = write_report(Path(bench.options.results), results, cases, _facts(bench, baselines))
        print(f"\n{report}\n\nwritten to {bench.options.results}")
    return all(run.cost.exit_status == 0 for runs in results.runs.values() for run in runs)


def _schedule(cases: list[Case], results: Results, round_number: int) -> Iterator[tuple[Case, int]]:
    """Order the runs of a round: tools alternate within a case, and every other round goes backwards, so that drift hits both."""
    for case in cases:
        if case.single_run and round_number > 1:
            continue
        numbers = range(len(results.contenders[case.name]))
        yield from ((case, number) for number in (numbers if round_number % 2 else reversed(numbers)))


def _run(bench: Bench, case: Case, contender: Contender, round_number: int) -> Run:
    """Run one tool on a fresh output folder. Round 0 is a warm-up on few urls."""
    options, server = bench.options, bench.server
    rows = options.urls if round_number else min(options.urls, 200)
    shutil.rmtree(bench.work / "out", ignore_errors=True)
    bench.work.mkdir(parents=True, exist_ok=True)
    os.sync()  # so that no run pays for what the one before left to be written
    url_list = bench.work / "urls.parquet"
    write_list(url_list, bench.photos, server.origins(case.origin), rows)
    arguments: dict[str, Any] = {
        **COMMON,
        **case.arguments,
        **contender.settings,
        "url_list": str(url_list),
        "output_folder": str(bench.work / "out"),
        "number_sample_per_shard": options.shard if round_number else 100,
    }
    if contender.tool == OURS:
        arguments |= {"allow_private_networks": ("127.0.0.0/8",), "ca_file": server.bundle}
    (bench.work / "arguments.json").write_text(json.dumps(arguments))
    command = [contender.python, str(HERE / "_run_tool.py"), contender.tool, str(bench.work / "arguments.json")]
    log = bench.work / "log.txt"
    failures = server.failures()
    cost = measure(command, env=_environment(contender, server), log=log, server=server.pids(), limit_s=RUN_LIMIT_S)
    run = _outcome(case, round_number, bench.work / "out", cost, server.failures() - failures, log)
    if round_number == 1 and case.name == "resize":
        _keep_for_pixels(bench, contender)
    return run


def _environment(contender: Contender, server: PhotoServer) -> dict[str, str]:
    """Make the tool's environment: no proxies, no settings of this Python, the server's authority trusted."""
    kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy") and not key.startswith("PYTHON")}
    kept["SSL_CERT_FILE"] = server.bundle
    if contender.tool == BASELINE:
        return {**kept, "NO_ALBUMENTATIONS_UPDATE": "1"}  # or every process asks the package index for news
    return {**kept, "PYTHONPATH": str(HERE.parent)}


def _outcome(case: Case, round_number: int, out: Path, cost: Any, server_failures: int, log: Path) -> Run:
    ok: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for sidecar in out.glob("[0-9]*.parquet"):
        table = pq.read_table(sidecar, columns=["url", "status"])
        for url, status in zip(table["url"].to_pylist(), table["status"].to_pylist(), strict=True):
            seen[kind_of(url)] += 1
            ok[kind_of(url)] += status == "success"
    records = [json.loads(path.read_text()) for path in out.glob("[0-9]*_stats.json")]
    span_s = max((record["end_time"] for record in records), default=0) - min((record["start_time"] for record in records), default=0)
    rows = seen.total()
    tail = "" if cost.exit_status == 0 and rows else log.read_text(errors="replace")[-1500:]
    return Run(case.name, round_number, cost, rows, rows / span_s if span_s else 0.0, dict(ok), dict(seen), server_failures, tail)


def _keep_for_pixels(bench: Bench, contender: Contender) -> None:
    """Keep the first shard of both tools, and compare when both are there."""
    first = bench.work / "out" / "00000.tar"
    if contender.low_memory or not first.exists():
        return
    first.replace(bench.work / f"{contender.tool}.tar")
    tars = [bench.work / f"{tool}.tar" for tool in (OURS, BASELINE)]
    if all(tar.exists() for tar in tars):
        bench.results.pixels.update(_pixels(bench, ["tars", *map(str, tars)], "tars"))


def _pixels(bench: Bench, arguments: list[str], name: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run([sys.executable, str(HERE / "_pixels.py"), *arguments], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        bench.results.notes.append(f"the pixel check `{name}` failed: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return {name: json.loads(done.stdout)}


def _tell(run: Run, case: Case, contender: Contender, rounds: int) -> None:
    good = run.cost.exit_status == 0 and run.rows
    said = f"{run.per_s:8.0f} images/s, {run.cost.peak_pss_bytes >> 20:5d} MiB, foreign CPU {run.cost.foreign_cpu_s:.1f} s" if good else "FAILED"
    print(f"round {run.round}/{rounds} {case.name:16s} {contender.label:28s} {contender.settings_text:34s} {said}", flush=True)
    if not good:
        print(run.log_tail, flush=True)


def _facts(bench: Bench, baselines: list[Baseline]) -> dict[str, Any]:
    """Collect what the report says about the set-up."""
    return {
        "options": {key: value for key, value in vars(bench.options).items() if isinstance(value, int | list)},
        "photos": dataclasses.asdict(bench.photos),
        "baselines": [dataclasses.asdict(baseline) for baseline in baselines],
        "work": str(bench.work),
        "common": {**COMMON, "number_sample_per_shard": bench.options.shard},
    }


def raise_file_limit() -> None:
    """Allow as many open files as the system permits, for the server and both tools alike."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
