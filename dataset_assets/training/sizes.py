"""Sizes of samples before they are reshaped, and the bucket that follows from them."""

from typing import NamedTuple

from dataset_assets.images.header import ImageHeader, read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.training.buckets import Bucket, choose_bucket, without_upscaling
from dataset_assets.training.frames import choose_frames
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.orientation import read_orientation, swaps_sides
from dataset_assets.training.video import read_video_header


class SampleSize(NamedTuple):
    """Size of a sample as viewers show it. Images have one frame."""

    frames: int
    height: int
    """In pixels."""
    width: int


def measure(payload: bytes, medium: str) -> SampleSize:
    """Read the size of a sample. The pixels of an image are not decoded.

    Args:
        payload: the file.
        medium: "image" or "video".

    Raises:
        SampleError: it is no image, or no video.
        MissingDependency: it is a video, and PyAV is not installed.
    """
    if medium == "video":
        video = read_video_header(payload)
        return SampleSize(video.frames, video.height, video.width)
    try:
        header = read_header(payload)
    except RefusedImage as exc:
        raise SampleError(exc.cause, str(exc)) from exc
    return upright_size(header, read_orientation(payload, header))


def upright_size(header: ImageHeader, orientation: int) -> SampleSize:
    """Return the size of an image as viewers show it."""
    if swaps_sides(orientation):
        return SampleSize(1, header.width, header.height)
    return SampleSize(1, header.height, header.width)


def assign_bucket(size: SampleSize, medium: str, options: SampleOptions) -> Bucket:
    """Return the bucket of a sample.

    Raises:
        SampleError: by the options it has none: it is too small, or too short.
    """
    buckets = options.buckets(medium)
    if not options.upscale:
        fitting = without_upscaling(size.height, size.width, buckets)
        if not fitting:
            raise SampleError(
                Cause.IMAGE_TOO_SMALL,
                f"expected to fill a bucket, got {size.width} x {size.height} pixels; add a "
                "smaller bucket, or set upscale",
            )
        buckets = fitting
    bucket = choose_bucket(*size, buckets)
    if medium == "video":
        choose_frames(size.frames, bucket.frames, options.short_videos)
    return bucket
