import json

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.options import SampleOptions

FULL = SampleOptions(
    image_resolution_buckets=((512, 512), (512, 768)),
    video_resolution_buckets=((49, 480, 768),),
    reshape_mode="center_crop",
    upscale=False,
    short_videos="pad",
    seed=7,
    captions=CaptionOptions(
        caption_columns=("a", "b"),
        caption_weights=(1, 2),
        id_token="TOK",
        rename_columns={"c": "d"},
    ),
)


@pytest.mark.parametrize("options", [SampleOptions(), FULL])
def test_options_survive_json(options: SampleOptions) -> None:
    assert SampleOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_lists_are_as_good_as_tuples() -> None:
    listed = SampleOptions(
        image_resolution_buckets=[[512, 512]], captions=CaptionOptions(caption_columns=["a"])
    )
    assert listed.image_resolution_buckets == ((512, 512),)
    assert listed.captions.caption_columns == ("a",)
    assert hash(listed.image_resolution_buckets) == hash(((512, 512),))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"reshape": 1}, "options of samples: expected some of .* got 'reshape'; did you mean"),
        ({"captions": {"token": 1}}, "options of captions: expected some of .* got 'token'"),
        ({"captions": 5}, "captions: expected an object, got 5"),
    ],
)
def test_unknown_options_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SampleOptions.from_json(values)
