"""Show that two commits write the same bytes: shards, splits and staged sets.

    python benchmarks/compare_outputs.py REV [--keep FOLDER]

The working tree and commit REV each run the same commands, in processes of their own, on the same
inputs: URLs of the photo server, recordings, and small published datasets. Every file that they
leave is compared by its sha256. Of commit records, which hold times, everything but the times is
compared. The exit status is 1 when a file differs or is missing.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from dataset_assets.demo.lists import url_table
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets_tests.pipelines.sources import write_recordings
from dataset_assets_tests.support import tiny_cityscapes, tiny_coco, tiny_cvat, tiny_imagenet

ROOT = Path(__file__).parents[1]
ROWS = 200
# Kinds of answers that are slow, or that are not the same the second time.
LEFT_OUT = ("late", "drip", "busy", "limited", "reset", "oversize")
TIMES = ("duration", "start_time", "end_time")
FORMATS = ("webdataset", "files", "parquet", "tfrecord", "dummy")

#: name -> further arguments of `download`
DOWNLOADS: dict[str, dict[str, Any]] = {
    **{f"resized-{name}": {"output_format": name} for name in FORMATS},
    **{f"img2dataset-{name}": {"output_format": name, "layout": "img2dataset"} for name in FORMATS},
    "originals": {"output_format": "webdataset", "disable_all_reencoding": True},
    "cropped-webp": {
        "output_format": "webdataset",
        "resize_mode": "center_crop",
        "encode_format": "webp",
        "image_size": 64,
    },
    "any": {"output_format": "webdataset", "media": "any", "compute_hash": "md5"},
}
#: name -> arguments of the command line; `{inputs}` is the folder of the inputs
COMMANDS: dict[str, list[str]] = {
    "split-shards": ["split", "resized-webdataset", "split-shards", "--seed", "3"],
    "split-stable": ["split", "resized-parquet", "split-stable", "--method", "stable"],
    "split-frames": ["split", "{inputs}/recordings", "split-frames", "--layout", "frames"],
    "split-packed": ["split", "{inputs}/recordings", "split-packed", "--compression", "gz"],
    "stage-coco": ["stage", "coco", "stage-coco", "--folder", "{inputs}/coco"],
    "stage-objects": [
        *("stage", "coco", "stage-objects", "--folder", "{inputs}/coco"),
        *("--layout", "objects"),
    ],
    "stage-cityscapes": [
        *("stage", "cityscapes", "stage-cityscapes", "--folder", "{inputs}/cityscapes"),
    ],
    "stage-imagenet": ["stage", "imagenet", "stage-imagenet", "--path", "{inputs}/imagenet"],
    "stage-cvat": [
        *("stage", "cvat", "stage-cvat", "--line-width", "3", "--exports"),
        "images={inputs}/cvat/images.zip,video={inputs}/cvat/video.zip,coco={inputs}/cvat/coco.zip",
    ],
}
DOWNLOAD = "import json, sys, dataset_assets; dataset_assets.download(**json.loads(sys.argv[1]))"
COMMAND = "import sys; from dataset_assets.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> int:
    """Run both, compare, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("rev", help="the commit to compare with")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        old = folder / "code"
        git("worktree", "add", "--detach", "--force", str(old), arguments.rev)
        try:
            with PhotoServer(port=0) as server:
                write_inputs(folder / "inputs", server.port)
                run_all(old, folder / "before", folder / "inputs")
                run_all(ROOT, folder / "after", folder / "inputs")
        finally:
            git("worktree", "remove", "--force", str(old))
        return compare(folder / "before", folder / "after")


def git(*arguments: str) -> None:
    """Run git in the project."""
    subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True)


def write_inputs(inputs: Path, port: int) -> None:
    """Write what the commands read."""
    inputs.mkdir(parents=True)
    urls = url_table(port=port)
    kinds = [url.split("/")[3] for url in urls["url"].to_pylist()]
    chosen = [row for row, kind in enumerate(kinds) if kind not in LEFT_OUT]
    pq.write_table(urls.take(chosen[:ROWS]), inputs / "urls.parquet")
    write_recordings(inputs / "recordings", 6)
    tiny_coco.write_coco(inputs / "coco")
    (inputs / "cityscapes").mkdir()
    tiny_cityscapes.write_cityscapes(inputs / "cityscapes")
    tiny_imagenet.write_imagenet(inputs / "imagenet")
    (inputs / "cvat").mkdir()
    tiny_cvat.write_images(inputs / "cvat" / "images.zip")
    tiny_cvat.write_video(inputs / "cvat" / "video.zip")
    tiny_cvat.write_coco(inputs / "cvat" / "coco.zip")


def run_all(code: Path, out: Path, inputs: Path) -> None:
    """Run every command with the code of a checkout; what they write lies below `out`."""
    out.mkdir()
    for name, more in DOWNLOADS.items():
        given = {
            "url_list": str(inputs / "urls.parquet"),
            "input_format": "parquet",
            "caption_col": "caption",
            "save_additional_columns": ["license"],
            "number_sample_per_shard": 64,
            "output_folder": name,
            "timeout": 60,
            "allow_private_networks": True,
            **more,
        }
        run(code, out, [DOWNLOAD, json.dumps(given)])
    for words in COMMANDS.values():
        run(code, out, [COMMAND, *(word.format(inputs=inputs) for word in words)])


def run(code: Path, out: Path, arguments: list[str]) -> None:
    """Run a program of one line, with the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(code)}
    command = [sys.executable, "-c", *arguments]
    done = subprocess.run(
        command, cwd=out, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{code.name}: {arguments[1:]}\n{done.stdout}\n{done.stderr}")


def compare(before: Path, after: Path) -> int:
    """Print what differs; return 1 when something does."""
    old = dict(digests(before))
    new = dict(digests(after))
    problems = [f"missing: {name}" for name in sorted(old.keys() - new.keys())]
    problems += [f"added: {name}" for name in sorted(new.keys() - old.keys())]
    problems += [
        f"differs: {name}" for name in sorted(old) if new.get(name, old[name]) != old[name]
    ]
    for problem in problems:
        print(problem)
    print(f"{len(old):,} files before, {len(new):,} after, {len(problems)} problems")
    return 1 if problems else 0


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and the sha256 of every file; of a commit record without its times."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or "_plan" in path.parts:
            continue
        data = path.read_bytes()
        if path.name.endswith("_stats.json"):
            record = json.loads(data)
            data = json.dumps({key: record[key] for key in record if key not in TIMES}).encode()
        yield str(path.relative_to(folder)), hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
