import cv2
import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.torch.augment import augment
from dataset_assets.loaders.torch.augment_options import AugmentOptions

TRAIN_IDS = (0, 1, 3, 7, 18)
IGNORE = 255


def random_image(height=48, width=64, channels=3, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return np.squeeze(cv2.GaussianBlur(noise, (0, 0), 2))


def label_map(height=48, width=64, seed=0, ids=TRAIN_IDS):
    """Blobs of every id, with long borders between ids that have others in between."""
    rough = np.random.default_rng(seed).integers(0, len(ids), (height // 6, width // 6))
    return np.array(ids, np.uint8)[
        cv2.resize(rough.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    ]


def rng(seed=0):
    return np.random.Generator(np.random.Philox(seed))


@pytest.mark.parametrize("size", [(48, 64), (96, 80), (20, 30)])
def test_labels_are_train_ids_or_ignore_when_five_hundred_samples_are_augmented(size):
    options = AugmentOptions(
        height=size[0],
        width=size[1],
        flip_y=True,
        rotate=30,
        scale_min=0.5,
        scale_max=2.0,
        offset=0.3,
    )
    seen = set()
    for seed in range(500):
        made = augment(random_image(seed=seed % 7), label_map(seed=seed % 7), options, rng(seed))
        assert made.label.shape == size
        seen |= set(np.unique(made.label).tolist())
    assert seen == {*TRAIN_IDS, IGNORE}


def test_interpolated_labels_would_be_detected():
    matrix = cv2.getRotationMatrix2D((32, 24), 7, 1.1)
    assert set(np.unique(cv2.warpAffine(label_map(), matrix, (64, 48)))) - {*TRAIN_IDS, IGNORE}


def test_label_map_stays_aligned_with_its_image_when_both_are_warped():
    ramp = np.add.outer(np.arange(120), np.arange(130)).astype(
        np.uint8
    )  # a step of one per pixel: half a pixel off shows
    for seed in range(50):
        options = AugmentOptions(
            height=100, width=140, flip_y=True, rotate=20, scale_min=1, normalize="none"
        )
        made = augment(ramp, ramp, options, rng(seed))
        inside = (
            cv2.erode(
                (made.label != IGNORE).astype(np.uint8),
                np.ones((5, 5)),
                borderType=cv2.BORDER_CONSTANT,
                borderValue=0,
            )
            == 1
        )
        distance = (made.image[0] - made.label)[inside]
        assert inside.mean() > 0.3
        assert np.abs(distance).max() <= 1.5
        assert abs(distance.mean()) < 0.1


def test_center_is_cropped_exactly_when_nothing_is_random():
    image, label = random_image(), label_map()
    made = augment(
        image, label, AugmentOptions(height=20, width=31, random=False, normalize="none"), rng()
    )
    assert np.array_equal(made.image, image[14:34, 16:47].transpose(2, 0, 1))
    assert np.array_equal(made.label, label[14:34, 16:47])


def test_border_is_ignore_and_zero_when_the_image_is_smaller():
    image, label = random_image(), label_map()
    made = augment(image, label, AugmentOptions(height=60, width=65, random=False), rng())
    expected = ((image - image.mean()) / image.std()).astype(np.float32).transpose(2, 0, 1)
    assert np.abs(made.image[:, 6:54, 1:] - expected).max() < 1e-6
    assert np.array_equal(made.label[6:54, 1:], label)
    assert set(np.unique(made.label[:6])) | set(np.unique(made.label[54:])) | set(
        np.unique(made.label[:, 0])
    ) == {IGNORE}
    assert np.abs(made.image[:, :6]).max() <= 0.5 / made.stdev


@pytest.mark.parametrize("random", [True, False])
def test_sample_is_equal_when_the_seed_is_equal(random):
    options = AugmentOptions(height=32, width=32, random=random, noise=0.1)
    first, again, other = (
        augment(random_image(), label_map(), options, rng(seed)) for seed in (4, 4, 5)
    )
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.label, again.label)
    assert np.array_equal(first.image, other.image) is not random


def test_every_crop_and_both_flips_occur_when_nothing_else_is_random():
    image = np.arange(6, dtype=np.uint8)[None].repeat(3, 0)
    options = AugmentOptions(
        height=3, width=4, rotate=0, scale_min=1, scale_max=1, offset=0, normalize="none"
    )
    rows = {
        tuple(augment(image, None, options, rng(seed)).image[0, 0].tolist()) for seed in range(100)
    }
    assert rows == {
        (0, 1, 2, 3),
        (1, 2, 3, 4),
        (2, 3, 4, 5),
        (5, 4, 3, 2),
        (4, 3, 2, 1),
        (3, 2, 1, 0),
    }


def test_image_moves_when_translate_is_given():
    options = AugmentOptions(
        height=10,
        width=10,
        flip_x=False,
        rotate=0,
        scale_min=1,
        scale_max=1,
        offset=0,
        translate=0.4,
    )
    label = np.zeros((10, 10), np.uint8)
    borders = [
        (augment(label, label, options, rng(seed)).label == IGNORE).mean() for seed in range(50)
    ]
    assert max(borders) > 0.3
    assert max(borders) <= 1 - 0.6**2


@pytest.mark.parametrize("channels", [1, 3])
def test_normalization_gives_mean_zero_when_it_is_of_the_image(channels):
    image = random_image(channels=channels)
    made = augment(image, None, AugmentOptions(height=None, width=None), rng())
    assert made.image.shape == (channels, 48, 64)
    assert made.label is None
    assert made.mean.shape == made.stdev.shape == ()
    assert abs(made.image.mean()) < 1e-5
    assert made.image.std() == pytest.approx(1, abs=1e-5)
    planes = image.reshape(48, 64, channels).transpose(2, 0, 1)
    assert np.allclose(made.image * made.stdev + made.mean, planes, atol=1e-4)


def test_normalization_is_of_each_channel_when_given():
    made = augment(
        random_image(), None, AugmentOptions(height=None, width=None, normalize="channels"), rng()
    )
    assert made.mean.shape == made.stdev.shape == (3,)
    assert np.allclose(made.image.mean((1, 2)), 0, atol=1e-5)


def test_normalization_is_that_of_the_dataset_when_given():
    means, stdevs = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    options = AugmentOptions(
        height=None, width=None, normalize="dataset", level=1 / 255, mean=means, stdev=stdevs
    )
    image = random_image()
    made = augment(image, None, options, rng())
    assert np.allclose(made.image, ((image / 255 - means) / stdevs).transpose(2, 0, 1), atol=1e-6)
    assert made.mean.tolist() == list(means)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8"])
def test_pixels_are_unchanged_when_nothing_is_normalized(dtype):
    image = random_image()
    made = augment(
        image, None, AugmentOptions(height=None, width=None, normalize="none", dtype=dtype), rng()
    )
    assert made.image.dtype == np.dtype(dtype)
    assert np.array_equal(made.image, image.transpose(2, 0, 1))
    assert (made.mean, made.stdev) == (0, 1)


def test_image_of_one_color_becomes_zeros_when_normalized():
    made = augment(np.full((8, 8, 3), 77, np.uint8), None, AugmentOptions(height=8, width=8), rng())
    assert not made.image.any()
    assert (made.mean, made.stdev) == (77, 1)


def test_noise_is_added_when_given():
    plain, noisy = (
        augment(random_image(), None, AugmentOptions(noise=noise, height=99, width=99), rng()).image
        for noise in (0, 0.5)
    )
    assert 0 < (noisy - plain).std() < 0.5


def test_large_ids_are_unchanged_when_the_map_has_sixteen_bits():
    label = np.full((30, 30), 40_000, np.uint16)
    made = augment(
        random_image(30, 30), label, AugmentOptions(height=40, width=40, ignore=65_535), rng()
    )
    assert set(np.unique(made.label)) == {40_000, 65_535}


def test_sizes_are_named_when_the_label_map_is_of_another_image():
    with pytest.raises(ValueError, match="label map of 64 x 48 px for an image of 30 x 20 px"):
        augment(random_image(20, 30), label_map(), AugmentOptions(), rng())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": None}, "height, width: expected at least 1 px each"),
        ({"width": 0}, "height, width"),
        (
            {"normalize": "yes"},
            "normalize: expected one of image, channels, dataset, none, got 'yes'",
        ),
        ({"dtype": "bfloat16"}, "dtype: expected one of"),
        ({"scale_min": 0}, "scale_min, scale_max"),
        ({"scale_min": 2}, "scale_min, scale_max"),
        ({"rotate": -1}, "rotate: expected a number of at least 0"),
        ({"stdev": (0.0,)}, "stdev"),
        ({"dtype": "uint8"}, "choose normalize='none'"),
    ],
)
def test_option_is_named_when_it_is_invalid(values, message):
    with pytest.raises(ConfigurationError, match=message):
        AugmentOptions(**values)
