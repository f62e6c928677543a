"""`preview_batch` draws the batch that training gets first, without torch."""

import numpy as np
import pytest

from dataset_assets.errors import SourceError
from dataset_assets.loaders.labels.class_dictionary import ClassDictionary
from dataset_assets.loaders.labels.label_maps import TrainIds
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.loader import LoaderOptions, ShardLoader, ShardRows
from dataset_assets.loaders.torch.transforms import SegmentationTransform
from dataset_assets.pipelines.preview import batch
from dataset_assets.pipelines.preview.batch import PreviewOptions, preview_batch
from dataset_assets.storage.store import open_store
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

DICTIONARY = ClassDictionary.load(
    {
        "background": 0,
        "classes": 4,
        "objects": [
            {
                "id": number,
                "trainId": number,
                "name": name,
                "category": name,
                "display": True,
                "color": [40 * number, 90, 200],
            }
            for number, name in enumerate(("circle", "square", "star"), 1)
        ],
    }
)
OPTIONS = PreviewOptions(batch_size=6, height=20, width=24, seed=3, class_dictionary=DICTIONARY)


def staged(folder, **spec):
    store = open_store(str(folder))
    write_set(store, SetSpec(images=True, **spec))
    return store


@pytest.mark.parametrize("augment", [True, False])
def test_the_batch_is_the_first_of_a_loader(tmp_path, monkeypatch, augment):
    store = staged(tmp_path)
    drawn = {}
    monkeypatch.setattr(
        batch,
        "draw_pairs",
        lambda keys, inputs, labels, *_: drawn.update(keys=keys, inputs=inputs, labels=labels),
    )
    preview = preview_batch(
        store,
        PreviewOptions(
            batch_size=6,
            height=20,
            width=24,
            seed=3,
            augment=augment,
            class_dictionary=DICTIONARY,
        ),
    )
    augmenting = AugmentOptions(
        height=20, width=24, random=augment, normalize="none", ignore=DICTIONARY.ignore
    )
    transform = SegmentationTransform(
        options=augmenting, train_ids=TrainIds(DICTIONARY), image_transform=lambda image: image
    )
    loader = ShardLoader(
        ShardRows(store),
        lambda sample, rng: (sample.key, *transform(sample, rng)),
        lambda samples, rng: samples,
        options=LoaderOptions(global_batch_size=6, seed=3, parts=("seg.png",)),
    )
    keys, images, labels, *_ = zip(*next(iter(loader)), strict=True)
    assert preview.keys == keys == drawn["keys"]
    np.testing.assert_array_equal(drawn["inputs"], np.stack([np.asarray(each) for each in images]))
    np.testing.assert_array_equal(drawn["labels"], np.stack(labels))
    assert preview.metrics["samples"] == 6


def test_bad_samples_are_left_out_and_named(tmp_path):
    preview = preview_batch(staged(tmp_path, broken=frozenset(range(0, 30, 2))), OPTIONS)
    bad = preview.metrics["bad_samples"]
    assert 0 < len(bad) == 6 - len(preview.keys)
    assert set(bad).isdisjoint(preview.keys)
    assert preview.shapes["inputs"] == f"({len(preview.keys)}, 3, 20, 24) float32"


def test_a_batch_without_usable_samples_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="expected usable samples in the first batch, got none"):
        preview_batch(staged(tmp_path, broken=frozenset(range(30))), OPTIONS)
