"""Images with planted near-duplicates, and distinct images that look alike.

Originals are photographs of the demo's packages and parts of them that share little, textures,
documents, icons, drawn landscapes and plain colors. `EDITS` makes the near-duplicates.
"""

from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

#: Color photographs in the wheels of scikit-image and scikit-learn, and gray ones.
PHOTOGRAPHS = (
    "skimage/data/astronaut.png",
    "skimage/data/chelsea.png",
    "skimage/data/coffee.png",
    "skimage/data/hubble_deep_field.jpg",
    "skimage/data/ihc.png",
    "skimage/data/motorcycle_left.png",
    "skimage/data/retina.jpg",
    "skimage/data/rocket.jpg",
    "skimage/data/camera.png",
    "skimage/data/coins.png",
    "skimage/data/moon.png",
    "sklearn/datasets/images/china.jpg",
    "sklearn/datasets/images/flower.jpg",
)
TEXTURES = ("skimage/data/brick.png", "skimage/data/grass.png", "skimage/data/gravel.png")
_PAPERS = ("skimage/data/page.png", "skimage/data/text.png")
_WORDS = [
    "the",
    "old",
    "red",
    "house",
    "near",
    "a",
    "small",
    "river",
    "people",
    "walking",
    "with",
    "their",
    "dog",
    "under",
    "high",
    "trees",
]


class Original(NamedTuple):
    """An image that is no near-duplicate of any other one."""

    name: str
    kind: str
    pixels: Image


def originals(count: int, seed: int = 0) -> Iterator[Original]:
    """Yield distinct images: every photograph and texture, then drawn ones up to `count`."""
    made = 0
    for original in _found():
        if made == count:
            return
        yield original
        made += 1
    draw = (("landscape", landscape), ("document", document), ("icon", icon))
    for number in range(count - made):
        kind, function = draw[number % len(draw)]
        yield Original(f"{kind}-{number}", kind, function(np.random.default_rng([seed, number])))


def _found() -> Iterator[Original]:
    for path in PHOTOGRAPHS:
        pixels = photograph(path)
        yield Original(Path(path).stem, "photo", pixels)
        for name, part in parts(pixels, side=max(160, min(pixels.shape[:2]) // 2), share=0.25):
            yield Original(f"{Path(path).stem}{name}", "part", part)
    for kind, paths in (("texture", TEXTURES), ("paper", _PAPERS)):
        for path in paths:
            pixels = photograph(path)
            for name, part in parts(pixels, side=min(150, *pixels.shape[:2]), share=0.25):
                yield Original(f"{Path(path).stem}{name}", kind, part)
    for number, color in enumerate(((255, 255, 255), (0, 0, 0), (40, 90, 200), (60, 160, 60))):
        yield Original(f"plain-{number}", "plain", np.full((200, 300, 3), color, np.uint8))


@cache
def photograph(path: str) -> Image:
    """Read a file of an installed package, BGR."""
    package, _, name = path.partition("/")
    spec = find_spec(package)
    assert spec is not None
    pixels = cv2.imread(str(Path(spec.submodule_search_locations[0], name)), cv2.IMREAD_COLOR)
    assert pixels is not None, path
    return pixels


def parts(image: Image, *, side: int, share: float) -> Iterator[tuple[str, Image]]:
    """Yield square parts in a grid whose neighbors share this part of their width."""
    step = max(1, round(side * (1 - share)))
    height, width = image.shape[:2]
    for top in range(0, height - side + 1, step):
        for left in range(0, width - side + 1, step):
            yield f"-{left}-{top}", image[top : top + side, left : left + side]


def landscape(rng: np.random.Generator) -> Image:
    """Draw octaves of noise in color, with the spectrum of a photograph."""
    height, width = 240, int(rng.integers(200, 400))
    image = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 8):
        noise = rng.standard_normal((2**octave, 2**octave, 3)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / 1.7**octave
    gray = image.mean(axis=2, keepdims=True)
    image = gray + 0.5 * (image - gray)
    return np.clip(128 + 70 * image + rng.uniform(-40, 40, 3), 0, 255).astype(np.uint8)


def document(rng: np.random.Generator) -> Image:
    """Draw lines of words on white paper."""
    page = np.full((420, 300, 3), 255, np.uint8)
    scale = float(rng.uniform(0.35, 0.6))
    step = int(30 * scale) + 6
    for baseline in range(30, 400, step):
        if rng.random() < 0.15:
            continue
        words = rng.choice(_WORDS, int(rng.integers(2, 9)))
        cv2.putText(page, " ".join(words), (15, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, 0, 1)
    return page


def icon(rng: np.random.Generator) -> Image:
    """Draw some shapes in plain colors."""
    image = np.full((128, 128, 3), rng.choice([255, 240, 20]), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        color = tuple(int(value) for value in rng.integers(0, 256, 3))
        x, y = (int(value) for value in rng.integers(30, 98, 2))
        size = int(rng.integers(12, 45))
        shape = rng.integers(0, 3)
        if shape == 0:
            cv2.circle(image, (x, y), size, color, -1)
        elif shape == 1:
            cv2.rectangle(image, (x - size, y - size), (x + size, y + size), color, -1)
        else:
            corners = np.array([[x, y - size], [x - size, y + size], [x + size, y + size]])
            cv2.fillPoly(image, [corners], color)
    return image


def encode(image: Image, extension: str = "jpg", quality: int = 90) -> bytes:
    """Encode as a file."""
    flag = {"jpg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}.get(extension)
    done, data = cv2.imencode(f".{extension}", image, [flag, quality] if flag is not None else [])
    assert done
    return bytes(data)


def resized(image: Image, ratio: float) -> Image:
    """Scale both sides."""
    method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, None, fx=ratio, fy=ratio, interpolation=method)


def cropped(image: Image, left: float, top: float, right: float, bottom: float) -> Image:
    """Cut these shares of the sides."""
    height, width = image.shape[:2]
    rows = slice(round(top * height), round(height * (1 - bottom)))
    return image[rows, round(left * width) : round(width * (1 - right))]


def watermarked(image: Image) -> Image:
    """Write across the image, half transparent."""
    marked = image.copy()
    height, width = image.shape[:2]
    scale = width / 220
    color = (255, 255, 255) if image.mean() < 128 else (60, 60, 60)
    line = max(1, round(2 * scale))
    place = (round(width * 0.1), round(height * 0.55))
    cv2.putText(marked, "SAMPLE (C)", place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, line)
    return cv2.addWeighted(image, 0.5, marked, 0.5, 0)


def corner_logo(image: Image) -> Image:
    """Put an opaque logo into a corner, an eighth of the width."""
    marked = image.copy()
    height, width = image.shape[:2]
    side = max(4, width // 8)
    cv2.rectangle(marked, (width - side, height - side), (width - 2, height - 2), (30, 30, 220), -1)
    return marked


def _jpeg(quality: int) -> Callable[[Image], bytes]:
    return lambda image: encode(image, quality=quality)


def _resize(ratio: float) -> Callable[[Image], bytes]:
    return lambda image: encode(resized(image, ratio))


def _crop(*shares: float) -> Callable[[Image], bytes]:
    return lambda image: encode(cropped(image, *shares))


#: Name -> a file that is a near-duplicate of an image.
EDITS: dict[str, Callable[[Image], bytes]] = {
    **{f"jpeg {quality}": _jpeg(quality) for quality in (30, 50, 75, 95)},
    "webp 50": lambda image: encode(image, "webp", 50),
    "png": lambda image: encode(image, "png"),
    **{f"resize {ratio}": _resize(ratio) for ratio in (0.3, 0.5, 0.75, 1.5, 2.0)},
    "crop 5 % (2.5 % a side)": _crop(0.025, 0.025, 0.025, 0.025),
    "crop 5 % of the left": _crop(0.05, 0, 0, 0),
    "crop 5 % of left and top": _crop(0.05, 0.05, 0, 0),
    "crop 5 % of every side": _crop(0.05, 0.05, 0.05, 0.05),
    "watermark": lambda image: encode(watermarked(image)),
    "corner logo": lambda image: encode(corner_logo(image)),
    "half size, quality 40, crop 5 %": lambda image: encode(
        resized(cropped(image, 0.025, 0.025, 0.025, 0.025), 0.5), quality=40
    ),
    "brighter": lambda image: encode(cv2.convertScaleAbs(image, alpha=1.1, beta=10)),
    "gray": lambda image: encode(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)),
}


def mirrored(image: Image) -> bytes:
    """Encode the image flipped left to right: by design not a near-duplicate."""
    return encode(cv2.flip(image, 1))
