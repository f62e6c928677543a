"""A sample as a transform gets it: the bytes of its members, and methods that decode them.

`Transform` and `Collate` are what users write: plain callables that run in any worker process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.images.codec import decode
from dataset_assets.images.header import read_header
from dataset_assets.images.pixels import RefusedImage
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

#: Order of channels -> conversion from BGR and from gray, which `decode` returns.
_CONVERSIONS = {
    "rgb": (cv2.COLOR_BGR2RGB, cv2.COLOR_GRAY2RGB),
    "bgr": (None, cv2.COLOR_GRAY2BGR),
    "gray": (cv2.COLOR_BGR2GRAY, None),
}


def check_color(color: str) -> None:
    """Check the name of an order of channels.

    Raises:
        ConfigurationError: it is unknown.
    """
    checks.one_of("color", color, _CONVERSIONS)


@dataclass(frozen=True, slots=True)
class LoadedSample:
    """One sample, read but not decoded."""

    key: str
    index: int
    """Number among all samples of all sources, in the order of the sources."""
    source: int
    """Number of its source."""
    epoch: int
    extension: str
    """Extension of the payload."""
    payload: bytes
    parts: Mapping[str, bytes] = field(default_factory=dict)
    """Extension, such as "seg.png" -> bytes. Those of `LoaderOptions.parts` that it has."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """The columns of the index that `LoaderOptions.columns` names."""

    def image(self, color: str = "rgb") -> NDArray[np.uint8]:
        """Decode the image.

        EXIF rotation is not applied: label maps are not rotated either.

        Args:
            color: order of the channels, "rgb" or "bgr", or "gray".

        Returns:
            (H, W, 3) uint8, or (H, W) for "gray".

        Raises:
            SampleError: it cannot be decoded.
        """
        try:
            pixels, _ = decode(self.payload, read_header(self.payload))
        except RefusedImage as exc:
            raise SampleError(exc.cause, str(exc)) from exc
        code = _CONVERSIONS[color][pixels.ndim == 2]
        return pixels if code is None else cv2.cvtColor(pixels, code)

    def labels(self, part: str = "seg.png") -> NDArray[Any]:
        """Decode a label map.

        Returns:
            (H, W) uint8 or uint16, the label ids of the dataset.

        Raises:
            SampleError: the sample has no such part, or it cannot be decoded.
        """
        body = self.parts.get(part)
        if body is None:
            found = ", ".join(self.parts) or "no parts"
            raise SampleError(Cause.DECODE_ERROR, f"no {part}; it has {found}")
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
    """Makes arrays of a sample. Must be picklable if workers are not forked."""

    def __call__(self, sample: LoadedSample, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return the arrays or numbers of one sample.

        Args:
            sample: the sample.
            rng: depends on seed, epoch and the position of the sample in the epoch only, not on
                workers or ranks.

        Raises:
            SampleError: the sample is bad; `LoaderOptions.bad_samples` says what happens. Any other
                exception ends the epoch.
        """


class Collate(Protocol):
    """Makes a batch of what the transform returned for its samples."""

    def __call__(self, samples: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> Any:
        """Return the batch.

        Args:
            samples: results of the transform.
            rng: depends on seed, epoch and the position of the first sample only: for mixup and
                CutMix.
        """
