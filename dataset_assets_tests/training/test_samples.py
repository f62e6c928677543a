from dataclasses import replace

import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError, MissingColumn, SourceError
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.reshape import RESHAPE_MODES, normalize, reshape
from dataset_assets.training.samples import TrainingSamples, make_sample
from dataset_assets_tests.training.sample_sets import (
    Payloads,
    describe,
    image_set,
    make_image,
    video_set,
)
from dataset_assets_tests.training.videos import STEP, make_video

IMAGES = SampleOptions(image_resolution_buckets=((64, 64), (64, 128), (128, 64)))
VIDEOS = SampleOptions(video_resolution_buckets=((9, 64, 96), (25, 64, 96), (9, 96, 64)))


def numbers_of(video: np.ndarray) -> list[int]:
    values = (video[:, 1, -8:, -8:].mean(axis=(1, 2)) + 1) * 127.5
    return [round(float(value) / STEP) for value in values]


@pytest.mark.parametrize("mode", RESHAPE_MODES)
def test_images_are_rgb_floats_of_their_bucket(mode: str) -> None:
    samples = TrainingSamples(
        *image_set([(70, 70), (100, 300), (300, 100)]), replace(IMAGES, reshape_mode=mode)
    )
    shapes = [samples[number]["image"].shape for number in range(3)]
    assert shapes == [(3, 64, 64), (3, 64, 128), (3, 128, 64)]
    found = samples["a/0002"]
    assert found["image"].dtype == np.float32
    colors = (found["image"].reshape(3, -1).mean(axis=1) + 1) * 127.5
    assert np.allclose(colors, [2, 2, 200], atol=0.01)
    assert found["caption"] == "of a/0002"
    assert found["bucket"] == (1, 128, 64)
    assert [found[f"original_{name}"] for name in ("num_frames", "height", "width")] == [
        1,
        300,
        100,
    ]


def test_gray_and_transparent_images_have_three_channels() -> None:
    import cv2

    gray = cv2.imencode(".png", np.full((80, 80), 51, np.uint8))[1].tobytes()
    clear = cv2.imencode(".png", np.zeros((80, 80, 4), np.uint8))[1].tobytes()
    payloads = Payloads({"g": gray, "t": clear})
    samples = TrainingSamples([describe("g"), describe("t")], payloads, IMAGES)
    assert np.unique(samples["g"]["image"]).tolist() == [np.float32(51 / 127.5) - 1]
    assert np.unique(samples["t"]["image"]).tolist() == [1.0]


def test_videos_have_evenly_spread_frames() -> None:
    samples = TrainingSamples(*video_set([60, 25, 24, 9]), VIDEOS)
    found = [samples[number] for number in range(4)]
    assert [each["video"].shape for each in found] == [
        (25, 3, 64, 96),
        (25, 3, 64, 96),
        (9, 3, 64, 96),
        (9, 3, 64, 96),
    ]
    assert numbers_of(found[0]["video"]) == [number * 59 // 24 for number in range(25)]
    assert numbers_of(found[3]["video"]) == list(range(9))
    assert found[2]["original_num_frames"] == 24
    assert all(np.abs(each["video"]).max() <= 1 for each in found)


@pytest.mark.parametrize(
    ("policy", "expected"), [("repeat", [0, 1, 2, 3] * 2 + [0]), ("pad", [0, 1, 2] + [3] * 6)]
)
def test_short_videos_fill_their_bucket(policy: str, expected: list[int]) -> None:
    samples = TrainingSamples(*video_set([4]), replace(VIDEOS, short_videos=policy))
    assert numbers_of(samples[0]["video"]) == expected


def test_samples_without_a_bucket_say_why() -> None:
    listed, payloads = image_set([(63, 200), (64, 64)])
    small = TrainingSamples(listed, payloads, replace(IMAGES, upscale=False))
    with pytest.raises(SampleError, match="expected to fill a bucket, got 200 x 63 pixels"):
        small[0]
    refused, kept = small.buckets()
    assert isinstance(refused, SampleError)
    assert refused.cause is Cause.IMAGE_TOO_SMALL
    assert kept == (1, 64, 64)
    short = TrainingSamples(*video_set([4, 30]), replace(VIDEOS, short_videos="drop"))
    refused, kept = short.buckets()
    assert refused.cause is Cause.VIDEO_TOO_SHORT
    assert kept == (25, 64, 96)


def test_damaged_samples_are_named() -> None:
    payloads = Payloads(a=b"text", b=make_image(90, 90)[:-200], c=b"text", d=make_video(5)[:99])
    media = {"c": "video", "d": "video"}
    samples = TrainingSamples(
        [describe(key, media.get(key, "image")) for key in payloads], payloads, IMAGES
    )
    for key in payloads:
        with pytest.raises(SampleError) as caught:
            samples[key]
        assert caught.value.cause in (Cause.NOT_IMAGE, Cause.DECODE_ERROR, Cause.NOT_VIDEO)


def test_recorded_sizes_spare_measuring() -> None:
    listed, payloads = image_set([(70, 70), (100, 300)])
    sizes = np.array([[1, 70, 70], [1, 300, 100]])
    samples = TrainingSamples(listed, payloads, IMAGES, sizes)
    payloads.clear()
    assert samples.buckets() == [(1, 64, 64), (1, 128, 64)]


def test_sample_is_a_function_of_seed_epoch_and_key() -> None:
    random = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    import cv2

    payload = cv2.imencode(".png", random)[1].tobytes()
    sample = describe("k", long="a long text", short="text")
    options = replace(
        IMAGES,
        reshape_mode="random_crop",
        captions=CaptionOptions(caption_columns=("long", "short"), id_token="TOK"),
    )
    bucket = options.buckets("image")[0]

    def drawn(seed: int, epoch: int) -> tuple[str, bytes]:
        made = make_sample(sample, payload, bucket, replace(options, seed=seed), epoch=epoch)
        return made["caption"], made["image"].tobytes()

    assert drawn(0, 3) == drawn(0, 3)
    many = [drawn(seed, epoch) for seed in range(2) for epoch in range(8)]
    assert {caption for caption, _ in many} == {"TOK a long text", "TOK text"}
    assert len({pixels for _, pixels in many}) == 16


def test_columns_of_the_source_are_kept() -> None:
    sample = replace(describe("k"), columns={"score": 0.5, "w": 3})
    options = replace(
        IMAGES, captions=CaptionOptions(drop_columns=("score",), rename_columns={"w": "width"})
    )
    made = make_sample(sample, make_image(64, 64), options.buckets("image")[0], options)
    assert made["columns"] == {"width": 3}


def test_positions_and_keys_outside_are_refused() -> None:
    samples = TrainingSamples(*image_set([(64, 64)]), IMAGES)
    assert samples[-1]["key"] == "a/0000"
    with pytest.raises(IndexError, match="expected a position below 1, got 1"):
        samples[1]
    with pytest.raises(SourceError, match="expected one of 1 keys, such as 'a/0000', got 'b'"):
        samples["b"]


def test_missing_captions_are_named() -> None:
    sample = replace(describe("k"), captions={})
    with pytest.raises(MissingColumn, match="got a sample without any"):
        make_sample(sample, make_image(64, 64), IMAGES.buckets("image")[0], IMAGES)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="image_resolution_buckets: expected"):
        SampleOptions(image_resolution_buckets=((1, 2, 3),))
    with pytest.raises(ConfigurationError, match="captions: expected CaptionOptions, got None"):
        SampleOptions(captions=None)


@pytest.mark.parametrize("mode", ["bicubic", "resize_crop"])
@pytest.mark.parametrize("name", ["astronaut", "coffee", "rocket"])
def test_photos_that_are_decoded_smaller_look_the_same(name: str, mode: str) -> None:
    import cv2

    photos = pytest.importorskip("skimage.data")
    body = cv2.imencode(".jpg", getattr(photos, name)()[..., ::-1])[1].tobytes()
    samples = TrainingSamples(
        [describe("jpg")], Payloads(jpg=body), replace(IMAGES, reshape_mode=mode)
    )
    small = samples["jpg"]
    whole = cv2.cvtColor(cv2.imdecode(np.frombuffer(body, np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert (small["original_height"], small["original_width"]) == whole.shape[:2]
    expected = normalize(reshape(whole, small["bucket"], mode))
    error = np.sqrt(((small["image"] - expected) ** 2).mean())
    assert 20 * np.log10(2 / error) > 40
