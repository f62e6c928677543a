import numpy as np
import pytest
import torch

from dataset_assets.compat.torchdatasetutil.imagenet import MEAN, STDEV, CreateImagenetLoaders
from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.torch.mixing import MixingCollate
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.staged_datasets import stage_imagenet


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    stage_imagenet(folder / "archives", Store(str(folder / "root")))
    return str(folder / "root")


def create(root, **options):
    return CreateImagenetLoaders(
        root,
        None,
        "data/imagenet",
        None,
        **{"crop_width": 40, "crop_height": 36, "batch_size": 4, **options},
    )


def batches(loader):
    return [[part.clone() for part in batch] for batch in loader["dataloader"]]


def test_loaders_equal_those_of_torchdatasetutil_with_default_arguments(root):
    train, val = CreateImagenetLoaders(root, None, "data/imagenet", None)
    assert (train["set"], train["length"], train["batches"], val["set"], val["length"]) == (
        "train",
        12,
        6,
        "val",
        4,
    )
    assert [train[name] for name in ("width", "height", "in_channels", "num_classes")] == [
        256,
        256,
        3,
        3,
    ]
    assert "tench" in train["classes"][0]
    images, labels = next(iter(train["dataloader"]))
    assert (images.shape, images.dtype) == ((2, 3, 256, 256), torch.float32)
    assert (labels.shape, labels.dtype) == ((2,), torch.int64)


def test_every_class_occurs_as_often_as_staged_in_an_epoch(root):
    train, val = create(root)
    assert torch.cat([batch[1] for batch in batches(train)]).bincount().tolist() == [4, 4, 4]
    assert len(torch.cat([batch[1] for batch in batches(val)])) == 4


def test_validation_is_equal_when_read_twice(root):
    _, val = create(root)
    first, again = batches(val), batches(val)
    assert all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
        for a, b in zip(first, again, strict=True)
    )


def test_images_are_normalized_when_they_are_only_cropped(root):
    options = {"augment": False, "resize_width": 24, "crop_width": 24, "batch_size": 12}
    (images, _), *_ = batches(create(root, normalize=True, **options)[1])
    assert images.shape == (4, 3, 24, 24)
    raw = images * torch.tensor(STDEV)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    assert raw.min() >= -1e-6
    assert raw.max() <= 1 + 1e-6
    (plain, _), *_ = batches(create(root, augment=False, batch_size=4)[1])
    assert plain.shape == (4, 3, 24, 32)
    assert torch.allclose(plain[..., 4:28], raw, atol=1e-6)


def test_classes_are_left_out_when_they_are_dropped(root):
    train, _ = create(root, drop_classes=["n01443537"])
    assert train["length"] == 8
    assert set(torch.cat([batch[1] for batch in batches(train)]).tolist()) == {0, 2}


def test_images_repeat_in_a_row_when_augmentation_is_repeated(root):
    given = [
        {
            "set": "train",
            "enable_transform": True,
            "sampler": "ra_sampler",
            "shuffle": True,
            "mixup": False,
        }
    ]
    (train,) = create(root, loaders=given, ra_reps=2, augment_noise=0)
    found = batches(train)
    images, labels = (
        torch.cat([batch[0] for batch in found]),
        torch.cat([batch[1] for batch in found]),
    )
    assert labels[0::2].tolist() == labels[1::2].tolist()
    assert len(labels) == 12
    assert not torch.equal(images[0], images[1])


def test_labels_are_shares_when_images_are_mixed(root):
    train, val = create(root, mixup_alpha=0.4, cutmix_alpha=1.0)
    for images, labels in train["dataloader"]:
        assert images.shape == (4, 3, 36, 40)
        assert (labels.shape, labels.dtype) == ((4, 3), torch.float32)
        assert torch.allclose(labels.sum(1), torch.ones(4))
    assert next(iter(val["dataloader"]))[1].dtype == torch.int64


def test_mixed_batches_are_the_same_when_workers_make_them(root):
    first, other = (
        batches(create(root, mixup_alpha=0.4, num_workers=workers)[0]) for workers in (0, 2)
    )
    assert all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])
        for a, b in zip(first, other, strict=True)
    )


@pytest.mark.parametrize("kind", ["mixup_alpha", "cutmix_alpha"])
def test_share_is_that_of_the_pixels_when_images_are_mixed(kind):
    collate = MixingCollate(classes=2, **{kind: 1.0})
    samples = [(np.full((1, 50, 60), number, np.float32), number) for number in (0, 1)]
    for seed in range(20):
        images, labels = collate(samples, np.random.default_rng(seed))
        assert torch.allclose(images.mean((1, 2, 3)), labels[:, 1], atol=1e-5)
        assert len(images[0].unique()) <= 2


def test_custom_transform_gets_pillow_images(root):
    def shrink(image):
        return torch.tensor([*image.size, len(image.getbands())], dtype=torch.float32)

    given = [
        {"set": "val", "enable_transform": False, "sampler": "sequential", "transform": shrink}
    ]
    ((images, labels),) = batches(create(root, loaders=given)[0])
    assert images.tolist() == [[32, 24, 3]] * 4
    assert labels.dtype == torch.int64


def test_sampler_is_named_when_it_is_unknown(root):
    with pytest.raises(
        ConfigurationError,
        match="sampler: expected one of random, sequential, ra_sampler, distributed, got 'rand'",
    ):
        create(root, loaders=[{"set": "train", "sampler": "rand"}])
