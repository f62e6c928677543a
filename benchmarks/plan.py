"""Plan a large list: wall time, CPU time and peak memory, for a list and one a tenth of its size.

    python benchmarks/plan.py [--rows 10000000] [--folder benchmarks/.cache/plan]

Each run is a new process. The lists (parquet and csv: url, caption, similarity) are created on the
first run and kept; the plans are deleted.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from dataset_assets.pipelines.download.plan_parts import read_shard
from dataset_assets.pipelines.download.plan_urls import load_plan, plan_urls
from dataset_assets.storage.store import open_store
from dataset_assets.urls.lists import ListOptions

_CHUNK = 100_000
_WORDS = 'a the red old small house on hill, with "two" people walking dog near river light'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / ".cache" / "plan")
    parser.add_argument(
        "--child", nargs=3, metavar=("LIST", "FORMAT", "PLAN"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(*arguments.child)))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{'list':8} {'rows':>12} {'list MB':>8} {'wall s':>7} {'CPU s':>6} {'peak RSS MB':>12} "
        f"{'again s':>8} {'shards':>7} {'plan MB':>8} {'read_shard ms':>14}"
    )
    for name in ("parquet", "csv"):
        for rows in (arguments.rows // 10, arguments.rows):
            path = arguments.folder / f"{rows}.{name}"
            if not path.exists():
                make_list(path, rows)
            plan = arguments.folder / "plan"
            shutil.rmtree(plan, ignore_errors=True)
            output = subprocess.run(
                [sys.executable, __file__, "--child", path, name, plan],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            found = json.loads(output)
            stored = sum(file.stat().st_size for file in plan.iterdir()) / 1e6
            print(
                f"{name:8} {rows:12,} {path.stat().st_size / 1e6:8.0f} {found['wall_s']:7.1f} "
                f"{found['cpu_s']:6.1f} {found['peak_mb']:12.0f} {found['again_s']:8.1f} "
                f"{found['shards']:7,} {stored:8.0f} {found['read_shard_ms']:14.1f}"
            )
            shutil.rmtree(plan)


def measure(path: str, input_format: str, plan_folder: str) -> dict[str, float]:
    """Plan twice in this process."""
    store = open_store(plan_folder)
    options = ListOptions(
        input_format=input_format, caption_col="caption", save_additional_columns=("similarity",)
    )
    started = time.perf_counter()
    cpu = time.process_time()
    plan = plan_urls(path, store, options)
    wall_s = time.perf_counter() - started
    cpu_s = time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    store.delete("seen.json")  # so that it is read again
    started = time.perf_counter()
    plan_urls(path, store, options)
    again_s = time.perf_counter() - started
    started = time.perf_counter()
    shards = range(0, plan.shard_count, max(1, plan.shard_count // 20))
    for shard in shards:
        read_shard(store, load_plan(store), shard)
    read_s = (time.perf_counter() - started) / len(shards)
    return {
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "peak_mb": peak_mb,
        "again_s": again_s,
        "shards": plan.shard_count,
        "read_shard_ms": read_s * 1e3,
    }


def make_list(path: Path, rows: int) -> None:
    """Write a list atomically."""
    partial = path.with_suffix(".partial")
    schema = pa.schema({"url": pa.string(), "caption": pa.string(), "similarity": pa.float64()})
    kind = pq.ParquetWriter if path.suffix == ".parquet" else arrow_csv.CSVWriter
    with kind(partial, schema) as writer:
        for first in range(0, rows, _CHUNK):
            writer.write_table(chunk(first, min(_CHUNK, rows - first), schema))
    partial.rename(path)


def chunk(first: int, rows: int, schema: pa.Schema) -> pa.Table:
    rng = np.random.default_rng(first)
    number = pa.array(np.arange(first, first + rows)).cast(pa.string())
    host = pa.array(rng.integers(0, 5000, rows)).cast(pa.string())
    name = pa.array(rng.integers(0, 1 << 62, rows)).cast(pa.string())
    words = np.array(_WORDS.split())
    text = [" ".join(picked) for picked in words[rng.integers(0, len(words), (rows, 10))]]
    url = pc.binary_join_element_wise(
        "https://cdn", host, ".example.com/images/", name, "/photo-", number, ".jpg", ""
    )
    return pa.table([url, pa.array(text), pa.array(rng.random(rows))], schema=schema)


if __name__ == "__main__":
    main()
