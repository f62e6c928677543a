"""Compare pixels and print JSON. Runs in our own environment.

    _pixels.py kernels FOLDER COUNT     our pixels before encoding (written as lossless PNG here)
                                        against INTER_AREA of cv2 and an exact area filter
    _pixels.py shards OURS BASELINE     the JPEGs of both tools by key, and their hashes and EXIF;
                                        paths without extension

Identical images count as 99 dB.
"""

import json
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq

SIZE = 256
IDENTICAL_DB = 99.0
KERNELS = ("auto", "opencv")


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Return the peak signal-to-noise ratio of two (H, W, C) uint8 images, dB."""
    error = float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
    return IDENTICAL_DB if error == 0 else min(IDENTICAL_DB, 10 * np.log10(255**2 / error))


def summary(values: list[float]) -> dict[str, float]:
    """Summarise decibels."""
    if not values:
        return {"count": 0}
    return {
        "count": len(values),
        "min": min(values),
        "p5": float(np.percentile(values, 5)),
        "median": float(np.median(values)),
    }


def exact_area(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Shrink (H, W, 3) uint8 with the box of each target pixel, in float64."""
    rows = _area_weights(image.shape[0], height)
    columns = _area_weights(image.shape[1], width)
    planes = [
        rows @ image[..., channel].astype(np.float64) @ columns.T
        for channel in range(image.shape[2])
    ]
    return np.floor(np.stack(planes, axis=-1) + 0.5).clip(0, 255).astype(np.uint8)


def _area_weights(source: int, target: int) -> np.ndarray:
    """Return (target, source) shares of source pixels in target pixels; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = overlap.clip(0, 1)
    return weights / weights.sum(axis=1, keepdims=True)


def compare_kernels(folder: str, count: int) -> dict[str, object]:
    """Measure every area kernel of ours on `count` photos that shrink."""
    from dataset_assets.images.options import ImageOptions
    from dataset_assets.images.transform import ImageTransform

    found: dict[str, object] = {}
    for kernel in KERNELS:
        options = ImageOptions(
            image_size=SIZE,
            resize_mode="keep_ratio",
            encode_format="png",
            encode_quality=1,
            area_kernel=kernel,
        )
        transform = ImageTransform(options)
        against_cv2: list[float] = []
        against_exact: list[float] = []
        for path in sorted(Path(folder).glob("photo_*.jpg")):
            body = path.read_bytes()
            image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
            if min(image.shape[:2]) <= SIZE:
                continue
            media = transform.run(body)
            ours = cv2.imdecode(np.frombuffer(media.payload or b"", np.uint8), cv2.IMREAD_UNCHANGED)
            height, width = ours.shape[:2]
            against_cv2.append(
                psnr(ours, cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
            )
            against_exact.append(psnr(ours, exact_area(image, width, height)))
            if len(against_cv2) == count:
                break
        found[kernel] = {"cv2": summary(against_cv2), "exact": summary(against_exact)}
    return found


def compare_shards(ours: str, baseline: str) -> dict[str, object]:
    """Compare two shards of the same rows: images, hashes, EXIF."""
    one = _read_images(f"{ours}.tar")
    other = _read_images(f"{baseline}.tar")
    values = []
    sizes_differ = bytes_equal = 0
    for name in sorted(one.keys() & other.keys()):
        bytes_equal += one[name] == other[name]
        first, second = (
            cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED)
            for body in (one[name], other[name])
        )
        if first.shape == second.shape:
            values.append(psnr(first, second))
        else:
            sizes_differ += 1
    only = {
        "only_ours": len(one.keys() - other.keys()),
        "only_baseline": len(other.keys() - one.keys()),
    }
    rows = _compare_rows(_rows(f"{ours}.parquet"), _rows(f"{baseline}.parquet"))
    return {
        **summary(values),
        **only,
        **rows,
        "sizes_differ": sizes_differ,
        "bytes_equal": bytes_equal,
    }


def _compare_rows(
    one: dict[str, dict[str, str]], other: dict[str, dict[str, str]]
) -> dict[str, int]:
    common = one.keys() & other.keys()
    return {
        "rows": len(common),
        "hash_equal": sum(one[url]["sha256"] == other[url]["sha256"] for url in common),
        "exif_ours": sum((one[url]["exif"] or "{}") != "{}" for url in common),
        "exif_baseline": sum((other[url]["exif"] or "{}") != "{}" for url in common),
    }


def _rows(path: str) -> dict[str, dict[str, str]]:
    """Read the successful rows of a sidecar by url."""
    table = pq.read_table(path, columns=["url", "status", "sha256", "exif"])
    return {row["url"]: row for row in table.to_pylist() if row["status"] == "success"}


def _read_images(path: str) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            member.name: archive.extractfile(member).read()
            for member in archive
            if member.name.endswith(".jpg")
        }


if __name__ == "__main__":
    what, first, second = sys.argv[1:]
    is_kernels = what == "kernels"
    found = compare_kernels(first, int(second)) if is_kernels else compare_shards(first, second)
    print(json.dumps(found))
