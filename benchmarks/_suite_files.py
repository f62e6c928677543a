"""Test files for img2dataset's tests, drawn anew, and a server for them.

Here: pictures, boxes, lists and the references that a run is compared with. The references are made
by img2dataset itself, in the environment of the baseline. Not here: running the tests
(`img2dataset_suite`). Sizes and counts are those that the tests expect.
"""

import functools
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

#: width and height; two have a side below 200 px, three an aspect ratio above 1.5
SIZES = ((123, 456), (208, 495), (321, 421), (389, 535), (416, 264), (456, 123), (524, 316))
#: The picture to blur is smaller than the 600 px that it is resized to.
ORIGINAL_SIZE = (480, 360)
BOXES = ((0.1, 0.2, 0.35, 0.6), (0.55, 0.15, 0.9, 0.5))
DISTINCT = 30
LONG_LIST = 1000
MODES = ("no", "border", "keep_ratio", "keep_ratio_largest", "center_crop")
_BLUR = """
import sys, cv2, numpy
from img2dataset.blurrer import BoundingBoxBlurrer
image = BoundingBoxBlurrer()(cv2.imread("original.png"), numpy.load("bbox.npy"))
cv2.imwrite("blurred.png", image)
"""
_RESIZE = """
import json, sys
from img2dataset import download
if __name__ == "__main__":
    download("test_bbox.parquet", **json.loads(sys.argv[1]))
"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder; the value is its address."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def draw_files(tests: Path, address: str, cache: Path, python: str) -> None:
    """Draw the files of a folder of tests.

    Args:
        tests: the folder.
        address: where it is served.
        cache: keeps the references.
        python: the Python that has img2dataset, for the references.
    """
    for name in ("resize_test_image", "blur_test_files", "test_files"):
        shutil.rmtree(tests / name, ignore_errors=True)
        (tests / name).mkdir()
    for seed, (width, height) in enumerate(SIZES):
        path = tests / "resize_test_image" / f"{width}_{height}.jpg"
        cv2.imwrite(str(path), draw(width, height, seed))
    blurred = tests / "blur_test_files"
    _write_boxes(blurred, f"{address}/blur_test_files")
    _write_references(blurred, cache, python)
    _write_lists(tests / "test_files", address)


def draw(width: int, height: int, seed: int) -> Any:
    """Return a picture of coarse and fine noise."""
    random = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells, strength in ((6, 90.0), (30, 35.0), (150, 12.0)):
        noise = random.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        picture += strength * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture + 127, 0, 255).astype(np.uint8)


def _write_boxes(folder: Path, address: str) -> None:
    cv2.imwrite(str(folder / "original.png"), draw(*ORIGINAL_SIZE, seed=100))
    np.save(folder / "bbox.npy", np.array(BOXES))
    rows = {"url": [f"{address}/original.png"], "bboxes": [[list(box) for box in BOXES]]}
    pq.write_table(pa.table(rows), folder / "test_bbox.parquet")


def _write_references(folder: Path, cache: Path, python: str) -> None:
    """Write what img2dataset makes of the picture with boxes; once, as it takes a minute."""
    kept = cache / "img2dataset-suite"
    names = ["blurred.png", *(f"resize_{mode}.jpg" for mode in MODES)]
    if not all((kept / name).exists() for name in names):
        _run(python, folder, _BLUR)
        for mode in MODES:
            _write_resized(folder, mode, python)
        kept.mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy(folder / name, kept / name)
    for name in names:
        shutil.copy(kept / name, folder / name)


def _write_resized(folder: Path, mode: str, python: str) -> None:
    with tempfile.TemporaryDirectory() as out:
        options = {
            "input_format": "parquet",
            "image_size": 600,
            "output_folder": f"{out}/images",
            "resize_mode": mode,
            "bbox_col": "bboxes",
        }
        _run(python, folder, _RESIZE, json.dumps(options))
        (picture,) = Path(out).rglob("*.jpg")
        shutil.copy(picture, folder / f"resize_{mode}.jpg")


def _write_lists(folder: Path, address: str) -> None:
    for number in range(DISTINCT):
        picture = draw(300 + number, 200 + number, seed=1000 + number)
        cv2.imwrite(str(folder / f"unique_{number}.jpg"), picture)
    urls = [f"{address}/test_files/unique_{number}.jpg" for number in range(DISTINCT)]
    (folder / "unique_images.txt").write_text("\n".join(urls) + "\n")
    numbers = range(LONG_LIST)
    long = {
        "URL": [urls[number % DISTINCT] for number in numbers],
        "TEXT": [f"picture {number}" for number in numbers],
    }
    pq.write_table(pa.table(long), folder / "test_1000.parquet")
    original = f"{address}/blur_test_files/original.png"
    body = (folder.parent / "blur_test_files" / "original.png").read_bytes()
    hashes = {name: hashlib.new(name, body).hexdigest() for name in ("md5", "sha256", "sha512")}
    (folder / "hashes.json").write_text(json.dumps(hashes))
    (folder / "sample_image.txt").write_text(original)
    sample = {"url": [original, original], "sha256hash": [hashes["sha256"], "0" * 64]}
    pq.write_table(pa.table(sample), folder / "sample_image.parquet")


def _run(python: str, folder: Path, program: str, *arguments: str) -> None:
    """Run a program in a folder."""
    script = folder / "_reference.py"  # of a file, because its worker processes import it
    script.write_text(program)
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    try:
        command = [python, script.name, *arguments]
        subprocess.run(command, cwd=folder, env=environment, check=True)
    finally:
        script.unlink()
