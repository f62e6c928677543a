import json

import pytest
import torch

from dataset_assets.compat.torchdatasetutil.image_pairs import CreateImageLoaders
from dataset_assets.errors import ConfigurationError, SourceError
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.paired_images import CLASSES, DESCRIPTION, write_pairs


def create(root, description=DESCRIPTION, **options):
    return CreateImageLoaders(
        str(root), "imgml", description, CLASSES, **{"height": 20, "width": 20, **options}
    )


def values(loader):
    """Return the pixel that identifies each image."""
    return [int(value) for batch in loader["dataloader"] for value in batch[0][:, 0, 0, 0].tolist()]


def test_loaders_equal_those_of_torchdatasetutil_when_pairs_share_a_folder(tmp_path):
    write_pairs(Store(str(tmp_path / "imgml/data/lit")))
    Store(str(tmp_path / "imgml")).write("data/lit/set.json", json.dumps(DESCRIPTION).encode())
    train, test = create(tmp_path, "data/lit/set.json")
    assert (train["set"], train["split"], train["batches"], train["length"]) == ("train", 0.8, 4, 8)
    assert (test["set"], test["split"], test["batches"], test["length"], test["dataset_dfn"]) == (
        "test",
        0.2,
        1,
        2,
        "data/lit/set.json",
    )
    inputs, labels, mean, _ = next(iter(train["dataloader"]))
    assert (inputs.shape, inputs.dtype, labels.shape, labels.dtype) == (
        (2, 1, 20, 20),
        torch.float32,
        (2, 20, 20),
        torch.uint8,
    )
    assert mean.dtype == torch.float64
    assert set(labels.unique().tolist()) <= {0, 1, 2, 255}


@pytest.mark.parametrize("workers", [0, 2])
def test_every_pair_is_in_one_set_when_splits_add_up_to_one(tmp_path, workers):
    write_pairs(Store(str(tmp_path / "imgml/data/lit")), count=11)
    train, test = create(
        tmp_path,
        loaders=[{"set": "val", "split": 0.6}, {"set": "test", "split": 0.4}],
        height=24,
        width=30,
        normalize=False,
        num_workers=workers,
    )
    assert (train["length"], test["length"]) == (6, 5)
    assert sorted(values(train) + values(test)) == list(range(11))
    assert values(test) == values(test)


def test_sets_are_equal_when_the_seed_is_equal(tmp_path):
    write_pairs(Store(str(tmp_path / "imgml/data/lit")))
    options = {"height": 24, "width": 30, "normalize": False}
    first, again, other = (
        sorted(values(create(tmp_path, random_seed=seed, **options)[1])) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_pairs_are_found_when_they_are_in_different_folders(tmp_path):
    write_pairs(
        Store(str(tmp_path / "imgml/data/lit")), image="photos/a/img_{}.png", label="masks/a/{}.png"
    )
    description = {
        "prefix": "data/lit",
        "image_path": "photos",
        "image_pattern": "img_*.png",
        "label_path": "masks",
        "label_pattern": "*.png",
    }
    train, test = create(tmp_path, description)
    assert train["length"] + test["length"] == 10
    assert next(iter(train["dataloader"]))[0].shape == (2, 3, 20, 20)


def test_pair_is_replaced_when_its_image_is_deleted(tmp_path):
    write_pairs(Store(str(tmp_path / "imgml/data/lit")))
    train, _ = create(
        tmp_path,
        height=24,
        width=30,
        normalize=False,
        rotate=0,
        scale_min=1,
        scale_max=1,
        flipX=False,
    )
    gone, also_gone, *_ = values(train)
    (tmp_path / f"imgml/data/lit/scan {gone}.tif").unlink()
    found = values(train)
    assert len(found) == 8
    assert gone not in found
    assert f"scan {gone} in " in train["dataloader"].metrics()["bad_keys"][0]
    (tmp_path / f"imgml/data/lit/scan {also_gone}.tif").unlink()
    with pytest.raises(SourceError, match="more than 1 bad samples"):
        values(train)


def test_description_is_named_when_there_are_no_pairs(tmp_path):
    write_pairs(Store(str(tmp_path / "imgml/data/lit")), label="{}_other.png")
    with pytest.raises(
        SourceError, match=r"no pairs below .*: 10 images '\*.tif' in 'data/lit/', 0 label maps"
    ):
        create(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [{"image_pattern": "a.tif"}, {"label_pattern": "*_*.png"}, {"recursive": "yes"}, {"prefix": 3}],
)
def test_key_is_named_when_the_description_is_invalid(tmp_path, wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        create(tmp_path, DESCRIPTION | wrong)
