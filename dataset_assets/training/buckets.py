"""Resolution buckets: the few sizes that samples are brought to, so that they fit into batches.

Images go to the bucket of the nearest aspect ratio. Videos first keep the buckets with the largest
number of frames that they can fill, then go by aspect ratio too. Where ratios are equally near, the
largest bucket wins, as in finetrainers 0.2.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError

#: Sides of the default buckets, in pixels.
DEFAULT_SIDES = (256, 320, 384, 480, 512, 576, 720, 768, 960, 1024, 1280, 1536)
#: Frames of the default buckets of videos.
DEFAULT_FRAMES = (49,)
MEDIA = ("image", "video")


class Bucket(NamedTuple):
    """A size of samples. Images have one frame."""

    frames: int
    height: int
    """In pixels."""
    width: int

    def __str__(self) -> str:
        return f"{self.frames}x{self.height}x{self.width}"

    @property
    def aspect(self) -> float:
        """Width divided by height."""
        return self.width / self.height


@cache
def default_buckets(medium: str) -> tuple[Bucket, ...]:
    """Return the buckets of a medium for which none are given: 12 heights times 12 widths.

    Args:
        medium: "image" or "video".

    Raises:
        ConfigurationError: the medium is unknown.
    """
    checks.one_of("medium", medium, MEDIA)
    frames = DEFAULT_FRAMES if medium == "video" else (1,)
    return tuple(
        Bucket(count, height, width)
        for count in frames
        for height in DEFAULT_SIDES
        for width in DEFAULT_SIDES
    )


def parse_buckets(name: str, values: Any, medium: str) -> tuple[Bucket, ...]:
    """Check the buckets that a user gives.

    Args:
        name: option, for messages.
        values: lists (height, width) for images, (frames, height, width) for videos; None: the
            default buckets.
        medium: "image" or "video".

    Returns:
        The buckets in the order given, each once.

    Raises:
        ConfigurationError: there are none, or one is not of that form.

    Example:
        >>> parse_buckets("buckets", [[512, 768]], "image")
        (Bucket(frames=1, height=512, width=768),)
    """
    checks.one_of("medium", medium, MEDIA)
    if values is None:
        return default_buckets(medium)
    is_list = isinstance(values, Sequence) and not isinstance(values, str | bytes)
    if not is_list or not values:
        raise ConfigurationError(f"{name}: expected a list of buckets, got {values!r}")
    return tuple(dict.fromkeys(_parse_bucket(name, value, medium) for value in values))


def choose_bucket(frames: int, height: int, width: int, buckets: Sequence[Bucket]) -> Bucket:
    """Return the bucket for a sample of this size.

    Args:
        frames: frames of a video, 1 for an image.
        height: in pixels.
        width: in pixels.
        buckets: at least one.

    Raises:
        ConfigurationError: there are no buckets, or a number is below 1.

    Example:
        >>> choose_bucket(1, 1080, 1920, default_buckets("image"))
        Bucket(frames=1, height=720, width=1280)
    """
    for name, value in (("frames", frames), ("height", height), ("width", width)):
        checks.integer(name, value, 1)
    if not buckets:
        raise ConfigurationError("buckets: expected at least one, got none")
    count = _nearest_frames(frames, (bucket.frames for bucket in buckets))
    aspect = width / height
    usable = (bucket for bucket in buckets if bucket.frames == count)
    return min(usable, key=lambda each: (abs(each.aspect - aspect), -each.height, -each.width))


def without_upscaling(height: int, width: int, buckets: Iterable[Bucket]) -> tuple[Bucket, ...]:
    """Return the buckets that a sample fills without being enlarged; often none for a small one."""
    return tuple(each for each in buckets if each.height <= height and each.width <= width)


def _nearest_frames(frames: int, counts: Iterable[int]) -> int:
    """Return the largest count that a video can fill, or else the nearest, which is the least."""
    distinct = set(counts)
    return max((count for count in distinct if count <= frames), default=min(distinct))


def _parse_bucket(name: str, value: Any, medium: str) -> Bucket:
    sides = ("frames", "height", "width") if medium == "video" else ("height", "width")
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not is_list or len(value) != len(sides):
        expected = ", ".join(sides)
        raise ConfigurationError(
            f"{name}: expected ({expected}) for each bucket of {medium}s, got {value!r}"
        )
    checked = [
        checks.integer(f"{name}: {side}", number, 1)
        for side, number in zip(sides, value, strict=True)
    ]
    return Bucket(*checked) if medium == "video" else Bucket(1, *checked)
