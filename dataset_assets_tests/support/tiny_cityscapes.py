"""A small Cityscapes, in archives that are laid out exactly as the published ones."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 32
CITIES = {"train": ("aachen", "bad-honnef"), "val": ("frankfurt",), "test": ("berlin",)}
EXTRA_CITIES = {"train_extra": ("augsburg",)}


def write_cityscapes(folder, *, images=3, seed=0):
    """Write the four archives that staging reads, and return the folder. `images` per city."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    _write_pair(
        folder,
        "leftImg8bit_trainvaltest.zip",
        "gtFine_trainvaltest.zip",
        "gtFine",
        CITIES,
        images,
        rng,
    )
    _write_pair(
        folder, "leftImg8bit_trainextra.zip", "gtCoarse.zip", "gtCoarse", EXTRA_CITIES, images, rng
    )
    return folder


def packages(folder):
    """Return name -> package number for every archive of a folder."""
    return {path.name: number for number, path in enumerate(sorted(Path(folder).glob("*.zip")), 1)}


def _write_pair(folder, images_name, labels_name, kind, cities, images, rng):
    with (
        zipfile.ZipFile(folder / images_name, "w") as image_archive,
        zipfile.ZipFile(folder / labels_name, "w", zipfile.ZIP_DEFLATED) as labels,
    ):
        for archive in (image_archive, labels):
            _add(archive, "README", b"readme")
            _add(archive, "license.txt", b"license")
        for split, names in cities.items():
            for city in names:
                for number in range(images):
                    _add_image(
                        image_archive,
                        labels,
                        kind,
                        f"{split}/{city}/{city}_{number:06}_{19 + number:06}",
                        rng,
                    )


def _add_image(image_archive, labels, kind, stem, rng):
    pixels = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    ids = np.repeat(np.repeat(rng.integers(0, 34, (HEIGHT // 8, WIDTH // 8), np.uint8), 8, 0), 8, 1)
    instances = ids.astype(np.uint16) * 1000
    polygons = {
        "imgHeight": HEIGHT,
        "imgWidth": WIDTH,
        "objects": [{"label": "road", "polygon": [[0, 0], [8, 0], [8, 8]]}],
    }
    _add(image_archive, f"leftImg8bit/{stem}_leftImg8bit.png", _png(pixels))
    _add(labels, f"{kind}/{stem}_{kind}_color.png", _png(np.stack([ids] * 3, axis=2)))
    _add(labels, f"{kind}/{stem}_{kind}_instanceIds.png", _png(instances))
    _add(labels, f"{kind}/{stem}_{kind}_labelIds.png", _png(ids))
    _add(labels, f"{kind}/{stem}_{kind}_polygons.json", json.dumps(polygons).encode())


def _png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def _add(archive, name, data):
    info = zipfile.ZipInfo(name)
    info.compress_type = archive.compression
    archive.writestr(info, data)
