import subprocess
import sys

import pytest

from dataset_assets_tests.images.images import file, photo


def run(code: str, body: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", code], input=body, capture_output=True, check=True)


@pytest.mark.parametrize(
    ("options", "loaded"),
    [
        ("area_kernel='opencv'", False),
        ("area_kernel='numba'", True),
        ("area_kernel='numba', resize_mode='no'", False),
        ("disable_all_reencoding=True", False),
        ("downscale_interpolation='linear'", False),
    ],
)
def test_workers_hold_what_they_need_when_they_were_warmed_up(options: str, loaded: bool) -> None:
    code = f"""
import cv2, sys
threads = cv2.getNumThreads()
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.transform import warm_up
assert cv2.getNumThreads() == threads
warm_up(ImageOptions({options}))
assert cv2.getNumThreads() == 1
assert ("numba" in sys.modules) == {loaded}
assert "exifread" in sys.modules
"""
    run(code)


def test_codecs_are_silent_and_python_is_not_when_they_are_silenced() -> None:
    code = """
import sys
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.transform import silence_codecs, warm_up
from dataset_assets.images.transform import ImageTransform
warm_up(ImageOptions(area_kernel="opencv"))
if {silent}:
    silence_codecs()
ImageTransform(ImageOptions()).run(sys.stdin.buffer.read())
print("python", file=sys.stderr)
"""
    body = bytearray(file(photo(64, 48), "png"))
    body[len(body) // 2] ^= 0xFF
    noisy, silent = (run(code.format(silent=value), bytes(body)).stderr for value in (False, True))
    assert b"libpng" in noisy
    assert silent == b"python\n"
