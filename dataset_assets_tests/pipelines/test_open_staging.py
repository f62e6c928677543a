"""Sources by name and options, and where their credentials come from."""

import pytest

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.stage.open_staging import ROLE, credentials, open_staging, options_of

NEEDED = {
    "imagenet": {"path": "archives/imagenet.zip"},
    "cvat": {"exports": {"train": "exports/task.zip"}},
}


@pytest.mark.parametrize("kind", registry.names(ROLE))
def test_source_is_what_its_name_says(kind):
    source = open_staging(kind, NEEDED.get(kind, {}))
    assert source.kind == kind
    assert source.partitions
    assert source.license.redistributable is (kind in ("coco", "cvat"))
    assert options_of(kind).__name__ == f"{kind.capitalize()}Options"


def test_lists_are_accepted_as_tuples():
    assert open_staging("coco", {"partitions": ["val2017"]}).partitions == ("val2017",)


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (
            "cocos",
            {},
            "unknown staging_source 'cocos': expected one of cityscapes, coco, cvat, imagenet",
        ),
        ("coco", {"partition": ["val2017"]}, "did you mean 'partitions'"),
        ("coco", {"partitions": ["val2018"]}, "val2018"),
        ("imagenet", {}, "path"),
        ("cityscapes", {"partitions": ["train", "dev"]}, "got 'dev'"),
    ],
)
def test_mistake_is_one_clear_error(kind, options, said):
    with pytest.raises(ConfigurationError, match=said):
        open_staging(kind, options)


def test_credentials_come_from_variables_or_the_credentials_file(tmp_path):
    path = tmp_path / "creds.yaml"
    path.write_text("cityscapes:\n  username: from-file\n  password: hidden\n")
    environment = {"DATASET_ASSETS_CREDENTIALS": str(path)}
    secret = credentials(environment)
    assert (secret("CITYSCAPES_USERNAME"), secret("CITYSCAPES_PASSWORD"), secret("KAGGLE_KEY")) == (
        "from-file",
        "hidden",
        None,
    )
    environment["CITYSCAPES_USERNAME"] = "from-variable"
    assert secret("CITYSCAPES_USERNAME") == "from-variable"
    assert credentials({})("CITYSCAPES_PASSWORD") is None
