import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from dataset_assets.errors import MissingDependency
from dataset_assets.images import area_numba, resize
from dataset_assets.images.options import ImageOptions
from dataset_assets.images.resize import load_area_kernel, shrink_opencv
from dataset_assets.images.transform import ImageTransform
from dataset_assets_tests.images.images import Pixels, file, noise, photo, psnr

SIZES = [
    ((640, 480), (341, 256)),
    ((641, 479), (343, 256)),
    ((640, 480), (320, 240)),
    ((333, 1000), (256, 769)),
    ((257, 258), (256, 257)),
    ((700, 500), (700, 256)),
    ((500, 700), (256, 700)),
    ((1, 900), (1, 256)),
    ((900, 1), (256, 1)),
    ((3, 2), (1, 1)),
    ((4000, 37), (64, 1)),
    ((2500, 2400), (7, 5)),
    ((5000, 3), (3, 2)),
]


def means(source: Pixels, width: int, height: int) -> np.ndarray:
    """The definition: every target pixel is the mean of the rectangle that it covers."""

    def weights(old: int, new: int) -> np.ndarray:
        edges = np.arange(new + 1) * old / new
        overlap = np.minimum(edges[1:, None], np.arange(1, old + 1)) - np.maximum(
            edges[:-1, None], np.arange(old)
        )
        return overlap.clip(0) * new / old

    return np.einsum(
        "yh,xw,hw...->yx...",
        weights(source.shape[0], height),
        weights(source.shape[1], width),
        source.astype(float),
        optimize=True,
    )


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_machine_code_gives_the_rounded_means_when_shrinking(
    size: tuple[int, int], target: tuple[int, int], channels: int
) -> None:
    source = noise(*size, channels)
    result = load_area_kernel("numba")(source, *target)
    assert np.abs(result - means(source, *target)).max() < 0.5 + 1e-3
    assert psnr(result, cv2.resize(source, target, interpolation=cv2.INTER_AREA)) >= 50


@pytest.mark.parametrize(("size", "target"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kernel", ["numba", "opencv"])
def test_pixels_are_those_of_inter_area_when_a_photograph_shrinks(
    kernel: str, size: tuple[int, int], target: tuple[int, int], channels: int
) -> None:
    source = photo(*size, channels)
    assert (
        psnr(
            load_area_kernel(kernel)(source, *target),
            cv2.resize(source, target, interpolation=cv2.INTER_AREA),
        )
        >= 50
    )


@pytest.mark.parametrize(
    "ratio",
    [1.0, 1.1, 1.5, 1.79, 1.81, 1.9, 2.0, 2.2, 2.29, 2.31, 3.0, 3.61, 4.0, 4.5, 6.0, 7.3, 8.0, 9.1],
)
def test_opencv_stays_above_fifty_decibel_when_the_ratio_is_near_a_power_of_two_and_when_not(
    ratio: float,
) -> None:
    source = photo(512, 512)
    side = round(512 / ratio)
    assert (
        psnr(
            shrink_opencv(source, side, side),
            cv2.resize(source, (side, side), interpolation=cv2.INTER_AREA),
        )
        >= 50
    )


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_an_even_picture_stays_even_when_shrinking(value: int) -> None:
    for kernel, (width, height) in product(("numba", "opencv"), ((300, 200), (299, 7), (1, 1))):
        result = load_area_kernel(kernel)(np.full((301, 307, 3), value, np.uint8), width, height)
        assert (result == value).all()


def test_a_picture_that_is_not_contiguous_is_shrunk_when_given() -> None:
    source = photo(200, 150)
    view = np.ascontiguousarray(source[:, ::-1])[:, ::-1]
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(
        load_area_kernel("numba")(view, 50, 40), load_area_kernel("numba")(source, 50, 40)
    )


def test_a_missing_kernel_is_an_error_and_no_bad_image_when_a_transform_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load_area_kernel.cache_clear()
    monkeypatch.setattr(resize, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match="numba"):
        ImageTransform(ImageOptions(area_kernel="numba", image_size=5)).run(
            file(photo(8, 8), "jpg")
        )
    load_area_kernel.cache_clear()


def test_the_faster_kernel_is_chosen_when_numba_is_installed_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load_area_kernel("auto") is not shrink_opencv
    load_area_kernel.cache_clear()
    monkeypatch.setattr(resize, "find_spec", lambda _: None)
    assert load_area_kernel("auto") is shrink_opencv
    with pytest.raises(MissingDependency, match=r"dataset-assets\[fast\]"):
        load_area_kernel("numba")
    load_area_kernel.cache_clear()


_PROGRAM = """
import numpy, sys
sys.path.insert(0, {folder!r})
import area_numba
target = numpy.zeros((2, 6), numpy.uint8)
area_numba.shrink(numpy.full((5, 15), 7, numpy.uint8), target, 3)
assert (target == 7).all()
stats = getattr(area_numba.shrink, "stats")
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def _run(folder: Path, **environment: str) -> tuple[str, str]:
    """Run the kernel in a new process, from a folder that nothing can be written to."""
    shutil.copy(area_numba.__file__, folder)
    (folder / "__pycache__").touch()  # a file: not even root can create the folder
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("NUMBA", "XDG", "HOME"))
    }
    program = _PROGRAM.format(folder=str(folder))
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hits, misses = done.stdout.split()
    return hits, misses


def test_machine_code_is_kept_elsewhere_when_the_package_is_read_only(tmp_path: Path) -> None:
    assert _run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "kept")) == ("0", "1")
    assert _run(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "kept")) == ("1", "0")


def test_machine_code_is_compiled_in_memory_when_it_can_be_kept_nowhere(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    nowhere.touch()
    for _ in range(2):
        assert _run(tmp_path, HOME=str(nowhere), XDG_CACHE_HOME=str(nowhere)) == ("0", "1")
