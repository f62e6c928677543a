"""Measure `dataset_assets.download` side by side with img2dataset and Daft, on one local server.

    python benchmarks/download.py           all cases with a target, 3 rounds, 20,000 URLs
    python benchmarks/download.py --quick   smoke test, about a minute
    python benchmarks/download.py --cases resize,https --rounds 1

Writes benchmarks/results/download.md, and .json with every run. benchmarks/README.md says what is
measured and how to read it. Here: the settings of the tools, the cases with their targets, the
command line. Not here: the runs themselves (`_runs`).
"""

import argparse
import resource
import signal
import sys
from pathlib import Path

from _baseline import PINS, BaselineError, prepare_baseline
from _nginx import ServerError, nginx_path
from _photos import prepare_photos
from _records import BASELINE, DAFT, OURS, Case, Results
from _runs import MEMORY, Bench, RunError, choose_cases, run_all
from _server import LATENCY_S, PhotoServer

HERE = Path(__file__).resolve().parent

# --- settings: common ones, and the best of each tool ---

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
RESIZE = {
    "image_size": 256,
    "resize_mode": "keep_ratio",
    "encode_quality": 95,
    "encode_format": "jpg",
}
ORIGINALS = {"disable_all_reencoding": True}

# img2dataset: the best of 16 to 128 threads and 1 to 4 processes on two cores, and of 64 to 512
# threads with latency
THEIRS = ({"processes_count": 2, "thread_count": 32},)
THEIRS_LATENCY = (
    {"processes_count": 2, "thread_count": 256},
    {"processes_count": 2, "thread_count": 512},
)

# Daft: a process with threads of its own; max_connections is all that it can be told
DAFT_SETTINGS = {"max_connections": 64}

# dataset_assets: thread_count is connections per process; with codec_threads 0 the main thread of
# each process decodes
OUR_RESIZE = {"processes_count": 2, "thread_count": 32, "codec_threads": 0}
OUR_ORIGINALS = {"processes_count": 2, "thread_count": 32, "codec_threads": 0}
OUR_LATENCY = {
    "processes_count": 2,
    "thread_count": 1400,
    "codec_threads": 0,
    "max_buffered_bytes": 256 << 20,
}
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
            name="originals-parquet",
            title="originals kept, parquet output, http",
            origin="http",
            arguments={**ORIGINALS, "output_format": "parquet"},
            baseline=THEIRS,
            ours=OUR_ORIGINALS,
            daft=DAFT_SETTINGS,
            min_speedup=3.0,
            min_daft_speedup=1.8,
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
            name="hosts",
            title="originals kept, http, 200 hosts",
            origin="hosts",
            arguments=ORIGINALS,
            baseline=THEIRS,
            ours=OUR_ORIGINALS,
            single_run=True,
        ),
        Case(
            name="parquet",
            title="resize to 256, parquet output, http",
            origin="http",
            arguments={**RESIZE, "output_format": "parquet"},
            baseline=THEIRS,
            ours=OUR_RESIZE,
            daft={**DAFT_SETTINGS, "image_size": 256},
            single_run=True,
        ),
    )
}
DEFAULT_CASES = (
    "resize",
    "originals",
    "https",
    "https-originals",
    "latency",
    "originals-parquet",
    MEMORY,
)
TOOLS = (BASELINE, DAFT, OURS)


def main() -> int:
    options = _parse()
    cache = HERE / ".cache"
    cache.mkdir(exist_ok=True)
    raise_file_limit()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that server and tools end too
    try:
        nginx_path()
        wanted = [tool for tool in options.tools if tool in PINS]
        if not any(CASES[name].daft for name in options.cases if name != MEMORY):
            wanted = [tool for tool in wanted if tool != DAFT]
        baselines = [
            prepare_baseline(cache, python, tool)
            for tool in wanted
            for python in options.baseline_python[: 1 if tool == DAFT else None]
        ]
        photos = prepare_photos(cache, options.photos)
        if options.prepare:
            print("ready")
            return 0
        with PhotoServer(cache / "server", photos.folder) as server:
            bench = Bench(
                options, COMMON, photos, server, Path(options.work or cache / "work"), Results()
            )
            bench.results.notes += [baseline.note for baseline in baselines if baseline.note]
            complete = run_all(bench, choose_cases(bench, CASES), baselines)
    except (BaselineError, RunError, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if complete else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure dataset_assets.download side by side with img2dataset."
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds (3)")
    parser.add_argument("--urls", type=int, help="URLs per run (20000)")
    parser.add_argument("--shard", type=int, help="URLs per shard (2000)")
    parser.add_argument(
        "--photos",
        type=int,
        help="distinct photos that the URLs lead to (6000; about 0.7 GB on disk)",
    )
    parser.add_argument(
        "--cases",
        help=f"comma-separated from {', '.join([*CASES, MEMORY])} "
        f"(default {','.join(DEFAULT_CASES)})",
    )
    parser.add_argument(
        "--tools", default=",".join(TOOLS), help="comma-separated; the default is all three"
    )
    parser.add_argument(
        "--baseline-python",
        default="python3.12",
        help="comma-separated commands or paths; of several the fastest counts",
    )
    parser.add_argument(
        "--work", help="folder for the outputs, removed run by run (benchmarks/.cache/work)"
    )
    parser.add_argument(
        "--results", default=str(HERE / "results" / "download.md"), help="where the report goes"
    )
    parser.add_argument(
        "--quick", action="store_true", help="smoke test: 1 round, 400 URLs, 300 photos"
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="only fill the cache (photos, the baseline's environment)",
    )
    options = parser.parse_args()
    defaults = {"rounds": 3, "urls": 20000, "shard": 2000, "photos": 6000}
    if options.quick:
        defaults = {"rounds": 1, "urls": 400, "shard": 100, "photos": 300}
    for name, value in defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
        if getattr(options, name) < 1:
            parser.error(f"--{name}: expected at least 1, got {getattr(options, name)}")
    if Path(options.results).is_dir():
        options.results = str(Path(options.results) / "download.md")
    options.cases = options.cases.split(",") if options.cases else list(DEFAULT_CASES)
    options.tools = options.tools.split(",")
    options.baseline_python = options.baseline_python.split(",")
    if unknown := [name for name in options.cases if name not in CASES and name != MEMORY]:
        parser.error(f"--cases: expected {', '.join([*CASES, MEMORY])}, got {unknown[0]!r}")
    if unknown := [name for name in options.tools if name not in TOOLS]:
        parser.error(f"--tools: expected {', '.join(TOOLS)}, got {unknown[0]!r}")
    return options


def raise_file_limit() -> None:
    """Allow as many open files as the system permits, for the server and both tools alike."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
