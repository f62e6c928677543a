import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.images.contact_sheet import draw_contact_sheet, draw_inline_sheet
from dataset_assets_tests.images.images import file, noise, photo, pillow, pixels, psnr

TILE, STEP = 64, 68


def test_tiles_stand_in_rows_when_there_are_more_images_than_columns() -> None:
    images = [
        file(np.full((90, 90, 3), level, np.uint8), "png") for level in (10, 60, 110, 160, 210)
    ]
    sheet = pixels(draw_contact_sheet(images, columns=3, tile_px=TILE))
    assert sheet.shape == (2 * STEP + 4, 3 * STEP + 4, 3)
    for index, level in enumerate((10, 60, 110, 160, 210)):
        top, left = 4 + index // 3 * STEP, 4 + index % 3 * STEP
        np.testing.assert_array_equal(sheet[top : top + TILE, left : left + TILE], level)
    np.testing.assert_array_equal(sheet[4 + STEP :, 4 + 2 * STEP :], 255)  # no sixth image


@pytest.mark.parametrize(
    ("size", "inner"),
    [
        ((128, 64), (slice(16, 48), slice(0, 64))),
        ((64, 128), (slice(0, 64), slice(16, 48))),
        ((20, 10), (slice(27, 37), slice(22, 42))),
    ],
)
def test_the_whole_image_is_seen_when_it_is_not_square_or_small(
    size: tuple[int, int], inner: tuple[slice, slice]
) -> None:
    image = photo(*size)
    tile = pixels(draw_contact_sheet([file(image, "png")], tile_px=TILE))[
        4 : 4 + TILE, 4 : 4 + TILE
    ]
    shown = tile[inner]
    if max(size) > TILE:
        image = photo(shown.shape[1], shown.shape[0])
    assert psnr(shown, image) > 35
    surroundings = tile.copy()
    surroundings[inner] = 238
    np.testing.assert_array_equal(surroundings, 238)


def test_captions_are_written_below_the_tiles_when_given() -> None:
    images = [file(photo(80, 80), "jpg")] * 3
    captions = ["a cat", None, "été 日本\n" + "long " * 100]
    sheet = pixels(draw_contact_sheet(images, tile_px=TILE, captions=captions))
    assert sheet.shape == (4 + TILE + 16 + 4 + 0, 3 * STEP + 4, 3)
    lines = [
        sheet[4 + TILE : 4 + TILE + 16, 4 + index * STEP : 4 + index * STEP + TILE]
        for index in range(3)
    ]
    assert lines[0].min() < 150
    assert lines[1].min() == 255
    assert lines[2].min() < 150
    np.testing.assert_array_equal(sheet[:, -4:], 255)  # cut to the tile


def test_a_crossed_tile_stands_in_when_an_image_can_not_be_read() -> None:
    sheet = pixels(draw_contact_sheet([b"no image", file(photo(80, 80), "jpg"), b""], tile_px=TILE))
    cross = sheet[4 : 4 + TILE, 4 : 4 + TILE]
    assert cross[32, 32].max() < 150
    assert (cross[5, 32] == 238).all()


def test_an_empty_sheet_comes_back_when_there_are_no_images() -> None:
    assert pixels(draw_contact_sheet([], tile_px=TILE)).min() == 255
    assert pixels(draw_inline_sheet([])).min() >= 254


@pytest.mark.parametrize("file_format", ["png", "jpg"])
def test_the_bytes_are_the_same_when_a_sheet_is_drawn_again(file_format: str) -> None:
    images = [pillow(photo(60 + index, 50), "WEBP") for index in range(5)]
    assert draw_contact_sheet(images, format=file_format, captions=["x"] * 5) == draw_contact_sheet(
        images, format=file_format, captions=["x"] * 5
    )


def test_jpg_is_smaller_when_the_quality_is_lower() -> None:
    images = [file(photo(128, 128), "jpg")] * 4
    assert (
        len(draw_contact_sheet(images, format="jpg", quality=40))
        < len(draw_contact_sheet(images, format="jpg")) / 2
    )


@pytest.mark.parametrize("count", [1, 8, 24, 200])
def test_the_sheet_fits_into_a_text_when_it_is_inline(count: int) -> None:
    for image in (photo(256, 256), noise(256, 256)):
        sheet = draw_inline_sheet([file(image, "jpg")] * count)
        assert len(sheet) < 10_000
        assert pixels(sheet).shape[1] == min(count, 8) * STEP + 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": 0}, "columns"),
        ({"tile_px": 4}, "tile_px"),
        ({"captions": ["one", "two"]}, "2"),
        ({"format": "gif"}, "'gif'"),
        ({"quality": 500}, "500"),
    ],
)
def test_one_line_says_what_was_expected_when_an_option_is_wrong(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        draw_contact_sheet([file(photo(8, 8), "jpg")], **options)  # type: ignore[arg-type]


def test_one_line_says_so_when_an_inline_sheet_can_not_be_small_enough() -> None:
    with pytest.raises(ConfigurationError, match="does not fit into 100 bytes"):
        draw_inline_sheet([file(photo(64, 64), "jpg")] * 8, max_bytes=100)
