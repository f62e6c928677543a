import pytest

from dataset_assets.errors import ConfigurationError, UnknownName
from dataset_assets.urls.lists import ListOptions


def test_columns_stand_in_the_order_of_the_output():
    options = ListOptions(
        input_format="parquet",
        caption_col="TEXT",
        save_additional_columns=("b", "a"),
        bbox_col="faces",
        verify_hash_col="md5",
    )
    assert options.columns == ("b", "a", "faces", "md5", "caption", "url")
    assert ListOptions().columns == ("url",)
    assert ListOptions(save_additional_columns=("faces",), bbox_col="faces").columns == (
        "faces",
        "url",
    )


@pytest.mark.parametrize(
    "name",
    [
        "txt",
        "txt.gz",
        "csv",
        "csv.gz",
        "tsv",
        "tsv.gz",
        "json",
        "json.gz",
        "jsonl",
        "jsonl.gz",
        "parquet",
        "auto",
        "csv.zst",
        "csv.zstd",
    ],
)
def test_input_format_has_the_spellings_of_img2dataset(name):
    assert ListOptions(input_format=name).input_format == name


def test_input_format_is_refused_with_what_there_is():
    with pytest.raises(
        UnknownName,
        match=r"unknown input_format 'parqet': expected one of csv, json, jsonl, parquet, tsv, txt"
        r"; did you mean 'parquet'",
    ):
        ListOptions(input_format="parqet")
    with pytest.raises(ConfigurationError, match="expected one of gz"):
        ListOptions(input_format="csv.rar")


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "caption",
        "url",
        "width",
        "height",
        "original_width",
        "original_height",
        "status",
        "error_message",
        "exif",
        "md5",
        "sha256",
        "sha512",
    ],
)
def test_columns_that_the_output_has_are_refused(name):
    with pytest.raises(ConfigurationError, match=name):
        ListOptions(save_additional_columns=("ok", name))
    with pytest.raises(ConfigurationError, match=name):
        ListOptions(bbox_col=name)


def test_column_given_twice_is_refused():
    with pytest.raises(ConfigurationError, match="each column once, got a"):
        ListOptions(save_additional_columns=("a", "b", "a"))
