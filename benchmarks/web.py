"""Measure `dataset_assets.download` beside img2dataset on a simulated web.

    python benchmarks/web.py                             15,000 URLs of 4,278 hosts, 3 rounds
    python benchmarks/web.py --arrangements all          also dead, hanging and limited hosts
    python benchmarks/web.py --quick                     smoke test, about two minutes

Writes benchmarks/results/web.md, and .json with every run. The web is a name server and nginx in
mount and network namespaces of this benchmark. Here: the settings of both tools, the command line,
the order of the runs. Not here: the web (`_hosts`, `_web`), one run (`_web_runs`).
"""

import argparse
import dataclasses
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _baseline import Baseline, BaselineError, prepare_baseline
from _hosts import ARRANGEMENTS, WebPlan, plan_web
from _namespace import NamespaceError, enter_namespaces
from _nginx import ServerError, nginx_path
from _photos import PhotoSet, prepare_photos, read_into_page_cache
from _records import BASELINE, OURS, Contender
from _web import SimulatedWeb, use_name_server
from _web_report import Runs, describe, write_web_report
from _web_runs import WebRun, run_tool
from download import COMMON, ORIGINALS, raise_file_limit

HERE = Path(__file__).resolve().parent
THEIRS = ({"processes_count": 2, "thread_count": 512},)
OUR_SETTINGS = (
    {"processes_count": 2, "thread_count": 256, "codec_threads": 0},
    {"processes_count": 2, "thread_count": 1000, "codec_threads": 0},
)
ARGUMENTS = {key: value for key, value in COMMON.items() if key != "caption_col"} | ORIGINALS
TOTAL_TIMEOUT_S = 3 * COMMON["timeout"]  # the default of dataset_assets
DESCRIBED = {
    "web": "hosts as they are",
    "dead": "30 % of the rows on one host that never answers a SYN",
    "hang": "30 % of the rows on one host that accepts and never answers",
    "limited": "10 % of the rows on one host that always answers 429 with Retry-After 5",
    "rate": "10 % of the rows on one host that allows 20 requests a second, and answers 429 else",
}
WARM_UP_URLS = 200
MAX_URLS = 200_000  # more hosts than the networks of the web have addresses


def main() -> int:
    options = _parse()
    cache = HERE / ".cache"
    cache.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and tools end too
    try:
        nginx_path()
        # outside of the namespaces, where the package index is
        wanted = options.baseline_python if BASELINE in options.tools else []
        baselines = [prepare_baseline(cache, python) for python in wanted]
        photos = prepare_photos(cache, options.photos)
        enter_namespaces()
        use_name_server(cache / "web-etc")
        raise_file_limit()
        complete = _run_all(options, cache, baselines, photos)
    except (BaselineError, NamespaceError, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if complete else 1


def _run_all(
    options: argparse.Namespace, cache: Path, baselines: list[Baseline], photos: PhotoSet
) -> bool:
    """Run everything and write the report in any case; return whether every run succeeded."""
    contenders = _contenders(baselines, options.tools)
    plans = {each: plan_web(each, options.urls, options.seed) for each in options.arrangements}
    work = Path(options.work or cache / "web-work")
    runs: Runs = {}
    notes: list[str] = []
    read_into_page_cache(photos)
    try:
        for round_number in range(options.rounds + 1):  # round 0 is the warm-up
            for plan in plans.values() if round_number else [next(iter(plans.values()))]:
                for number, run in _round(
                    options, cache, plan, photos, contenders, work, round_number
                ):
                    if round_number:
                        runs.setdefault((plan.arrangement, number), []).append(run)
                    elif not run.succeeded:
                        raise ServerError(
                            f"{contenders[number].label} fails on {WARM_UP_URLS} URLs, nothing was "
                            f"measured; its output:\n{run.log_tail}"
                        )
    except BaseException:
        notes.append("**this report is incomplete: the run was interrupted**")
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if runs:
            facts = _facts(options, plans, baselines, photos, work)
            report = write_web_report(Path(options.results), contenders, runs, facts, notes)
            print(f"\n{report}\nwritten to {options.results}")
    return all(run.succeeded for found in runs.values() for run in found)


def _round(
    options: argparse.Namespace,
    cache: Path,
    plan: WebPlan,
    photos: PhotoSet,
    contenders: list[Contender],
    work: Path,
    round_number: int,
) -> Iterator[tuple[int, WebRun]]:
    """Run all tools once on a new web; every other round is reversed, so that drift affects all."""
    arguments = {**ARGUMENTS, "number_sample_per_shard": options.shard if round_number else 100}
    with SimulatedWeb(cache / "web", photos.folder, plan) as web:
        if round_number <= 1:
            web.check()
        numbers = list(range(len(contenders)))
        for number in numbers[:: -1 if round_number % 2 == 0 else 1]:
            contender = contenders[number]
            fast_rows = None if round_number else WARM_UP_URLS
            run = run_tool(contender, arguments, web, photos, work, round_number, fast_rows)
            print(
                f"round {round_number}/{options.rounds} {plan.arrangement:8s} "
                f"{contender.label:15s} {contender.settings_text:40s} {describe(run)}",
                flush=True,
            )
            yield number, run


def _contenders(baselines: list[Baseline], tools: list[str]) -> list[Contender]:
    found = [
        Contender(BASELINE, each.python, each.python_version, settings)
        for each in baselines
        for settings in THEIRS
    ]
    if OURS in tools:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        found += [Contender(OURS, sys.executable, version, settings) for settings in OUR_SETTINGS]
    return found


def _facts(
    options: argparse.Namespace,
    plans: dict[str, WebPlan],
    baselines: list[Baseline],
    photos: PhotoSet,
    work: Path,
) -> dict[str, Any]:
    """Return what the report says about the setup."""
    return {
        "urls": options.urls,
        "seed": options.seed,
        "rounds": options.rounds,
        "hosts": max(len(set(plan.rows)) for plan in plans.values()),
        "reachable": {name: plan.reachable_rows() for name, plan in plans.items()},
        "described": DESCRIBED,
        "total_timeout_s": TOTAL_TIMEOUT_S,
        "photos": dataclasses.asdict(photos),
        "baselines": [dataclasses.asdict(baseline) for baseline in baselines],
        "work": str(work),
        "common": {**ARGUMENTS, "number_sample_per_shard": options.shard},
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure dataset_assets.download beside img2dataset on a simulated web."
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds (3)")
    parser.add_argument("--urls", type=int, help="URLs per run (15000)")
    parser.add_argument("--shard", type=int, help="URLs per shard (1000)")
    parser.add_argument("--photos", type=int, help="distinct photos that the URLs lead to (1000)")
    parser.add_argument("--seed", type=int, default=1, help="of hosts and rows (1)")
    parser.add_argument(
        "--arrangements",
        default="web",
        help=f"comma-separated from {', '.join(ARRANGEMENTS)}, or `all` (web)",
    )
    parser.add_argument(
        "--tools", default=f"{BASELINE},{OURS}", help="comma-separated; the default is both"
    )
    parser.add_argument(
        "--baseline-python",
        default="python3.12",
        help="comma-separated commands or paths; of several the fastest counts",
    )
    parser.add_argument("--work", help="folder for the outputs, removed run by run")
    parser.add_argument(
        "--results", default=str(HERE / "results" / "web.md"), help="where the report goes"
    )
    parser.add_argument("--quick", action="store_true", help="smoke test: 1 round, 1500 URLs")
    options = parser.parse_args()
    defaults = {"rounds": 3, "urls": 15000, "shard": 1000, "photos": 1000}
    if options.quick:
        defaults = {"rounds": 1, "urls": 1500, "shard": 250, "photos": 300}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
        if getattr(options, name) < 1:
            parser.error(f"--{name}: expected at least 1, got {getattr(options, name)}")
    if options.urls > MAX_URLS:
        parser.error(f"--urls: expected at most {MAX_URLS}, got {options.urls}")
    names = list(ARRANGEMENTS) if options.arrangements == "all" else options.arrangements.split(",")
    options.arrangements = names
    options.tools = options.tools.split(",")
    options.baseline_python = options.baseline_python.split(",")
    if unknown := [name for name in options.arrangements if name not in ARRANGEMENTS]:
        parser.error(f"--arrangements: expected {', '.join(ARRANGEMENTS)}, all, got {unknown[0]!r}")
    if unknown := [name for name in options.tools if name not in (BASELINE, OURS)]:
        parser.error(f"--tools: expected {BASELINE}, {OURS}, got {unknown[0]!r}")
    return options


if __name__ == "__main__":
    sys.exit(main())
