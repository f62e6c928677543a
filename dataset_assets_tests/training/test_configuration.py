import json
import logging

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.configuration import ConfiguredSet, read_configuration
from dataset_assets.training.options import SampleOptions

#: As in the examples of finetrainers.
EXAMPLE = {
    "datasets": [
        {
            "data_root": "finetrainers/crush-smol",
            "dataset_type": "video",
            "id_token": "PIKA_CRUSH",
            "video_resolution_buckets": [[49, 480, 768], [1, 512, 512]],
            "reshape_mode": "bicubic",
            "remove_common_llm_caption_prefixes": True,
        },
        {
            "dataset_file": "images",
            "dataset_type": "image",
            "image_resolution_buckets": [[512, 512]],
            "rename_columns": {"prompt": "caption"},
            "drop_columns": ["score"],
            "caption_options": {
                "column_names": ["short", "long"],
                "weights": {"long": 3, "short": 1},
            },
        },
    ]
}


def read(*entries):
    return read_configuration(json.dumps({"datasets": entries}).encode(), "training.json")


def entry(**values):
    return {"data_root": "clips", "dataset_type": "video", **values}


def test_configuration_is_read_as_it_is() -> None:
    assert read_configuration(json.dumps(EXAMPLE).encode(), "x.json") == (
        ConfiguredSet(
            "finetrainers/crush-smol",
            "video",
            SampleOptions(
                video_resolution_buckets=((49, 480, 768), (1, 512, 512)),
                captions=CaptionOptions(
                    id_token="PIKA_CRUSH", remove_common_llm_caption_prefixes=True
                ),
            ),
        ),
        ConfiguredSet(
            "images",
            "image",
            SampleOptions(
                image_resolution_buckets=((512, 512),),
                captions=CaptionOptions(
                    caption_columns=("short", "long"),
                    caption_weights=(1, 3),
                    rename_columns={"prompt": "caption"},
                    drop_columns=("score",),
                ),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("given", "columns", "weights"),
    [
        ({"column_names": "long"}, ("long",), ()),
        ({"column_names": "long", "weights": {"long": 2}}, ("long",), (2,)),
        ({"column_names": ["a", "b"], "weights": -1}, ("a", "b"), ()),
        ({"column_names": ["a", "b"], "weights": [1, 2]}, ("a", "b"), (1, 2)),
        ({"column_names": "__auto__", "weights": -1}, (), ()),
        ({}, (), ()),
    ],
)
def test_caption_options_are_those_of_finetrainers(
    given: dict[str, object], columns: tuple[str, ...], weights: tuple[float, ...]
) -> None:
    found = read(entry(caption_options=given, id_token=None))
    expected = CaptionOptions(caption_columns=columns, caption_weights=weights)
    assert found[0].options.captions == expected


def test_weights_and_own_options_are_read() -> None:
    found = read(entry(weight=2, short_videos="pad"), entry(weight=1.5, caption_dropout_p=0.1))
    assert [each.weight for each in found] == [2, 1.5]
    assert found[0].options.short_videos == "pad"
    assert found[1].options.captions.caption_dropout_p == 0.1


def test_unknown_keys_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read(entry(reshape_mod="bicubic"))
    assert "ignored: 'reshape_mod'; did you mean 'reshape_mode'?" in caplog.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[]", "training.json: expected JSON, got something else"),
        (b"{", "training.json: expected JSON, got something else"),
        (b"{}", 'expected an object with a list "datasets" that is not empty, got NoneType'),
        (b'{"datasets": []}', 'a list "datasets" that is not empty, got list'),
        (b'{"datasets": [5]}', r"training.json, datasets\[0\]: expected an object, got 5"),
    ],
)
def test_other_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_configuration(data, "training.json")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset_file": "b"}, "either data_root or dataset_file, got data_root and dataset_file"),
        ({"data_root": None}, "expected either data_root or dataset_file, got none"),
        ({"dataset_type": "sound"}, "dataset_type: expected one of image, video, got 'sound'"),
        ({"dataset_type": None}, "dataset_type: expected one of image, video, got None"),
        ({"reshape_mode": "lanczos"}, "reshape_mode: expected one of bicubic"),
        ({"caption_options": {"columns": []}}, "caption_options: expected some of column_names"),
        (
            {"caption_options": {"column_names": ["a", "b"], "weights": {"a": 1}}},
            "weights: expected one for each of a, b, got none for b",
        ),
        (
            {"caption_options": {"column_names": "a", "weights": 3}},
            "weights: expected an object or a list, got 3",
        ),
        ({"caption_options": []}, r"caption_options: expected an object, got \[\]"),
        ({"weight": 0}, "weight: expected a number above 0, got 0"),
    ],
)
def test_wrong_entries_are_refused_with_their_number(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"training.json, datasets\[1\]: .*{message}"):
        read(entry(), entry(**values))


def test_weights_are_for_all_or_none() -> None:
    with pytest.raises(
        ConfigurationError, match="expected a weight in each of datasets or in none"
    ):
        read(entry(weight=1), entry())
