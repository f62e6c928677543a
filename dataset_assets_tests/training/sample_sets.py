"""Small sets of images and videos in memory, read by key."""

import cv2
import numpy as np

from dataset_assets.records.training import MediaSample
from dataset_assets_tests.training.videos import make_video


def make_image(height: int, width: int, value: int = 90, suffix: str = "png") -> bytes:
    """Return an image of one color: red is `value`, green 2, blue 200."""
    pixels = np.full((height, width, 3), (200, 2, value), np.uint8)
    return cv2.imencode(f".{suffix}", pixels)[1].tobytes()


class Payloads(dict[str, bytes]):
    """Key -> file; a reader of payloads that can be sent to other processes."""

    def __call__(self, sample: MediaSample) -> bytes:
        return self[sample.key]


def describe(key: str, medium: str = "image", **captions: str) -> MediaSample:
    suffix = "png" if medium == "image" else "mp4"
    return MediaSample(
        key, medium, f"memory/{key}.{suffix}", suffix, captions=captions or {"caption": f"of {key}"}
    )


def image_set(
    sizes: list[tuple[int, int]], prefix: str = "a"
) -> tuple[list[MediaSample], Payloads]:
    """Return images whose red value is their number, below 256."""
    payloads = Payloads(
        (f"{prefix}/{number:04d}", make_image(*size, value=number))
        for number, size in enumerate(sizes)
    )
    return [describe(key) for key in payloads], payloads


def video_set(
    frames: list[int], prefix: str = "v", size: tuple[int, int] = (64, 96)
) -> tuple[list[MediaSample], Payloads]:
    payloads = Payloads(
        (f"{prefix}/{number:04d}", make_video(count, size=size))
        for number, count in enumerate(frames)
    )
    return [describe(key, "video") for key in payloads], payloads
