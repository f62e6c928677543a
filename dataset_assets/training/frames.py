"""Which frames of a video a bucket gets: evenly spread, or by policy if there are too few."""

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

#: What a video with fewer frames than its bucket gets.
SHORT_VIDEOS = ("repeat", "pad", "drop")


def choose_frames(available: int, wanted: int, short_videos: str = "repeat") -> list[int]:
    """Return the numbers of the frames of a sample, ascending but where a video is repeated.

    Args:
        available: frames of the video.
        wanted: frames of the bucket.
        short_videos: for a video with fewer frames: "repeat" plays it again from its start, "pad"
            holds its last frame, "drop" leaves the sample out.

    Returns:
        `wanted` numbers. The first and the last frame are among them if the video is long enough.

    Raises:
        SampleError: the video is too short, and `short_videos` is "drop".
        ConfigurationError: an argument is invalid.

    Example:
        >>> choose_frames(100, 4)
        [0, 33, 66, 99]
        >>> choose_frames(3, 5), choose_frames(3, 5, "pad")
        ([0, 1, 2, 0, 1], [0, 1, 2, 2, 2])
    """
    checks.integer("available", available, 1)
    checks.integer("wanted", wanted, 1)
    checks.one_of("short_videos", short_videos, SHORT_VIDEOS)
    if available >= wanted:
        # in integers, since floats may fall below a whole number
        return [number * (available - 1) // max(wanted - 1, 1) for number in range(wanted)]
    if short_videos == "drop":
        raise SampleError(
            Cause.VIDEO_TOO_SHORT,
            f"expected at least {wanted} frames, got {available}; choose 'repeat' or 'pad' for "
            "short_videos, or a bucket with fewer frames",
        )
    if short_videos == "repeat":
        return [number % available for number in range(wanted)]
    return [min(number, available - 1) for number in range(wanted)]


def frames_at_rate(duration_s: float, rate: float) -> list[float]:
    """Return the times of frames for a number of frames a second, from 0 on.

    Args:
        duration_s: of the video, in seconds.
        rate: frames a second, above 0.

    Raises:
        ConfigurationError: the duration or the rate is not above 0.
    """
    if not duration_s > 0 or not rate > 0:
        raise ConfigurationError(
            f"expected a duration and a rate above 0, got {duration_s!r} s and {rate!r}"
        )
    return [number / rate for number in range(max(1, int(duration_s * rate)))]
