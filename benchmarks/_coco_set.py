"""A COCO of synthetic photographs in the published layout, with the sizes of the real one.

The archives are train2017.zip and annotations_trainval2017.zip. Images have 640 x 480 px, about
150 kB and seven polygons of about 25 points; every hundredth annotation is a crowd. All follows
from the seed.
"""

import json
import multiprocessing
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SEED = 20260901
WIDTH = 640
HEIGHT = 480
POLYGONS = 7
CATEGORIES = tuple(range(1, 81))


def write_archives(folder: Path, images: int) -> None:
    """Write the two archives unless they exist."""
    done = folder / "done"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    print(f"drawing {images} images into {folder} (once)", flush=True)
    with (
        multiprocessing.get_context("fork").Pool() as pool,
        zipfile.ZipFile(folder / "train2017.zip", "w") as archive,
    ):
        for number, body in enumerate(pool.imap(photo, range(images), chunksize=8)):
            archive.writestr(f"train2017/{_name(number)}", body)
    with zipfile.ZipFile(
        folder / "annotations_trainval2017.zip", "w", zipfile.ZIP_DEFLATED
    ) as archive:
        archive.writestr("annotations/instances_train2017.json", json.dumps(_instances(images)))
        archive.writestr("annotations/captions_train2017.json", json.dumps(_document(images, [])))
        archive.writestr(
            "annotations/person_keypoints_train2017.json", json.dumps(_document(images, []))
        )
    done.touch()


def photo(number: int) -> bytes:
    """Draw one JPEG: noise of several scales, as expensive to decode as photographs."""
    rng = np.random.default_rng([SEED, number])
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for rows, strength in ((3, 60), (12, 30), (60, 14), (240, 8), (HEIGHT, 9)):
        grid = rng.normal(0, strength, (rows, rows * WIDTH // HEIGHT, 3)).astype(np.float32)
        pixels += cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    body = cv2.imencode(
        ".jpg", np.clip(pixels + 128, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 94]
    )[1]
    return bytes(body)


def _name(number: int) -> str:
    return f"{number + 1:012d}.jpg"


def _document(images: int, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    entries = [
        {"id": n + 1, "file_name": _name(n), "width": WIDTH, "height": HEIGHT, "license": 1}
        for n in range(images)
    ]
    categories = [
        {"id": each, "name": f"thing {each}", "supercategory": "thing"} for each in CATEGORIES
    ]
    return {
        "info": {},
        "licenses": [],
        "images": entries,
        "annotations": annotations,
        "categories": categories,
    }


def _instances(images: int) -> dict[str, Any]:
    rng = np.random.default_rng([SEED, 1 << 20])
    annotations = [
        _annotation(rng, number, image) for image in range(images) for number in range(POLYGONS)
    ]
    for number, annotation in enumerate(annotations):
        annotation["id"] = number + 1
    return _document(images, annotations)


def _annotation(rng: np.random.Generator, number: int, image: int) -> dict[str, Any]:
    """Return a star-shaped polygon, or a crowd: a box as run lengths in columns."""
    x = rng.uniform(0, WIDTH)
    y = rng.uniform(0, HEIGHT)
    radius = rng.uniform(10, 140)
    found = {
        "image_id": image + 1,
        "category_id": int(rng.choice(CATEGORIES)),
        "iscrowd": 0,
        "area": radius * radius * 3,
    }
    if number == 0 and image % 14 == 0:
        left = int(rng.integers(400))
        width = int(rng.integers(20, 200))
        top = int(rng.integers(300))
        height = int(rng.integers(20, 150))
        counts = [left * HEIGHT + top, height, *[HEIGHT - height, height] * (width - 1)]
        counts.append(WIDTH * HEIGHT - sum(counts))
        box = [left, top, width, height]
        return found | {
            "iscrowd": 1,
            "bbox": box,
            "area": width * height,
            "segmentation": {"counts": counts, "size": [HEIGHT, WIDTH]},
        }
    angles = np.linspace(0, 2 * np.pi, 25, endpoint=False)
    reach = radius * rng.uniform(0.6, 1, len(angles))
    points = np.stack(
        [
            np.clip(x + reach * np.cos(angles), 0, WIDTH),
            np.clip(y + reach * np.sin(angles), 0, HEIGHT),
        ],
        1,
    ).round(2)
    low = points.min(0)
    size = np.ptp(points, 0)
    return found | {
        "bbox": [*low.tolist(), *size.tolist()],
        "segmentation": [points.ravel().tolist()],
    }
