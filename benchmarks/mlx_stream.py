"""Batches for MLX: memory and images/s of `hf_dataset_to_mlx_stream`, ours and the tutorial's.

    python benchmarks/mlx_stream.py [--images 2000] [--rounds 3]

Every run is a new process that loads the same dataset of 224 x 224 JPEGs from disk and iterates it
three times. Runs are interleaved. Exits with 0 if every run succeeds and peak memory is below the
target. Baseline:
https://github.com/ml-explore/mlx-data/blob/main/docs/src/hf_datasets_streams.rst
"""

import argparse
import io
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _machine import machine
from _measure import Measurement, measure

MIB = 1 << 20
EPOCHS = 3
SIDE = 224  # px
TARGET = 0.6  # of the tutorial's peak memory
LIMIT_S = 600
FOLDER = Path(__file__).parent / ".cache" / "mlx_stream"
WAYS = ("tutorial", "dataset_assets", "only the imports")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("WAY", "DATASET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(run(*arguments.child)))
        return
    dataset = FOLDER / f"jpeg-{arguments.images}"
    if not dataset.exists():
        make_dataset(dataset, arguments.images)
    runs: dict[str, list[tuple[Measurement, dict[str, Any]]]] = {way: [] for way in WAYS}
    for number in range(arguments.rounds):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            runs[way].append(measured(way, dataset))
    sys.exit(not report(runs, arguments.images))


# --- one run, in a process of its own ---


def run(way: str, folder: str) -> dict[str, Any]:
    """Iterate the dataset; return the time, the batches and the samples of every epoch."""
    import datasets
    import mlx.data  # noqa: F401 - all ways start with the same imports

    from dataset_assets.loaders.mlx.stream import hf_dataset_to_mlx_stream

    if way == "only the imports":
        return {"seconds": [], "batches": [], "samples": []}
    dataset = datasets.load_from_disk(folder)
    started = time.perf_counter()
    stream = (tutorial_stream if way == "tutorial" else hf_dataset_to_mlx_stream)(
        dataset, shuffle=True
    )
    seconds = []
    batches = []
    samples = []
    for _ in range(EPOCHS):
        stream.reset()
        sizes = [check(batch) for batch in stream]
        seconds.append(time.perf_counter() - started)
        batches.append(sizes)
        samples.append(sum(sizes))
        started = time.perf_counter()
    return {"seconds": seconds, "batches": batches, "samples": samples}


def check(batch: dict[str, Any]) -> int:
    """Return the size of a batch after checking shapes and types."""
    image = batch["image"]
    label = batch["label"]
    if image.dtype != np.float32 or image.shape[1:] != (SIDE, SIDE, 3) or len(image) != len(label):
        raise ValueError(f"invalid batch: {image.dtype} {image.shape}, {label.shape}")
    return len(label)


def tutorial_stream(dataset: Any, shuffle: bool = False) -> Any:
    """Do what the tutorial does, with its code."""
    import mlx.data as dx

    numpy_data = [
        {"image": np.array(image).copy(), "label": label}
        for label, image in zip(dataset["label"], dataset["image"], strict=True)
    ]
    buffer = dx.buffer_from_vector(numpy_data)
    if shuffle:
        buffer = buffer.shuffle()
    return (
        buffer.to_stream()
        .key_transform("image", lambda x: x.astype("float32") / 255)
        .batch(32)
        .prefetch(prefetch_size=8, num_threads=4)
    )


# --- all runs ---


def measured(way: str, dataset: Path) -> tuple[Measurement, dict[str, Any]]:
    log = FOLDER / "run.log"
    env = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(FOLDER / "hf"),
    }
    found = measure(
        [sys.executable, __file__, "--child", way, str(dataset)],
        env=env,
        log=log,
        server=[],
        limit_s=LIMIT_S,
    )
    lines = log.read_text().splitlines()
    if found.exit_status != 0:
        sys.exit(f"{way} exited with status {found.exit_status}:\n" + "\n".join(lines[-30:]))
    return found, json.loads(lines[-1])


def report(runs: dict[str, list[tuple[Measurement, dict[str, Any]]]], images: int) -> bool:
    """Print the measurements; return whether the target is met."""
    print(
        f"{images:,} JPEGs of {SIDE} x {SIDE}, batches of 32, {EPOCHS} epochs, "
        f"medians of {len(runs['tutorial'])} rounds"
    )
    print(machine(str(FOLDER)) + "\n")
    print(
        f"{'':18} {'peak PSS MiB':>13} {'peak RSS MiB':>13} {'first epoch img/s':>18} "
        f"{'later epochs img/s':>19} {'CPU s':>6} {'short batches':>14}"
    )
    for way, found in runs.items():
        pss, rss = (
            statistics.median(getattr(cost, f"peak_{kind}_bytes") / MIB for cost, _ in found)
            for kind in ("pss", "rss")
        )
        row = f"{way:18} {pss:13,.0f} {rss:13,.0f}"
        if found[0][1]["seconds"]:
            first = statistics.median(
                result["samples"][0] / result["seconds"][0] for _, result in found
            )
            later = statistics.median(
                sum(result["samples"][1:]) / sum(result["seconds"][1:]) for _, result in found
            )
            cpu = statistics.median(cost.cpu_s for cost, _ in found)
            short = sorted(
                {
                    sum(size < 32 for size in sizes)
                    for _, result in found
                    for sizes in result["batches"]
                }
            )
            row += f" {first:18,.0f} {later:19,.0f} {cpu:6.1f} {' or '.join(map(str, short)):>14}"
        print(row)
    ratios = {kind: _ratio(runs, f"peak_{kind}_bytes") for kind in ("pss", "rss")}
    good = max(ratios.values()) < TARGET
    print(
        f"\npeak memory, ours / tutorial: PSS {ratios['pss']:.2f}, RSS {ratios['rss']:.2f}; "
        f"target < {TARGET}: {'pass' if good else 'FAIL'}"
    )
    print(
        "The first epoch includes creating the stream, where the tutorial decodes and keeps all "
        "images. CPU is that of the whole process."
    )
    return good


def _ratio(runs: dict[str, list[tuple[Measurement, dict[str, Any]]]], value: str) -> float:
    ours, theirs = (
        statistics.median(getattr(cost, value) for cost, _ in runs[way])
        for way in ("dataset_assets", "tutorial")
    )
    return ours / theirs


def make_dataset(folder: Path, count: int) -> None:
    """Write the dataset atomically: noise of several scales, as expensive to decode as photos."""
    import datasets

    def rows() -> Any:
        for index in range(count):
            yield {"image": {"bytes": photo(index), "path": None}, "label": index}

    datasets.disable_progress_bars()
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    made = datasets.Dataset.from_generator(
        rows, features=features, cache_dir=str(partial / "cache")
    )
    made.save_to_disk(str(partial / "data"))
    (partial / "data").rename(folder)
    shutil.rmtree(partial)


def photo(index: int) -> bytes:
    """Return a JPEG of about 15 kB."""
    from PIL import Image

    rng = np.random.default_rng(index)
    pixels = np.zeros((SIDE, SIDE, 3), np.float32)
    for side, strength in ((4, 70), (14, 35), (56, 15), (SIDE, 6)):
        grid = rng.normal(0, strength, (side, side, 3)).astype(np.float32)
        pixels += np.kron(grid, np.ones((SIDE // side, SIDE // side, 1), np.float32))
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels + 128, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


if __name__ == "__main__":
    main()
