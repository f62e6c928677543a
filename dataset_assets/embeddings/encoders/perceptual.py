"""`perceptual`: what an image looks like from afar, without weights and without torch.

Two fields for each image:

* `embedding`, 216 numbers of length 1: the luminance in 12 x 12 cells, then both color differences
  in 6 x 6 cells, each part without its mean. The inner product of two images is their similarity.
  Encoding an image again, resizing it, a narrow crop or a small watermark change it little.
* `phash`, 64 bits in 8 bytes: the signs of the 8 x 8 lowest frequencies of the luminance around
  their median, as https://www.phash.org describes it. The distance of two images is the number of
  bits in which they differ.

Mirrored or rotated images are different images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dataset_assets.embeddings.encoder import Field, Medium, Prepared
from dataset_assets.embeddings.images import RgbPixels, decode_rgb

_LUMA_CELLS = 12
_CHROMA_CELLS = 6
_CHROMA_WEIGHT = 1.0
_HASH_PX = 32
_HASH_SIDE = 8
#: JPEGs are decoded smaller, but to at least twice this many px a side.
_LEAST_PX = 64
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptualOptions:
    """No options: descriptors of different sets can always be compared."""


class Encoder:
    """Describes images by their coarse luminance and color."""

    options_class: ClassVar[type] = PerceptualOptions
    medium: Medium = "image"

    def __init__(self, options: PerceptualOptions | None = None) -> None:
        self.options = options or PerceptualOptions()

    @property
    def fields(self) -> Mapping[str, Field]:
        """The descriptor and the hash."""
        size = _LUMA_CELLS**2 + 2 * _CHROMA_CELLS**2
        return {"embedding": Field("F32", (size,)), "phash": Field("U8", (_HASH_SIDE**2 // 8,))}

    @property
    def device(self) -> str:
        """Always the CPU."""
        return "cpu"

    def identity(self) -> Mapping[str, Any]:
        """Return the version of the descriptor."""
        return {"encoder": "perceptual", "version": _VERSION}

    def prepare(self, payload: bytes | None, caption: str | None) -> Prepared:
        """Decode an image and describe it."""
        del caption
        pixels = decode_rgb(payload, least_px=_LEAST_PX)
        return Prepared((_describe(pixels), _hash(pixels)))

    def encode(self, batch: Sequence[Prepared]) -> Mapping[str, NDArray[Any]]:
        """Stack what `prepare` has computed."""
        return {
            "embedding": np.stack([each.data[0] for each in batch]),
            "phash": np.stack([each.data[1] for each in batch]),
        }


def _describe(pixels: RgbPixels) -> NDArray[np.float32]:
    import cv2

    cells = 2 * _LUMA_CELLS
    small = cv2.resize(pixels, (cells, cells), interpolation=cv2.INTER_AREA).astype(np.float32)
    red, green, blue = (small[..., channel] for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = [
        _cells(luma, _LUMA_CELLS),
        _CHROMA_WEIGHT * _cells(blue - luma, _CHROMA_CELLS),
        _CHROMA_WEIGHT * _cells(red - luma, _CHROMA_CELLS),
    ]
    found = np.concatenate(parts)
    norm = float(np.linalg.norm(found))
    # An image of one color has no structure: its descriptor says so instead of amplifying noise.
    return (found / max(norm, 1.0)).astype(np.float32)


def _cells(plane: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    import cv2

    small: NDArray[np.float32] = cv2.resize(plane, (cells, cells), interpolation=cv2.INTER_AREA)
    centered: NDArray[np.float32] = small.ravel() - small.mean()
    return centered


def _hash(pixels: RgbPixels) -> NDArray[np.uint8]:
    import cv2

    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_HASH_PX, _HASH_PX), interpolation=cv2.INTER_AREA)
    frequencies = cv2.dct(small.astype(np.float32))[:_HASH_SIDE, :_HASH_SIDE].ravel()
    # The first one is the mean brightness.
    bits = frequencies > np.median(frequencies[1:])
    return np.packbits(bits)
