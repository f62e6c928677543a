"""Small videos, written by the codecs that PyAV ships, whose frames tell their number."""

from io import BytesIO

import av
import numpy as np

#: Container -> codec.
FORMATS = {
    "mp4": "libx264",
    "mov": "libx264",
    "matroska": "libx264",
    "webm": "libvpx-vp9",
    "avi": "mpeg4",
    "mpegts": "libx264",
}
STEP = 4


def make_video(
    frames: int,
    *,
    container: str = "mp4",
    size: tuple[int, int] = (64, 96),
    gop: int = 12,
    rate: int = 25,
    rotation: int = 0,
) -> bytes:
    """Return a video whose frame n is gray of the value 4 n, up to 60 frames; then it repeats.

    Args:
        frames: number of frames.
        container: one of `FORMATS`.
        size: height and width.
        gop: frames from a keyframe to the next.
        rate: frames a second.
        rotation: of the display matrix, in degrees; MP4 and MOV only.
    """
    body = BytesIO()
    with av.open(body, "w", format=container) as file:
        stream = file.add_stream(FORMATS[container], rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = gop
        stream.bit_rate = 4_000_000  # else gray values are rounded
        if container != "webm" and container != "avi":
            stream.max_b_frames = 3
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            pixels = np.full((*size, 3), number % 60 * STEP, np.uint8)
            pixels[: size[0] // 2, : size[1] // 2, 0] = 255  # red corner
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        file.mux(stream.encode())
    return body.getvalue()


def number_of(frame: np.ndarray) -> int:
    """Return the number that a frame shows, up to 59."""
    return round(float(frame[-8:, -8:].mean()) / STEP)
