"""A sample as a transform sees it: the bytes of its members as stored, and ways to decode them.

What a transform returns is what `collate` gets; both are plain callables, so that they run in any worker process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets.images.decode import decode
from dataset_assets.images.header import read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """One sample, read and not yet decoded."""

    key: str
    index: int  # among all samples of all sources of the loader, in the order of the sources
    source: int  # which of the sources it is of
    epoch: int
    extension: str  # of the payload
    payload: bytes
    parts: Mapping[str, bytes] = field(
        default_factory=dict
    )  # by extension: "seg.png"; those that `LoaderOptions.parts` names and the sample has
    columns: Mapping[str, Any] = field(
        default_factory=dict
    )  # those that `LoaderOptions.columns` names

    def image(self) -> NDArray[np.uint8]:
        """Return the image, (H, W, 3) uint8, RGB, as stored: EXIF rotation is not applied, since label maps are not rotated either.

        Raises:
            SampleError: it can not be decoded.
        """
        try:
            pixels, _ = decode(self.payload, read_header(self.payload))
        except RefusedImage as exc:
            raise SampleError(exc.cause, str(exc)) from exc
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB)  # type: ignore[no-any-return]

    def labels(self, part: str = "seg.png") -> NDArray[Any]:
        """Return a label map, (H, W) uint8 or uint16, with the label ids of the dataset.

        Raises:
            SampleError: the sample has none, or it can not be decoded.
        """
        body = self.parts.get(part)
        if body is None:
            raise SampleError(
                Cause.DECODE_ERROR, f"no {part}; it has {', '.join(self.parts) or 'no parts'}"
            )
        try:
            labels: NDArray[Any] | None = cv2.imdecode(
                np.frombuffer(body, np.uint8), cv2.IMREAD_UNCHANGED
            )
        except cv2.error:
            labels = None
        if labels is None or labels.ndim != 2:
            raise SampleError(Cause.DECODE_ERROR, f"{part} is not a PNG of one channel")
        return labels


class Transform(Protocol):
    """Makes arrays of a sample. Picklable where workers are not forked."""

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return the arrays (or numbers) of one sample.

        `rng` depends on seed, epoch and the place of the sample in the epoch, and on nothing else: not on workers or ranks.

        Raises:
            SampleError: the sample is bad; `LoaderOptions.bad_samples` says what happens. Any other exception ends the epoch.
        """


class Collate(Protocol):
    """Makes a batch of what the transform returned for each of its samples."""

    def __call__(self, samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> Any:
        """Return the batch. `rng` depends on seed, epoch and the place of the batch's first sample: for mixup and cutmix."""
