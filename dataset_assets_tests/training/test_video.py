import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.causes import Cause
from dataset_assets_tests.training.videos import FORMATS, make_video, number_of

pytest.importorskip("av")

from dataset_assets.training.video import UnreadableVideo, Video, read_video_header


@pytest.mark.parametrize("container", sorted(FORMATS))
def test_frames_are_read_by_number_in_any_order(container: str) -> None:
    body = make_video(60, container=container)
    asked = [0, 1, 11, 12, 13, 37, 59, 59, 5, 30, 0]
    with Video(body) as video:
        assert video.header[:3] == (60, 64, 96)
        assert video.header.frame_rate == pytest.approx(25, rel=0.03)
        assert video.header.duration_s == pytest.approx(2.4, rel=0.03)
        assert [number_of(frame) for frame in video.frames_at(asked)] == asked


@pytest.mark.parametrize("container", sorted(FORMATS))
def test_frames_are_read_by_time(container: str) -> None:
    with Video(make_video(60, container=container)) as video:
        times = [0, 0.039, 0.04, 0.0799, 1.0, 1.21, 2.37]
        found = [number_of(frame) for frame in video.frames_at_times(times)]
    assert found == [0, 0, 1, 1, 25, 30, 59]


def test_every_frame_is_exact_with_long_and_short_groups() -> None:
    for gop in (1, 7, 60):
        with Video(make_video(60, gop=gop)) as video:
            assert [number_of(frame) for frame in video.frames_at(range(60))] == list(range(60))
            back = range(59, -1, -7)
            assert [number_of(frame) for frame in video.frames_at(back)] == list(back)


def test_a_frame_is_rgb_of_the_size_shown() -> None:
    with Video(make_video(3)) as video:
        frame = next(video.frames_at([2]))
    assert (frame.shape, frame.dtype) == ((64, 96, 3), np.uint8)
    assert frame[4, 4, 0] > 200
    assert frame[4, 4, 2] < 100


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_turned_videos_are_shown_upright(rotation: int) -> None:
    with Video(make_video(3, rotation=rotation)) as video:
        frame = next(video.frames_at([0]))
        sides = (64, 96) if rotation == 180 else (96, 64)
        assert (video.header.height, video.header.width) == sides
    assert frame.shape == (*sides, 3)
    # the display matrix turns counterclockwise, and so does `rot90`
    corners = {90: (-4, 4), 180: (-4, -4), 270: (4, -4)}
    assert frame[(*corners[rotation], 0)] > 200


def test_streams_are_read_as_bytes_are(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_video(20))
    with path.open("rb") as stream, Video(stream) as video:
        assert [number_of(frame) for frame in video.frames_at([3, 19, 4])] == [3, 19, 4]


def test_few_frames_of_a_long_video_decode_few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    body = make_video(600)
    decoded = []
    original = Video._next_frame
    monkeypatch.setattr(Video, "_next_frame", lambda self: decoded.append(1) or original(self))
    with Video(body) as video:
        assert [number_of(frame) for frame in video.frames_at([0, 300, 588])] == [0, 0, 48]
    assert len(decoded) < 45


def test_memory_does_not_grow_with_the_video() -> None:
    code = """
import resource, sys
from dataset_assets.training.video import Video
from dataset_assets_tests.training.videos import make_video
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bodies = [make_video(count, size=(240, 320)) for count in (30, 600)]
found = []
for body in bodies:
    with Video(body) as video:
        for frame in video.frames_at([0, video.header.frames // 2, video.header.frames - 1]):
            pass
    found.append(peak())
sys.stdout.write(str(found[1] - found[0]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 40_000  # KB; 600 frames have 138 MB


@pytest.mark.parametrize("body", [b"", b"no video " * 500, b"\xff\xd8\xff\xe0" + bytes(999)])
def test_what_is_no_video_is_named(body: bytes) -> None:
    with pytest.raises(UnreadableVideo) as caught:
        read_video_header(body)
    assert caught.value.cause in (Cause.NOT_VIDEO, Cause.DECODE_ERROR)
    assert "expected" in caught.value.message


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_truncated_files_are_named(share: float) -> None:
    body = make_video(60)
    with pytest.raises(UnreadableVideo, match="expected"):
        read_video_header(body[: int(len(body) * share)])


def test_truncated_streams_have_fewer_frames() -> None:
    body = make_video(60, container="matroska")
    with Video(body[: len(body) * 6 // 10]) as video:
        count = video.header.frames
        assert 10 < count < 60
        assert number_of(next(video.frames_at([count - 10]))) == count - 10


def test_damaged_videos_never_end_the_process() -> None:
    body = bytearray(make_video(60))
    random = np.random.default_rng(5)
    errors = 0
    for _ in range(40):
        damaged = bytearray(body)
        for place in random.integers(0, len(body), 30):
            damaged[place] = int(random.integers(256))
        try:
            with Video(bytes(damaged)) as video:
                list(video.frames_at(range(0, video.header.frames, 10)))
        except UnreadableVideo:
            errors += 1
    assert errors > 5


def test_sound_without_pictures_is_no_video() -> None:
    import av

    body = BytesIO()
    with av.open(body, "w", format="wav") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    with pytest.raises(UnreadableVideo, match="expected a video stream, got none"):
        read_video_header(body.getvalue())


@pytest.mark.parametrize("number", [-1, 5])
def test_frames_outside_are_refused(number: int) -> None:
    with Video(make_video(5)) as video:
        with pytest.raises(ConfigurationError, match="frame: expected a number from 0 to 4, got"):
            list(video.frames_at([0, number]))
        with pytest.raises(ConfigurationError, match="time: expected seconds from 0 to below 0.2"):
            list(video.frames_at_times([number]))
