"""Read frames of videos by number or by time, with PyAV.

The packets of a file are listed once, which decodes nothing, so that the number of frames and the
time of each are exact where headers lack or round them. Frames are then decoded from the nearest
keyframe before each, and handed out one at a time: memory does not grow with the video. Frames are
turned as players show them.

https://pyav.basswood-io.com/docs/stable/
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, MissingDependency
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError

Frame = NDArray[np.uint8]


class UnreadableVideo(SampleError):
    """A video that cannot be decoded. Its cause is NOT_VIDEO or DECODE_ERROR."""


class VideoHeader(NamedTuple):
    """What is known of a video before its frames are decoded."""

    frames: int
    height: int
    """In pixels, as shown."""
    width: int
    duration_s: float
    frame_rate: float
    """Frames a second, on average."""


class _Timeline(NamedTuple):
    """Times of frames in units of the stream, ascending."""

    times: list[int]
    keyframes: list[int]
    unit_s: float
    end: int

    @property
    def can_seek(self) -> bool:
        """Whether times tell frames apart."""
        return bool(self.keyframes)


class Video:
    """An open video. Use it in a `with` block, in one thread.

    Args:
        source: the bytes of a file, or a seekable binary stream, which stays open.

    Raises:
        UnreadableVideo: it is no video, truncated or damaged.
        MissingDependency: PyAV is not installed.

    Example:
        >>> with Video(Path("clip.mp4").read_bytes()) as video:
        ...     first, last = video.frames_at([0, video.header.frames - 1])
        >>> first.shape
        (720, 1280, 3)
    """

    def __init__(self, source: bytes | BinaryIO) -> None:
        self._av = _load_av()
        self._source = BytesIO(source) if isinstance(source, bytes | bytearray) else source
        self._container: Any = None
        self._frames: Iterator[Any] = iter(())
        self._last: Any = None  # the frame that was decoded last
        self._position = -1  # its time; its number, if frames have no times
        try:
            with _translated(self._av, Cause.NOT_VIDEO):
                self._open()
                self._timeline = self._list_packets()
            with _translated(self._av, Cause.DECODE_ERROR):
                self._restart()
        except BaseException:
            self.close()
            raise
        height, width = _upright(self._last).shape[:2]
        timeline = self._timeline
        frames = len(timeline.times)
        duration_s = (timeline.end - timeline.times[0]) * timeline.unit_s
        rate = frames / duration_s if duration_s > 0 else 0.0
        self.header = VideoHeader(frames, height, width, duration_s, rate)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the decoder."""
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            self._container = None

    def frames_at(self, numbers: Sequence[int]) -> Iterator[Frame]:
        """Yield frames by number, in the order asked for.

        Ascending numbers are decoded in one pass. A number may occur again.

        Args:
            numbers: from 0 to `header.frames` - 1.

        Yields:
            (H, W, 3) uint8, RGB.

        Raises:
            UnreadableVideo: the file is damaged at that place.
            ConfigurationError: there is no such frame.
        """
        for number in numbers:
            if not 0 <= number < self.header.frames:
                raise ConfigurationError(
                    f"frame: expected a number from 0 to {self.header.frames - 1}, got {number}"
                )
        for number in numbers:
            with _translated(self._av, Cause.DECODE_ERROR):
                pixels = _upright(self._decode(number))
            yield pixels

    def frames_at_times(self, times_s: Sequence[float]) -> Iterator[Frame]:
        """Yield the frames that a player shows at some times.

        Args:
            times_s: seconds after the first frame, less than `header.duration_s`.

        Yields:
            (H, W, 3) uint8, RGB.

        Raises:
            UnreadableVideo: the file is damaged at that place.
            ConfigurationError: a time is outside the video.
        """
        yield from self.frames_at([self.number_at(time_s) for time_s in times_s])

    def number_at(self, time_s: float) -> int:
        """Return the number of the frame that is shown at a time, in seconds after the first.

        Raises:
            ConfigurationError: the time is outside the video.
        """
        if not 0 <= time_s < max(self.header.duration_s, math.ulp(0)):
            raise ConfigurationError(
                f"time: expected seconds from 0 to below {self.header.duration_s}, got {time_s}"
            )
        times = self._timeline.times
        # times are rounded to units: a frame at 0.04 s may be stored a trifle later
        place = times[0] + time_s / self._timeline.unit_s + 1e-6
        return bisect_right(times, place) - 1

    def _open(self) -> None:
        if self._container is not None:
            self._container.close()
        self._source.seek(0)
        self._container = self._av.open(self._source, metadata_errors="ignore")
        if not self._container.streams.video:
            raise UnreadableVideo(Cause.NOT_VIDEO, "expected a video stream, got none")
        self._stream = self._container.streams.video[0]

    def _list_packets(self) -> _Timeline:
        """Return the times of all frames. Nothing is decoded."""
        packets = [
            (packet.pts, packet.is_keyframe, packet.duration or 0)
            for packet in self._container.demux(self._stream)
            if packet.size and not packet.is_discard
        ]
        if not packets:
            raise UnreadableVideo(Cause.NOT_VIDEO, "expected frames, got none")
        if len(packets) < self._stream.frames:
            raise UnreadableVideo(
                Cause.DECODE_ERROR,
                f"expected {self._stream.frames} frames, got {len(packets)}; the file is truncated",
            )
        times = sorted({time for time, _, _ in packets if time is not None})
        if len(times) < len(packets):
            # AVI files lack times: frames are told by counting, and rates are what is known
            numbers = list(range(len(packets)))
            rate = float(self._stream.average_rate or 0)
            return _Timeline(numbers, [], 1 / rate if rate else 0.0, len(packets))
        keyframes = sorted(time for time, is_keyframe, _ in packets if is_keyframe)
        end = max(time + duration for time, _, duration in packets)
        if end == times[-1] and len(times) > 1:
            end += (times[-1] - times[0]) // (len(times) - 1)
        return _Timeline(times, keyframes, float(self._stream.time_base), end)

    def _restart(self) -> None:
        """Decode the first frame of the file."""
        self._open()
        self._frames = self._container.decode(self._stream)
        self._position = -1
        self._next_frame()

    def _next_frame(self) -> Any:
        frame = self._pull()
        if frame is None:
            raise UnreadableVideo(
                Cause.DECODE_ERROR,
                f"expected {len(self._timeline.times)} frames, got fewer; the file is damaged",
            )
        return frame

    def _pull(self) -> Any:
        """Return the next frame in playing order; None at the end."""
        frame = next(self._frames, None)
        if frame is not None:
            self._last = frame
            self._position = frame.pts if self._timeline.can_seek else self._position + 1
        return frame

    def _decode(self, number: int) -> Any:
        """Return a frame, decoding as few others as the file allows."""
        time = self._timeline.times[number]
        if self._position > time or self._skips_keyframe(time):
            self._go_to(time)
        while self._position < time:
            self._next_frame()
        if self._last.is_corrupt:  # decoders paint over what they cannot read
            raise UnreadableVideo(Cause.DECODE_ERROR, f"frame {number} is damaged")
        return self._last

    def _skips_keyframe(self, time: int) -> bool:
        """Tell whether decoding could start later than at the next frame."""
        return self._timeline.can_seek and self._keyframe_before(time) > self._position

    def _go_to(self, time: int) -> None:
        """Decode a frame that is not after a time."""
        if self._timeline.can_seek and self._keyframe_before(time) > self._timeline.times[0]:
            self._container.seek(self._keyframe_before(time), stream=self._stream)
            self._frames = self._container.decode(self._stream)
            # formats without an index may land too late
            if self._pull() is not None and self._position <= time:
                return
        self._restart()

    def _keyframe_before(self, time: int) -> int:
        keyframes = self._timeline.keyframes
        return keyframes[max(bisect_right(keyframes, time) - 1, 0)]


def read_video_header(source: bytes | BinaryIO) -> VideoHeader:
    """Return size, frames and times of a video.

    Raises:
        UnreadableVideo: it is no video, truncated or damaged.
        MissingDependency: PyAV is not installed.
    """
    with Video(source) as video:
        return video.header


def _upright(frame: Any) -> Frame:
    """Return (H, W, 3) RGB pixels as players show them."""
    pixels: Frame = frame.to_ndarray(format="rgb24")
    quarters = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


@contextmanager
def _translated(av: Any, cause: Cause) -> Iterator[None]:
    try:
        yield
    except av.error.FFmpegError as exc:
        raise UnreadableVideo(cause, f"expected a video, got {exc.strerror or exc}") from exc


def _load_av() -> Any:
    try:
        import av
    except ImportError as exc:
        raise MissingDependency(
            "videos: expected PyAV, got no package 'av'; install dataset-assets[video]"
        ) from exc
    return av
