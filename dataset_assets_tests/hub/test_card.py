from dataclasses import replace

import pytest
import yaml
from huggingface_hub import DatasetCard

from dataset_assets.errors import ConfigurationError, ShardIncomplete
from dataset_assets.hub.card import card_text, size_category
from dataset_assets.hub.card_options import CardOptions
from dataset_assets.records.splits import ArchiveFile, SplitCount, SplitManifest

FEATURES = {
    "video": {"feature": {"_type": "Image"}, "_type": "Sequence"},
    "n_frames": {"dtype": "int32", "_type": "Value"},
    "key": {"dtype": "string", "_type": "Value"},
    "fps": {"dtype": "float64", "_type": "Value"},
}
OPTIONS = CardOptions(license="cc-by-4.0")


def table(split, number, of, samples, prefix="data/"):
    return ArchiveFile(
        f"{prefix}{split}-{number:05d}-of-{of:05d}.parquet",
        split,
        "parquet",
        100,
        "0" * 64,
        samples,
        samples,
    )


def tar(split, samples):
    return ArchiveFile(
        f"archives/{split}-00000-of-00001.tar", split, "tar", 1000, "0" * 64, samples, samples * 3
    )


def make_manifest(**changes):
    manifest = SplitManifest(
        version="abcdef0123456789",
        source_fingerprint="f" * 64,
        media="frames",
        columns={"fps": "double"},
        splits={
            "train": SplitCount(3, 2, 900),
            "test": SplitCount(1, 1, 300),
            "spare": SplitCount(0, 0, 0),
        },
        files=(
            tar("test", 1),
            tar("train", 3),
            table("spare", 0, 1, 0),
            table("test", 0, 1, 1),
            table("train", 0, 2, 2),
            table("train", 1, 2, 1),
        ),
        options={
            "ratios": {"train": 0.75, "test": 0.25, "spare": 0},
            "seed": 42,
            "method": "exact",
            "group_by": None,
        },
    )
    return replace(manifest, **changes)


def head_of(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_head_names_features_splits_and_files_when_a_version_is_described():
    head = head_of(
        card_text(
            make_manifest(),
            FEATURES,
            replace(OPTIONS, languages=("en",), tags=("video",)),
            "me/videos",
        )
    )
    assert head == {
        "license": "cc-by-4.0",
        "pretty_name": "videos",
        "language": ["en"],
        "tags": ["video"],
        "size_categories": ["n<1K"],
        "dataset_info": {
            "features": [
                {"name": "video", "list": "image"},
                {"name": "n_frames", "dtype": "int32"},
                {"name": "key", "dtype": "string"},
                {"name": "fps", "dtype": "float64"},
            ],
            "splits": [
                {"name": "train", "num_bytes": 900, "num_examples": 3},
                {"name": "test", "num_bytes": 300, "num_examples": 1},
            ],
            "download_size": 300,
            "dataset_size": 1200,
        },
        "configs": [
            {
                "config_name": "default",
                "version": "1.0.0",
                "description": "snapshot abcdef0123456789",
                "data_files": [
                    {"split": "train", "path": "data/train-*-of-00002.parquet"},
                    {"split": "test", "path": "data/test-*-of-00001.parquet"},
                ],
            }
        ],
    }


def test_clients_read_back_features_splits_and_configs_when_they_parse_the_card():
    from datasets import Features, Image, Value
    from datasets.info import DatasetInfosDict
    from datasets.utils.metadata import MetadataConfigs

    card = DatasetCard(card_text(make_manifest(), FEATURES, OPTIONS, "me/videos"))
    info = DatasetInfosDict.from_dataset_card_data(card.data)["default"]
    assert info.features == Features(
        {
            "video": Features.from_dict(FEATURES)["video"],
            "n_frames": Value("int32"),
            "key": Value("string"),
            "fps": Value("float64"),
        }
    )
    assert isinstance(info.features["video"].feature, Image)
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 3,
        "test": 1,
    }
    assert (
        MetadataConfigs.from_dataset_card_data(card.data)["default"]["description"]
        == "snapshot abcdef0123456789"
    )
    assert card.data.license == "cc-by-4.0"


def test_structures_are_listed_when_rows_hold_files():
    from datasets import Features
    from datasets.info import DatasetInfosDict

    features = {
        "file": {
            "bytes": {"dtype": "binary", "_type": "Value"},
            "path": {"dtype": "string", "_type": "Value"},
        },
        "extension": {"dtype": "string", "_type": "Value"},
    }
    card = DatasetCard(card_text(make_manifest(media="file"), features, OPTIONS, "me/files"))
    assert DatasetInfosDict.from_dataset_card_data(card.data)[
        "default"
    ].features == Features.from_dict(features)


def test_card_is_equal_when_made_twice_and_another_when_the_version_changed():
    text = card_text(make_manifest(), FEATURES, OPTIONS, "me/videos")
    assert text == card_text(make_manifest(), FEATURES, OPTIONS, "me/videos")
    assert (
        head_of(text)["configs"]
        != head_of(card_text(make_manifest(version="1234"), FEATURES, OPTIONS, "me/videos"))[
            "configs"
        ]
    )


def test_body_tells_how_to_load_what_is_in_it_and_where_it_comes_from():
    options = CardOptions(
        license="mit",
        pretty_name="Some | videos",
        text="Filmed at home.",
        source_urls=("https://me:secret@example.org/a?token=abc",),
    )
    text = card_text(
        make_manifest(),
        FEATURES,
        options,
        "me/videos",
        code_version="1.2",
        legacy_script="legacy/load_videos.py",
    )
    body = text.split("---\n", 2)[2]
    for expected in (
        "# Some | videos",
        "Filmed at home.",
        'load_dataset("me/videos", split="train", streaming=True)',
        'load_published("me/videos"',
        'video_dataset("me/videos"',
        '"legacy/load_videos.py"',
        "| train | 3 | 2 | 900 | 2 | 1 |",
        "| spare | 0 | 0 | 0 | 1 | 0 |",
        "| `video` | list of image |",
        "| seed | `42` |",
        "| ratios | `{",
        "`abcdef0123456789`",
        "dataset-assets 1.2",
    ):
        assert expected in body
    assert "secret" not in text
    assert "token=abc" not in text


def test_body_shows_streams_of_images_when_rows_are_images():
    text = card_text(
        make_manifest(media="image"), {"image": {"_type": "Image"}}, OPTIONS, "me/images"
    )
    assert '"hf://datasets/me/images/archives/train-*.tar"' in text
    assert "hf_dataset_to_mlx_stream" in text
    assert "legacy" not in text


@pytest.mark.parametrize(
    "word", ["yes", "null", "1", "a: b", "- x", "'", "ü\U0001f600", "#", "---\nlicense: mit\n---"]
)
def test_words_of_people_stay_words_when_yaml_would_read_them_otherwise(word):
    options = CardOptions(license="other", pretty_name=word, tags=(word,))
    card = DatasetCard(card_text(make_manifest(), FEATURES, options, "me/videos"))
    assert (card.data.pretty_name, card.data.tags, card.data.license) == (word, [word], "other")


def test_every_table_is_named_when_one_pattern_does_not_cover_them():
    files = (table("train", 0, 1, 2), table("train", 0, 1, 1, prefix="data/more/"))
    manifest = make_manifest(files=files, splits={"train": SplitCount(3, 2, 900)})
    [config] = head_of(card_text(manifest, FEATURES, OPTIONS, "me/videos"))["configs"]
    assert config["data_files"] == [{"split": "train", "path": [file.name for file in files]}]


def test_card_is_refused_when_tables_hold_other_counts_than_the_manifest():
    with pytest.raises(ShardIncomplete, match="'train'.*hold 3 samples.*counts 4"):
        card_text(
            make_manifest(splits={"train": SplitCount(4, 2, 900)}), FEATURES, OPTIONS, "me/videos"
        )


def test_card_is_refused_when_there_are_no_tables():
    with pytest.raises(ConfigurationError, match="tables=True"):
        card_text(
            make_manifest(files=(tar("train", 3), tar("test", 1))), FEATURES, OPTIONS, "me/videos"
        )


def test_card_is_refused_when_a_feature_is_unknown_to_old_clients():
    with pytest.raises(ConfigurationError, match="'sound'.*'Audio'"):
        card_text(make_manifest(), {"sound": {"_type": "Audio"}}, OPTIONS, "me/videos")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"license": ""}, "license"),
        ({"license": "CC BY"}, "license"),
        ({"license": "mit", "languages": ("English",)}, "languages"),
    ],
)
def test_options_are_refused_when_the_hub_would_not_know_them(options, word):
    with pytest.raises(ConfigurationError, match=f"^{word}: expected"):
        CardOptions(**options)


@pytest.mark.parametrize(
    ("samples", "name"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (10**6, "1M<n<10M"),
        (10**11 - 1, "10B<n<100B"),
        (10**11, "100B<n<1T"),
        (10**13, "n>1T"),
    ],
)
def test_size_has_the_name_of_the_hub(samples, name):
    assert size_category(samples) == name
