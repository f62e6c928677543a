"""Samples -> batches: read and decoded by threads, in order; bad images are skipped and counted.

No exception of a bad image leaves this module: in a stream of mlx-data that prefetches, it would
end the process.
"""

import logging
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.mlx.pixels import Pixels, to_pixels
from dataset_assets.loaders.mlx.sources import BLOCK_SIZE, RawSample, StreamSource

logger = logging.getLogger(__name__)

Batch = dict[str, NDArray[Any]]

_MAX_NAMED = 10  # skipped samples of an epoch that get a line of their own in the log
_MAX_PROBED_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class _DecodedSample:
    """A sample, or why there is none."""

    name: str
    label: Any
    pixels: Pixels | None
    problem: str = ""


class BatchMaker:
    """Makes the batches of one epoch after the other."""

    def __init__(self, source: StreamSource, options: StreamOptions, *, shuffle: bool) -> None:
        self.epoch = options.epoch
        self.skipped = 0
        self._source = source
        self._options = options
        self._shuffle = shuffle
        self._mode = options.mode
        self._is_started = False

    def start_epoch(self) -> Iterator[Batch]:
        """Return the batches of the next epoch, or of the same one if none of them was taken."""
        self.seek(self.epoch + self._is_started)
        return self._make_batches()

    def seek(self, epoch: int) -> None:
        """Make this epoch next."""
        self.epoch = epoch
        self._is_started = False

    def _make_batches(self) -> Iterator[Batch]:
        self._is_started = True
        if self._mode == "auto":
            self._mode = _first_mode(self._source)
        with closing(self._good_samples()) as samples:
            while chunk := list(islice(samples, self._options.batch_size)):
                yield self._stack(chunk)

    def _good_samples(self) -> Generator[_DecodedSample, None, None]:
        before = self.skipped
        good = 0
        last = ""
        with closing(self._decode_all()) as samples:
            for sample in samples:
                if sample.pixels is not None:
                    good += 1
                    yield sample
                    continue
                self.skipped += 1
                last = f"{sample.name}: {sample.problem}"
                if self.skipped - before <= _MAX_NAMED:
                    logger.warning("skipped %s", last)
        skipped = self.skipped - before
        if skipped and not good:
            raise SourceError(
                f"none of the {skipped} images can be decoded, the last is {last}; expected files "
                "that Pillow reads"
            )
        if skipped:
            logger.warning(
                "epoch %d: skipped %d of %d samples", self.epoch, skipped, skipped + good
            )

    def _decode_all(self) -> Generator[_DecodedSample, None, None]:
        """Yield all samples in order, while threads work ahead."""
        options = self._options
        ahead = max(options.threads, options.prefetch * options.batch_size // BLOCK_SIZE)
        pending: deque[Future[list[_DecodedSample]]] = deque()
        pool = ThreadPoolExecutor(options.threads, thread_name_prefix="mlx-stream")
        try:
            for block in self._source.blocks(self.epoch, shuffle=self._shuffle):
                pending.append(pool.submit(self._decode_block, block))
                if len(pending) > ahead:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _decode_block(self, block: Any) -> list[_DecodedSample]:
        size = self._options.image_size
        return [_decode(sample, self._mode, size) for sample in self._source.read(block)]

    def _stack(self, samples: list[_DecodedSample]) -> Batch:
        images = [sample.pixels for sample in samples if sample.pixels is not None]
        batch = {"image": _stack_images(images, self._options)}
        if self._source.has_labels:
            batch["label"] = stack_labels([sample.label for sample in samples])
        return batch


def _decode(sample: RawSample, mode: str, size: int | None) -> _DecodedSample:
    try:
        pixels = to_pixels(sample.image, mode=mode, size=size)
    except Exception as exc:  # noqa: BLE001 - Pillow's plug-ins raise anything for damaged files
        return _DecodedSample(sample.name, None, None, f"{type(exc).__name__}: {exc}")
    return _DecodedSample(sample.name, sample.label, pixels)


def _first_mode(source: StreamSource) -> str:
    """Return the mode of the first good image of the dataset, in whatever order the epoch is."""
    for block in islice(source.blocks(0, shuffle=False), _MAX_PROBED_BLOCKS):
        for sample in source.read(block):
            found = _decode(sample, "auto", None).pixels
            if found is not None:
                return "L" if found.ndim == 2 else "RGB"
    return "RGB"


def _stack_images(images: list[Pixels], options: StreamOptions) -> NDArray[Any]:
    """Return (B, H, W) or (B, H, W, 3).

    Smaller images have zeros on the right and below, as mlx-data pads.
    """
    if len({image.ndim for image in images}) > 1:
        raise ConfigurationError(
            "images of one batch have 2 and 3 dimensions: expected one kind; make the arrays of "
            "the dataset alike"
        )
    shape = tuple(map(max, zip(*(image.shape for image in images), strict=True)))
    is_equal = all(image.shape == shape for image in images)
    batch = (np.empty if is_equal else np.zeros)((len(images), *shape), options.dtype)
    divisor = batch.dtype.type(options.divisor)
    for target, image in zip(batch, images, strict=True):
        part = target[tuple(map(slice, image.shape))]
        if options.divisor == 1:
            part[...] = image
        else:
            np.divide(image, divisor, out=part, dtype=batch.dtype, casting="unsafe")
    return batch


def stack_labels(values: list[Any]) -> NDArray[Any]:
    """Return labels as an array that mlx-data can hold.

    Integers and booleans become int64, other numbers float64 or float32, texts their UTF-8 bytes
    padded with 0 (int8). A missing label is -1, NaN or an empty text.

    Raises:
        ConfigurationError: they are something else.
    """
    known = next((value for value in values if value is not None), 0)
    if isinstance(known, str):
        texts = np.array([(value or "").encode() for value in values])
        # mlx-data 0.1 makes arrays of width 0 of NumPy's own bytes
        return texts.view(np.int8).reshape(len(values), -1)
    missing = np.nan if isinstance(known, float) else -1
    try:
        labels = np.array([missing if value is None else value for value in values])
    except ValueError as exc:
        raise ConfigurationError(
            "labels of one batch have different shapes: expected numbers or texts; choose another "
            f"label_key ({exc})"
        ) from exc
    if labels.dtype.kind in "bui":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        return labels.astype(np.float64 if labels.dtype.itemsize == 8 else np.float32)
    raise ConfigurationError(
        f"labels: expected numbers or texts, got {type(known).__name__}; choose another column, or "
        "label_key=None"
    )
