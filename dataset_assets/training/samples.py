"""Samples for training: from the bytes of an image or a video to arrays of the size of its bucket.

`make_sample` is a pure function of its arguments. `TrainingSamples` is a set of samples by position
and by key; order, batches and ranks are the business of loaders.
"""

from collections.abc import Callable
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import SourceError
from dataset_assets.images.codec import decode
from dataset_assets.images.header import read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.staged import SampleError
from dataset_assets.records.training import MediaSample
from dataset_assets.training.buckets import Bucket
from dataset_assets.training.captions import arrange_columns, choose_caption
from dataset_assets.training.draws import draw
from dataset_assets.training.frames import choose_frames
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.orientation import read_orientation, turn
from dataset_assets.training.reshape import (
    choose_decoding,
    normalize,
    reshape,
    reshape_video,
)
from dataset_assets.training.sizes import SampleSize, assign_bucket, measure, upright_size
from dataset_assets.training.video import Video

#: Reads the payload of a sample.
ReadPayload = Callable[[MediaSample], bytes]


class Samples(Protocol):
    """A sequence of samples, which may make them when asked."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def __getitem__(self, position: int, /) -> MediaSample:
        """Return a sample."""


def make_sample(
    sample: MediaSample,
    payload: bytes,
    bucket: Bucket,
    options: SampleOptions,
    *,
    epoch: int = 0,
) -> dict[str, Any]:
    """Make the arrays of a sample.

    Args:
        sample: its key, medium, captions and columns.
        payload: its file.
        bucket: the size that it gets.
        options: reshaping, captions and seed.
        epoch: caption and random crop depend on it, on the seed and on the key only.

    Returns:
        "image": (3, H, W), or "video": (F, 3, H, W), float32 in [-1, 1], RGB; "caption": text;
        "drops_embedding": see `Caption`; "key"; "original_height", "original_width" and
        "original_num_frames"; "bucket"; "columns": the other columns of the source.

    Raises:
        SampleError: it cannot be decoded.
        MissingColumn: it has none of the caption columns.
    """
    captions, columns = arrange_columns(sample.captions, sample.columns, options.captions)
    key = sample.key
    caption = choose_caption(captions, options.captions, key=key, seed=options.seed, epoch=epoch)
    top, left = (draw(side, key, seed=options.seed, epoch=epoch) for side in ("top", "left"))
    read = _read_video if sample.medium == "video" else _read_image
    pixels, size = read(payload, bucket, options, (top, left))
    return {
        sample.medium: pixels,
        "caption": caption.text,
        "drops_embedding": caption.drops_embedding,
        "key": key,
        "original_height": size.height,
        "original_width": size.width,
        "original_num_frames": size.frames,
        "bucket": bucket,
        "columns": columns,
    }


class TrainingSamples:
    """Samples by position and by key. Can be sent to other processes if `read` can.

    Args:
        samples: where they are.
        read: reads the payload of one.
        options: what to make of them.
        sizes: (samples, 3) frames, height and width of each, where they are known. None: each is
            measured when it is loaded.

    Example:
        >>> samples = TrainingSamples(listed, read, SampleOptions(reshape_mode="center_crop"))
        >>> samples["a/0001"]["image"].shape, samples[0]["caption"]
        ((3, 512, 768), 'a goat')
    """

    def __init__(
        self,
        samples: Samples,
        read: ReadPayload,
        options: SampleOptions | None = None,
        sizes: NDArray[np.int64] | None = None,
    ) -> None:
        self.samples = samples
        self.options = options or SampleOptions()
        self.sizes = sizes
        self._read = read
        self._positions: dict[str, int] | None = None

    def with_options(self, options: SampleOptions) -> "TrainingSamples":
        """Return the same samples with other buckets, captions or reshaping."""
        return TrainingSamples(self.samples, self._read, options, self.sizes)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, sample: int | str) -> dict[str, Any]:
        """Return a sample of epoch 0, by position or by key; see `make_sample`.

        Raises:
            IndexError: there is no such position.
            SourceError: there is no such key.
            SampleError: it cannot be decoded, or has no bucket.
        """
        position = self.position_of(sample) if isinstance(sample, str) else sample
        if not -len(self) <= position < len(self):
            raise IndexError(f"expected a position below {len(self)}, got {position}")
        return self.load(position % len(self))

    def load(self, position: int, epoch: int = 0) -> dict[str, Any]:
        """Return a sample as it is in an epoch; see `make_sample`."""
        return self.make(position, self.read(position), epoch)

    def read(self, position: int) -> bytes:
        """Return the payload of a sample."""
        return self._read(self.samples[position])

    def make(self, position: int, payload: bytes, epoch: int = 0) -> dict[str, Any]:
        """Make the arrays of a sample whose payload was read; see `make_sample`."""
        sample = self.samples[position]
        size = self._size(position) or measure(payload, sample.medium)
        bucket = assign_bucket(size, sample.medium, self.options)
        return make_sample(sample, payload, bucket, self.options, epoch=epoch)

    def buckets(self) -> list[Bucket | SampleError]:
        """Return the bucket of each sample, or why it has none; payloads are read if need be."""
        known: dict[tuple[str, SampleSize], Bucket | SampleError] = {}
        found: list[Bucket | SampleError] = []
        for position, medium in enumerate(self.media()):
            try:
                size = self._size(position) or measure(self.read(position), medium)
            except SampleError as exc:
                found.append(exc)
                continue
            if (medium, size) not in known:
                known[medium, size] = _bucket_or_error(size, medium, self.options)
            found.append(known[medium, size])
        return found

    def keys(self) -> list[str]:
        """Return the key of each sample."""
        return [self.samples[position].key for position in range(len(self))]

    def media(self) -> list[str]:
        """Return the medium of each sample."""
        return [self.samples[position].medium for position in range(len(self))]

    @property
    def digest(self) -> str:
        """Hex; equal for equal sets. Made of keys, media and the sizes of payloads."""
        listed = (self.samples[position] for position in range(len(self)))
        return fingerprint_of([[each.key, each.medium, each.size] for each in listed])

    def position_of(self, key: str) -> int:
        """Return the position of a key.

        Raises:
            SourceError: there is no such key.
        """
        if self._positions is None:
            self._positions = {each: number for number, each in enumerate(self.keys())}
        if key not in self._positions:
            raise SourceError(
                f"expected one of {len(self)} keys, such as {next(iter(self._positions), '')!r}, "
                f"got {key!r}"
            )
        return self._positions[key]

    def _size(self, position: int) -> SampleSize | None:
        return None if self.sizes is None else SampleSize(*map(int, self.sizes[position]))


def _bucket_or_error(size: SampleSize, medium: str, options: SampleOptions) -> Bucket | SampleError:
    try:
        return assign_bucket(size, medium, options)
    except SampleError as exc:
        return exc


def _read_image(
    payload: bytes, bucket: Bucket, options: SampleOptions, corner: tuple[float, float]
) -> tuple[NDArray[np.float32], SampleSize]:
    try:
        header = read_header(payload)
        orientation = read_orientation(payload, header)
        size = upright_size(header, orientation)
        reduction = 1
        if header.format == "jpeg":
            reduction = choose_decoding(size.height, size.width, bucket, options.reshape_mode)
        pixels, _ = decode(payload, header, reduction=reduction)
    except RefusedImage as exc:
        raise SampleError(exc.cause, str(exc)) from exc
    pixels = turn(pixels, orientation)
    is_gray = pixels.ndim == 2
    rgb = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if is_gray else cv2.COLOR_BGR2RGB)
    return normalize(reshape(rgb, bucket, options.reshape_mode, corner)), size


def _read_video(
    payload: bytes, bucket: Bucket, options: SampleOptions, corner: tuple[float, float]
) -> tuple[NDArray[np.float32], SampleSize]:
    with Video(payload) as video:
        header = video.header
        numbers = choose_frames(header.frames, bucket.frames, options.short_videos)
        # a video that is repeated is decoded once
        distinct = sorted(set(numbers))
        shaped = reshape_video(
            video.frames_at(distinct),
            bucket._replace(frames=len(distinct)),
            options.reshape_mode,
            corner,
        )
    if len(distinct) < len(numbers):
        shaped = shaped[np.searchsorted(distinct, numbers)]
    return shaped, SampleSize(header.frames, header.height, header.width)
