"""A small ImageNet, in the archive and with the tables that Kaggle publishes."""

import io
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SYNSETS = {
    "n01440764": "tench, Tinca tinca",
    "n01443537": "goldfish, Carassius auratus",
    "n01484850": "great white shark, white shark",
}
ARCHIVE = "imagenet_object_localization_patched2019.tar.gz"
#: published with the wrong name or colours
PNG_IMAGE, CMYK_IMAGE = "n01440764_2", "n01443537_2"


def write_imagenet(folder, *, images=4, seed=0, kind="tar.gz"):
    """Write the archive and the tables.

    Args:
        folder: where.
        images: per class in train; as many in all in val and in test.
        seed: of the pixels.
        kind: of the archive: "tar.gz", "tar", "zip", or "nested", a tar.gz inside a zip.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    members = dict(_members(images, np.random.default_rng(seed)))
    tables = _tables(images)
    if kind == "nested":
        with zipfile.ZipFile(folder / "imagenet-object-localization-challenge.zip", "w") as outer:
            for name, text in tables.items():
                outer.writestr(name, text)
            outer.writestr(ARCHIVE, _tar(members, "w:gz"))
        return folder
    for name, text in tables.items():
        (folder / name).write_text(text)
    if kind == "zip":
        with zipfile.ZipFile(folder / "imagenet.zip", "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        (folder / (ARCHIVE if kind == "tar.gz" else "imagenet.tar")).write_bytes(
            _tar(members, "w:gz" if kind == "tar.gz" else "w")
        )
    return folder


def _members(images, rng):
    for wnid in SYNSETS:
        for number in range(images):
            name = f"{wnid}_{number}"
            yield f"ILSVRC/Annotations/CLS-LOC/train/{wnid}/{name}.xml", b"<annotation/>"
            yield f"ILSVRC/Data/CLS-LOC/train/{wnid}/{name}.JPEG", _image(name, rng)
    for part in ("val", "test"):
        for number in range(1, images + 1):
            yield f"ILSVRC/Data/CLS-LOC/{part}/ILSVRC2012_{part}_{number:08}.JPEG", _image("", rng)


def _image(name, rng):
    pixels = rng.integers(0, 256, (24, 32, 3), np.uint8)
    if name == PNG_IMAGE:
        return cv2.imencode(".png", pixels)[1].tobytes()
    if name == CMYK_IMAGE:
        file = io.BytesIO()
        Image.fromarray(pixels).convert("CMYK").save(file, "JPEG")
        return file.getvalue()
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def _tables(images):
    wnids = list(SYNSETS)
    train = [f"{wnid}_{number},{wnid} 1 2 30 20 " for wnid in wnids for number in range(images)]
    val = [
        f"ILSVRC2012_val_{number:08},{val_wnid(number)} 0 0 10 10 {wnids[0]} 5 5 9 9 "
        for number in range(1, images + 1)
    ]
    return {
        "LOC_synset_mapping.txt": "".join(f"{wnid} {names}\n" for wnid, names in SYNSETS.items()),
        "LOC_train_solution.csv": "\n".join(["ImageId,PredictionString", *train, ""]),
        "LOC_val_solution.csv": "\n".join(["ImageId,PredictionString", *reversed(val), ""]),
        "LOC_sample_submission.csv": "ImageId,PredictionString\n",
    }


def val_wnid(number):
    """Return the class of a validation image."""
    return list(SYNSETS)[-number % len(SYNSETS)]


def _tar(members, mode):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()
