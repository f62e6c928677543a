"""Images and label maps that are single objects of a bucket, as `CreateImageLoaders` reads them."""

import cv2
import numpy as np

DESCRIPTION = {
    "bucket": "imgml",
    "prefix": "data/lit",
    "image_path": "image",
    "image_pattern": "*.tif",
    "image_colorspace": "grayscale",
    "label_path": "image",
    "label_pattern": "*_cls.png",
    "label_in_image_path": True,
    "recursive": True,
}
OBJECTS = [
    {
        "id": number,
        "trainId": number % 3,
        "name": f"{number}",
        "category": "",
        "display": True,
        "color": [0, 0, 0],
    }
    for number in (1, 2, 3)
]
CLASSES = {
    "background": 0,
    "ignore": 255,
    "classes": 3,
    "objects": OBJECTS,
    "input_type": "float32",
    "input_channels": 1,
}


def write_pairs(store, *, count=10, image="{}.tif", label="{}_cls.png"):
    """Write pairs whose first pixel is the number of the pair."""
    rng = np.random.default_rng(0)
    for number in range(count):
        for name, top in ((image, 256), (label, 4)):
            key = name.format(f"scan {number}")
            pixels = rng.integers(0, top, (24, 30), np.uint8)
            pixels[0, 0] = number
            store.write(key, cv2.imencode(key[key.rindex(".") :], pixels)[1].tobytes())
