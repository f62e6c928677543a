import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.mlx.batches import BatchMaker, stack_labels
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.mlx.sources import open_dataset
from dataset_assets_tests.loaders.numbered_images import encoded


def only_batch(rows, **options):
    chosen = StreamOptions(**options)
    (batch,) = BatchMaker(open_dataset(rows, chosen), chosen, shuffle=False).start_epoch()
    return batch


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([3, 1], "int64", [3, 1]),
        ([True, False], "int64", [1, 0]),
        ([np.int16(3), np.uint32(2)], "int64", [3, 2]),
        ([3, None], "int64", [3, -1]),
        ([0.5, 2.0], "float64", [0.5, 2.0]),
        ([np.float32(0.5), np.float32(1)], "float32", [0.5, 1.0]),
        ([np.float16(0.5), np.float16(1)], "float32", [0.5, 1.0]),
        ([None, None], "int64", [-1, -1]),
        ([[1, 0], [0, 1]], "int64", [[1, 0], [0, 1]]),
        (["ab", "c"], "int8", [[97, 98], [99, 0]]),
        (["é", None], "int8", [[-61, -87], [0, 0]]),
        (["", ""], "int8", [[0], [0]]),
    ],
)
def test_labels_have_types_of_mlx_data_when_stacked(values, dtype, expected):
    import mlx.data as dx

    found = next(dx.stream_python_iterable(lambda: iter([{"label": stack_labels(values)}])))[
        "label"
    ]
    assert (found.dtype, found.tolist()) == (dtype, expected)


def test_missing_number_is_nan_when_labels_are_floats():
    assert np.isnan(stack_labels([0.5, None])[1])


@pytest.mark.parametrize("values", [[[1], [1, 2]], [{"a": 1}, {"a": 2}], [1, "a"]])
def test_labels_are_refused_when_they_are_not_numbers(values):
    with pytest.raises(ConfigurationError, match="labels"):
        stack_labels(values)


def test_smaller_images_are_padded_when_sizes_differ():
    rows = [{"image": np.full((2, 3), 255, np.uint8)}, {"image": np.full((3, 2), 255, np.uint8)}]
    image = only_batch(rows)["image"]
    assert image.shape == (2, 3, 3)
    assert image.sum(axis=(1, 2)).tolist() == [6, 6]
    assert image[0, :2].min() == image[1, :, :2].min() == 1


@pytest.mark.parametrize(
    ("options", "value"),
    [({}, "float32"), ({"dtype": "float64"}, "float64"), ({"scale": 1}, "float32")],
)
def test_every_pixel_value_is_exact_when_scaled(options, value):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = only_batch([{"image": pixels}], **options)["image"][0]
    assert found.dtype == value
    assert np.array_equal(found, pixels.astype(value) / (1 if options.get("scale") else 255))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_pixels_are_unchanged_when_the_type_is_an_integer(dtype):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = only_batch([{"image": pixels}], dtype=dtype)["image"][0]
    assert (found.dtype, np.array_equal(found, pixels)) == (dtype, True)


def test_mode_is_that_of_the_first_image_when_files_are_mixed():
    gray, color = encoded(0, mode="L"), encoded(1)
    broken = b"no image"
    assert only_batch([{"image": data} for data in (broken, color, gray)])["image"].shape == (
        2,
        16,
        24,
        3,
    )
    assert only_batch([{"image": data} for data in (broken, gray, color)])["image"].shape == (
        2,
        16,
        24,
    )
    assert only_batch([{"image": data} for data in (gray, color)], mode="RGB")["image"].shape == (
        2,
        16,
        24,
        3,
    )


def test_arrays_are_refused_when_their_kinds_are_mixed():
    with pytest.raises(ConfigurationError, match="images of one batch have 2 and 3 dimensions"):
        only_batch(
            [{"image": np.zeros((2, 2), np.uint8)}, {"image": np.zeros((2, 2, 3), np.uint8)}]
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"threads": 0},
        {"prefetch": 0},
        {"seed": -1},
        {"epoch": -1},
        {"dtype": "float16"},
        {"mode": "CMYK"},
        {"scale": 0},
        {"dtype": "uint8", "scale": 0.5},
        {"image_size": 0},
        {"batch_size": "32"},
    ],
)
def test_option_is_refused_when_it_is_invalid(wrong):
    with pytest.raises(ConfigurationError, match=f"^({'|'.join(wrong)}): expected"):
        StreamOptions(**wrong)
