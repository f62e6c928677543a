"""Batches for torch from S3: `CreateCocoLoaders` beside a loader that reads one image at a time.

    python benchmarks/torch_loader.py [--images 800] [--rounds 3] [--workers 0,1,2]
                                      [--latencies 0,20] [--side 640]

A local S3 server (`rclone serve s3`) has a COCO of synthetic photographs twice: as one object per
image, and as staged shards. All requests go through a proxy that counts and delays them. Every run
is a new process that creates a loader and iterates one epoch with an empty cache, then another one.
Runs are interleaved. Exits with 0 if every run succeeds and the targets are met: 5 times the
images/s of the baseline at the largest latency, and at most shards + 20 requests.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from _coco_set import write_archives  # noqa: E402
from _machine import machine  # noqa: E402
from _measure import Measurement, measure  # noqa: E402

BUCKET = "imgml"
FOLDER = Path(__file__).parent / ".cache" / "torch_loader"
WAYS = ("one image at a time", "dataset_assets")
BATCH_SIZE = 16
SHARD_BYTES = 16 << 20
TARGET = 5.0  # times the images/s of the baseline
MORE_REQUESTS = 20  # than shards
LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the report for each way."""

    workers: int
    latency_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What one process did."""

    cost: Measurement
    requests: int
    ready_s: float  # until the loader was created
    epoch_s: tuple[float, ...]
    images: int


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--latencies", default="0,20", help="ms")
    parser.add_argument("--side", type=int, default=640, help="px of the samples")
    parser.add_argument(
        "--child", nargs=4, metavar=("WAY", "WORKERS", "SIDE", "CACHE"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.child:
        way, workers, side, cache = arguments.child
        print(json.dumps(child(way, int(workers), int(side), cache)))
        return
    settings = [
        Setting(int(w), float(ms) / 1000)
        for ms in arguments.latencies.split(",")
        for w in arguments.workers.split(",")
    ]
    runs, shards = all_runs(settings, arguments)
    sys.exit(not report(runs, shards, arguments))


# --- one run, in a process of its own ---


def child(way: str, workers: int, side: int, cache: str) -> dict[str, Any]:
    """Create a loader and iterate two epochs; with the baseline, where they are equal, only one."""
    from dataset_assets.loaders.labels.class_dictionary import shipped

    started = time.perf_counter()
    # categories are numbered from 1 without gaps here
    train_ids = {number: number for number in shipped("coco").trainIds.values()}
    if way == WAYS[0]:
        from _image_loader import image_loader

        loader: Any = image_loader(side, BATCH_SIZE, workers, train_ids)
    else:
        loader = our_loader(side, workers, cache)
    ready_s = time.perf_counter() - started
    seconds = []
    images = 0
    for _ in range(1 if way == WAYS[0] else 2):
        started = time.perf_counter()
        images = 0
        for batch in loader:
            images += check(batch, side)
        seconds.append(time.perf_counter() - started)
    return {"ready_s": ready_s, "epoch_s": seconds, "images": images}


def our_loader(side: int, workers: int, cache: str) -> Any:
    from dataset_assets.compat.torchdatasetutil.coco import CreateCocoLoaders
    from dataset_assets.loaders.labels.class_dictionary import ClassDictionary
    from dataset_assets.loaders.options import LoaderOptions

    objects = [
        {"id": n, "trainId": n, "name": f"{n}", "category": "", "display": True, "color": [n, n, n]}
        for n in range(81)
    ]
    dictionary = ClassDictionary.load(
        {"background": 0, "ignore": 255, "classes": 81, "objects": objects, "input_type": "float32"}
    )
    sets = [{"set": "train", "dataset": "data/coco/staged/train2017", "enable_transform": True}]
    found = CreateCocoLoaders(
        f"s3://{BUCKET}",
        None,
        dictionary,
        batch_size=BATCH_SIZE,
        num_workers=workers,
        loaders=sets,
        height=side,
        width=side,
        options=LoaderOptions(cache_dir=cache),
    )
    return found[0]["dataloader"]


def check(batch: Any, side: int) -> int:
    """Return the size of a batch after checking shapes and types."""
    inputs, labels, mean, stdev = batch
    if (
        inputs.shape[1:] != (3, side, side)
        or labels.shape != inputs[:, 0].shape
        or len(mean) != len(stdev)
        or str(inputs.dtype) != "torch.float32"
    ):
        raise ValueError(f"invalid batch: {inputs.dtype} {inputs.shape}, {labels.shape}")
    return len(inputs)


# --- all runs ---


def all_runs(
    settings: list[Setting], arguments: argparse.Namespace
) -> tuple[dict[tuple[Setting, str], list[Run]], int]:
    from dataset_assets.storage.embedded_s3 import EmbeddedS3
    from dataset_assets_tests.support.s3_server import CountingProxy

    data = FOLDER / f"s3-{arguments.images}"
    shards = prepare(data, arguments.images)
    runs: dict[tuple[Setting, str], list[Run]] = {
        (setting, way): [] for setting in settings for way in WAYS
    }
    with EmbeddedS3(data) as server, CountingProxy(server.url) as proxy:
        environment = {
            **os.environ,
            **server.environment(),
            "AWS_ENDPOINT_URL": proxy.url,
            "PYTHONPATH": str(ROOT),
        }
        for number in range(arguments.rounds):
            for setting, way in runs if number % 2 == 0 else reversed(runs):
                proxy.latency_s = setting.latency_s
                proxy.reset()
                runs[setting, way].append(one_run(way, setting, arguments.side, environment, proxy))
    return runs, shards


def one_run(way: str, setting: Setting, side: int, environment: dict[str, str], proxy: Any) -> Run:
    log = FOLDER / "run.log"
    with tempfile.TemporaryDirectory(dir=FOLDER) as cache:
        command = [sys.executable, __file__, "--child", way, str(setting.workers), str(side), cache]
        cost = measure(command, env=environment, log=log, server=[], limit_s=LIMIT_S)
    lines = log.read_text().splitlines()
    if cost.exit_status != 0:
        sys.exit(f"{way} exited with status {cost.exit_status}:\n" + "\n".join(lines[-30:]))
    result = json.loads(lines[-1])
    return Run(cost, proxy.total, result["ready_s"], tuple(result["epoch_s"]), result["images"])


def prepare(data: Path, images: int) -> int:
    """Fill the folder of the server unless it exists; return the number of shards."""
    from dataset_assets.pipelines.stage.stage import StageOptions, stage
    from dataset_assets.staging.sources import coco
    from dataset_assets.storage.store import open_store

    archives = FOLDER / f"archives-{images}"
    write_archives(archives, images)
    staged = data / BUCKET / "data/coco/staged/train2017"
    source = coco.Source(coco.CocoOptions(folder=str(archives)))
    if not (staged / "manifest.json").exists():
        shutil.rmtree(data, ignore_errors=True)
        unpack(archives, data / BUCKET / "data/coco")
    return len(
        stage(
            source,
            open_store(str(staged)),
            StageOptions(max_shard_bytes=SHARD_BYTES),
            partition="train2017",
        ).manifest.shards
    )


def unpack(archives: Path, folder: Path) -> None:
    """Store the files as torchdatasetutil does: one object per image, and the annotations."""
    import zipfile

    for archive in archives.glob("*.zip"):
        with zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.read(name))


def report(
    runs: dict[tuple[Setting, str], list[Run]], shards: int, arguments: argparse.Namespace
) -> bool:
    """Print the measurements; return whether the targets are met."""
    print(
        f"{arguments.images:,} JPEGs of 640 x 480, {shards} shards, "
        f"batches of {BATCH_SIZE} x 3 x {arguments.side} x {arguments.side}, "
        f"medians of {arguments.rounds} rounds"
    )
    print(machine(str(FOLDER)) + "\n")
    print(
        f"{'latency':>8} {'workers':>8}  {'':20} {'images/s':>9} {'again':>7} {'requests':>9} "
        f"{'ready s':>8} {'CPU ms/image':>13} {'ratio':>6}"
    )
    good = True
    largest = max(setting.latency_s for setting, _ in runs)
    for setting in dict.fromkeys(setting for setting, _ in runs):
        rates = [
            statistics.median(run.images / run.epoch_s[0] for run in runs[setting, way])
            for way in WAYS
        ]
        for way, rate in zip(WAYS, rates, strict=True):
            print(row(setting, way, runs[setting, way], rate, rates[1] / rates[0]))
        requests = max(run.requests for run in runs[setting, WAYS[1]])
        judged = setting.latency_s == largest
        good = (
            good
            and requests <= shards + MORE_REQUESTS
            and (not judged or rates[1] >= TARGET * rates[0])
        )
    print(
        f"\ntargets: {TARGET} x the images/s with {largest * 1000:.0f} ms, at most "
        f"{shards} + {MORE_REQUESTS} requests for loader and both epochs: "
        f"{'pass' if good else 'FAIL'}"
    )
    print(
        "again: the second epoch, from the cache. ready: until the loader is created. CPU: all "
        "processes of the run, without server and proxy."
    )
    return good


def row(setting: Setting, way: str, runs: list[Run], rate: float, ratio: float) -> str:
    ours = way == WAYS[1]
    again = f"{'':7}"
    if ours:
        again = f"{statistics.median(run.images / run.epoch_s[1] for run in runs):7,.0f}"
    cpu = statistics.median(1000 * run.cost.cpu_s / (run.images * len(run.epoch_s)) for run in runs)
    requests = max(run.requests for run in runs)
    ready = statistics.median(run.ready_s for run in runs)
    head = f"{setting.latency_s * 1000:5.0f} ms {setting.workers:8d}  {way:20}"
    shown_ratio = f"{ratio:.1f}" if ours else ""
    return f"{head} {rate:9,.0f} {again} {requests:9,d} {ready:8.2f} {cpu:13.1f} {shown_ratio:>6}"


if __name__ == "__main__":
    main()
