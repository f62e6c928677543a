import numpy as np
import pytest
import torch

from dataset_assets.compat.torchdatasetutil.cityscapes import CreateCityscapesLoaders
from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.labels.class_dictionary import shipped
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.staged_datasets import stage_cityscapes

KEYS = {
    "set",
    "dataset",
    "enable_transform",
    "batches",
    "length",
    "dataset_dfn",
    "dataloader",
    "class_dictionary",
    "mode",
    "target_type",
}
SHAPE = {"width", "height", "in_channels", "num_classes", "classes"}
S3DEF = {"sets": {"dataset": {"bucket": "imgml", "prefix": "data", "dataset_filter": ""}}}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cityscapes")
    stage_cityscapes(folder / "archives", Store(str(folder / "root" / "imgml")))
    return str(folder / "root")


def create(root, **options):
    return CreateCityscapesLoaders(
        root, S3DEF, src="data/cityscapes", dest=None, **{"height": 32, "width": 48, **options}
    )


def test_loaders_equal_those_of_torchdatasetutil_with_default_arguments(root, tmp_path):
    train, val = CreateCityscapesLoaders(root, S3DEF, "data/cityscapes", str(tmp_path / "kept"))
    assert set(train) >= (KEYS | SHAPE)
    assert (train["set"], train["length"], val["set"], val["length"]) == ("train", 6, "val", 3)
    assert [train[name] for name in ("width", "height", "in_channels", "num_classes")] == [
        256,
        256,
        3,
        19,
    ]
    assert train["classes"][7] == {
        "id": 7,
        "trainId": 0,
        "name": "road",
        "category": "flat",
        "display": True,
        "color": [128, 64, 128],
    }
    inputs, labels, mean, stdev = next(iter(train["dataloader"]))
    assert (inputs.shape, labels.shape, labels.dtype, mean.shape, stdev.dtype) == (
        (2, 3, 256, 256),
        (2, 256, 256),
        torch.uint8,
        (2,),
        torch.float64,
    )


def test_labels_are_train_ids_when_cropped(root):
    for loader in create(root, rotate=20):
        seen = {label for batch in loader["dataloader"] for label in np.unique(batch[1]).tolist()}
        assert seen <= {*range(19), 255}
        assert len(seen) > 10


def test_short_batches_are_kept_when_sets_do_not_divide(root):
    train, val = create(root, batch_size=4)
    assert [len(batch[0]) for batch in train["dataloader"]] == [4, 2]
    assert [len(batch[0]) for batch in val["dataloader"]] == [3]
    assert (train["batches"], val["batches"]) == (2, 1)


def test_nothing_is_augmented_when_transforms_are_off(root):
    train, _ = create(root, transforms=False, normalize=False)
    assert all(
        (batch[1].shape[1:], batch[3].tolist()) == ((32, 48), [1, 1])
        for batch in train["dataloader"]
    )
    first, again = (torch.cat([batch[0] for batch in train["dataloader"]]) for _ in range(2))
    assert torch.equal(first, again)


def test_samples_are_drawn_by_weight_when_weights_are_given(root):
    train, val = create(
        root,
        train_sampler_weights=[1, 0, 0, 0, 0, 0],
        batch_size=6,
        rotate=0,
        scale_min=1,
        scale_max=1,
        flipX=False,
    )
    (batch,) = train["dataloader"]
    assert len(batch[2].unique()) == 1
    assert len(next(iter(val["dataloader"]))[2].unique()) == 3


def test_labels_are_instance_ids_when_they_are_the_target(root):
    given = [{"set": "val", "enable_transform": False, "mode": "fine", "target_type": "instance"}]
    (found,) = create(root, loaders=given, width=64)
    labels = torch.cat([batch[1] for batch in found["dataloader"]])
    assert labels.dtype == torch.int64
    assert set((labels % 1000).unique().tolist()) == {0}
    assert labels.max() > 255


def test_dictionary_of_the_bucket_is_used_when_given(root):
    objects = [
        {
            "id": 7,
            "trainId": 1,
            "name": "road",
            "category": "flat",
            "display": True,
            "color": [1, 2, 3],
        }
    ]
    dictionary = {
        "background": 0,
        "ignore": 200,
        "classes": 2,
        "objects": objects,
        "input_channels": 3,
    }
    train, _ = create(root, class_dictionary=dictionary)
    assert train["classes"] is objects
    assert {label for batch in train["dataloader"] for label in np.unique(batch[1]).tolist()} <= {
        0,
        1,
        200,
    }
    assert len(train["unknown_labels"]) > 20


def test_names_of_cityscapes_are_those_of_the_shipped_dictionary_when_none_is_given(root):
    assert create(root)[0]["num_classes"] == shipped("cityscapes").classes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"borderType": 4}, "borderType: expected cv2.BORDER_CONSTANT"),
        ({"loaders": [{"set": "train", "target_type": ["semantic", "instance"]}]}, "target_type"),
        ({"loaders": [{"set": "train", "target_type": "color"}]}, "target_type"),
        ({"train_sampler_weights": [1, 2]}, "sample_weights: expected 6 values"),
        ({"astype": "int8"}, "dtype"),
    ],
)
def test_option_is_named_when_it_is_invalid(root, wrong, message):
    with pytest.raises(ConfigurationError, match=message):
        create(root, **wrong)


def test_bucket_is_requested_when_the_definition_does_not_name_it(root):
    with pytest.raises(ConfigurationError, match="s3def: expected sets, dataset, bucket"):
        CreateCityscapesLoaders(root, {"sets": {}}, "data/cityscapes", None)
