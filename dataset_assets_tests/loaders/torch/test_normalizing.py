import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dataset_assets.compat.torchdatasetutil.coco import CreateCocoLoaders
from dataset_assets.loaders.labels.class_dictionary import shipped
from dataset_assets.loaders.labels.label_maps import TrainIds
from dataset_assets.loaders.torch.augment import fit_into
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.loader import LoaderOptions
from dataset_assets.loaders.torch.shared_batches import BatchPool
from dataset_assets.loaders.torch.transforms import ClassificationTransform, SegmentationTransform
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.staged_datasets import stage_coco


def test_memory_is_reused_when_nothing_refers_to_the_batch():
    pool = BatchPool(pinned=False)
    batch = pool.take((2, 3), "float32")
    place = batch.data_ptr()
    del batch
    assert pool.take((2, 3), "float32").data_ptr() == place


@pytest.mark.parametrize(
    "hold",
    [
        lambda batch: batch,
        lambda batch: batch[0],
        lambda batch: batch.numpy()[1:],
        lambda batch: batch.view(6),
    ],
)
def test_memory_is_kept_when_something_refers_to_the_batch(hold):
    pool = BatchPool(pinned=False)
    batch = pool.take((2, 3), "float32").fill_(7)
    held = hold(batch)
    del batch
    for _ in range(5):
        pool.take((2, 3), "float32").fill_(0)
    assert set(np.asarray(held).ravel().tolist()) == {7}


def test_batches_differ_when_all_are_kept():
    pool = BatchPool(pinned=False)
    kept = [pool.take((4, 4), "float64") for _ in range(9)]
    assert len({each.data_ptr() for each in kept}) == 9


def test_kept_batches_do_not_change_when_an_epoch_continues(tmp_path):
    stage_coco(tmp_path / "archives", Store(str(tmp_path / "root")))
    loaders = [
        CreateCocoLoaders(str(tmp_path / "root"), None, "coco", height=40, width=40)[0][
            "dataloader"
        ]
        for _ in range(2)
    ]
    kept = list(loaders[0])
    copied = [[part.clone() for part in batch] for batch in loaders[1]]
    assert all(
        torch.equal(a, b)
        for one, other in zip(kept, copied, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_batches_are_the_same_when_workers_are_not_forked(tmp_path, method):
    stage_coco(tmp_path / "archives", Store(str(tmp_path / "root")), images=4)
    made = [
        [
            [part.clone() for part in batch]
            for batch in CreateCocoLoaders(
                str(tmp_path / "root"),
                None,
                "coco",
                height=40,
                width=40,
                num_workers=workers,
                options=options,
            )[0]["dataloader"]
        ]
        for workers, options in ((0, None), (1, LoaderOptions(start_method=method)))
    ]
    assert all(
        torch.equal(a, b)
        for one, other in zip(*made, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_when_another_loader_is_built_of_the_parts(tmp_path, workers):
    stage_coco(tmp_path / "archives", Store(str(tmp_path / "root")), images=6)
    ours = CreateCocoLoaders(
        str(tmp_path / "root"), None, "coco", height=40, width=40, num_workers=workers
    )[0]["dataloader"]
    expected = [[part.clone() for part in batch] for batch in ours]
    ours.set_epoch(0)
    ours.batch_sampler.epoch = ours.batch_sampler.start = 0
    plain = DataLoader(
        ours.dataset,
        batch_sampler=ours.batch_sampler,
        collate_fn=ours.collate_fn,
        num_workers=workers,
    )
    found = list(plain)
    assert len(found) == len(expected) > 0
    assert all(
        torch.equal(a, b)
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("persistent", [False, True])
def test_batches_are_the_same_when_they_are_sent_in_buffers(tmp_path, persistent):
    stage_coco(tmp_path / "archives", Store(str(tmp_path / "root")), images=12)

    def batches(workers):
        options = LoaderOptions(
            persistent_workers=persistent,
            prefetch_batches=1,
            start_method="fork" if workers else None,
        )
        loader = CreateCocoLoaders(
            str(tmp_path / "root"),
            None,
            "coco",
            height=40,
            width=56,
            num_workers=workers,
            options=options,
        )[0]["dataloader"]
        return [
            [part.clone() for part in batch] for _ in range(3) for batch in loader
        ]  # as many that each slot is used again and again

    expected, found = batches(0), batches(2)
    assert len(found) == len(expected) > 2 * 3
    assert all(
        torch.equal(a, b)
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_batches_are_the_same_when_an_epoch_was_left_in_the_middle(tmp_path):
    stage_coco(tmp_path / "archives", Store(str(tmp_path / "root")), images=12)
    options = LoaderOptions(start_method="fork")
    loader = CreateCocoLoaders(
        str(tmp_path / "root"), None, "coco", height=40, width=56, num_workers=2, options=options
    )[0]["dataloader"]
    first = [part.clone() for part in next(iter(loader))]
    loader.set_epoch(0)
    again = next(iter(loader))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_transforms_can_be_pickled():
    options = AugmentOptions()
    for transform in (
        SegmentationTransform(options=options, train_ids=TrainIds(shipped("coco"))),
        ClassificationTransform(options=options, fit=(224, 224)),
    ):
        assert pickle.loads(pickle.dumps(transform)).options == options


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_train_ids_are_those_of_the_dictionary_when_labels_have_eight_or_sixteen_bits(dtype):
    found = TrainIds(shipped("coco")).apply(np.array([[0, 1, 90, 12]], dtype))
    assert found.tolist() == [[0, 1, 80, 255]]
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 50), (224, 112)),
        ((50, 100), (112, 224)),
        ((448, 448), (224, 224)),
        ((9000, 3), (224, 1)),
    ],
)
def test_image_keeps_its_aspect_ratio_when_fitted(size, expected):
    width, height = size
    made = fit_into(np.zeros((height, width, 3), np.uint8), 224, 224)
    assert made.shape == (expected[1], expected[0], 3)
