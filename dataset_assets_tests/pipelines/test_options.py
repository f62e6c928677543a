"""Options are validated on construction; their fingerprint covers what shapes bytes."""

from dataclasses import replace

import pytest

from dataset_assets.errors import ConfigurationError, UnknownName
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.pipelines.download.options import DownloadOptions


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"samples_per_shard": 0},
            "samples_per_shard: expected an integer of at least 1, got 0",
        ),
        (
            {"processes_count": 1.5},
            "processes_count: expected an integer of at least 1, got 1.5",
        ),
        ({"layout": "flat"}, "layout: expected one of dataset_assets, img2dataset, got 'flat'"),
        ({"compute_hash": "crc"}, "compute_hash: expected one of md5, sha256, sha512, got 'crc'"),
        (
            {"verify_hash": ("md5", "md5")},
            "use the hash type of compute_hash",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(change, said):
    with pytest.raises(ConfigurationError) as caught:
        DownloadOptions(**change)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"output_format": "webdatset"}, "webdataset"),
        ({"distributor": "multiprocesing"}, "multiprocessing"),
    ],
)
def test_an_unknown_plug_in_is_named_with_the_nearest_one(change, hint):
    with pytest.raises(UnknownName, match=f"did you mean '{hint}'"):
        DownloadOptions(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"fetch": FetchOptions(timeout_s=99, retries=3)},
        {"processes_count": 7},
        {"codec_threads": 3},
        {"max_shard_retry": 0},
        {"distributor": "serial"},
        {"reorder_bytes": 1},
    ],
)
def test_the_fingerprint_does_not_change_with_pace(change):
    assert replace(DownloadOptions(), **change).fingerprint == DownloadOptions().fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"image": ImageOptions(image_size=128)},
        {"image": None},
        {"output_format": "files"},
        {"samples_per_shard": 9},
        {"oom_shard_count": 6},
        {"compute_hash": None},
        {"verify_hash": ("h", "sha256")},
        {"bbox_col": "faces"},
        {"layout": "img2dataset"},
        {"image": ImageOptions(formats=("jpeg",))},
        {"image": ImageOptions(formats=("jpeg", "png", "webp", "gif", "bmp", "tiff"))},
    ],
)
def test_the_fingerprint_changes_with_the_bytes(change):
    assert replace(DownloadOptions(), **change).fingerprint != DownloadOptions().fingerprint


def test_the_fingerprint_of_the_defaults_is_that_of_sets_that_exist():
    first = "d2668d2e59bb546677eaef4e2803647096b60f4ae01718547ebcd5d2286204f1"
    assert DownloadOptions().fingerprint == first
