import json

import numpy as np
import pytest
import torch

from dataset_assets.compat.torchdatasetutil.coco import CreateCocoLoaders
from dataset_assets.errors import ClassDictionaryError, ConfigurationError, ObjectMissing
from dataset_assets.loaders.labels.class_dictionary import shipped
from dataset_assets.loaders.labels.label_maps import objects_as_json
from dataset_assets.loaders.torch.loader import LoaderOptions, ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.staged_datasets import stage_coco

KEYS = {
    "set",
    "dataset",
    "image_path",
    "enable_transform",
    "batches",
    "length",
    "dataset_dfn",
    "dataloader",
    "unknown_labels",
}
TRAIN_IDS = {0, *shipped("coco").trainIds.values()}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder in which `imgml` is the bucket."""
    folder = tmp_path_factory.mktemp("coco")
    stage_coco(folder / "archives", Store(str(folder / "root" / "imgml")))
    return str(folder / "root")


def create(root, **options):
    return CreateCocoLoaders(
        root,
        "imgml",
        **{"class_dict": "coco", "height": 96, "width": 80, "batch_size": 5, **options},
    )


def batches(loader):
    return [[part.clone() for part in batch] for batch in loader["dataloader"]]


def equal(first, second):
    return all(
        torch.equal(a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_loaders_equal_those_of_torchdatasetutil_with_default_arguments(root):
    train, test = CreateCocoLoaders(root, "imgml", "coco")
    assert set(train) == set(test) == KEYS
    assert (train["set"], test["set"]) == ("train", "test")
    assert (train["batches"], train["length"]) == (6, 12)
    inputs, labels, mean, stdev = next(iter(train["dataloader"]))
    assert (inputs.shape, inputs.dtype, inputs.is_contiguous()) == (
        (2, 3, 640, 640),
        torch.float32,
        True,
    )
    assert (labels.shape, labels.dtype) == ((2, 640, 640), torch.uint8)
    assert (mean.shape, mean.dtype, stdev.shape, stdev.dtype) == (
        (2,),
        torch.float64,
        (2,),
        torch.float64,
    )


def test_last_batch_is_dropped_in_training_only(root):
    train, test = create(root)
    assert [len(batch[0]) for batch in batches(train)] == [5, 5]
    assert (train["batches"], train["length"]) == (2, 10)
    assert [len(batch[0]) for batch in batches(test)] == [4]
    assert (test["batches"], test["length"]) == (1, 4)


def test_labels_are_train_ids_or_ignore_when_augmented(root):
    train, _ = create(root, rotate=30)
    seen = {
        label
        for _ in range(10)
        for batch in train["dataloader"]
        for label in np.unique(batch[1]).tolist()
    }
    assert seen - {255} <= TRAIN_IDS
    assert 255 in seen
    assert len(seen) > 3


def test_validation_equals_the_stored_image_when_read_twice(root):
    _, test = create(root, normalize=False)
    first, again = batches(test), batches(test)
    assert equal(first, again)
    rows = ShardRows(Store(f"{root}/imgml/data/coco/staged/val2017"))
    heights = rows.column("height")
    for index, (inputs, labels) in enumerate(zip(first[0][0], first[0][1], strict=True)):
        assert (labels != 255).sum() == min(96, heights[index]) * min(
            80, rows.column("width")[index]
        )
        assert inputs.max() <= 255
    assert first[0][2].tolist() == [0] * 4
    assert first[0][3].tolist() == [1] * 4


@pytest.mark.parametrize("workers", [2])
def test_batches_are_the_same_when_the_number_of_workers_differs(root, workers):
    alone, together = (create(root, num_workers=count)[0] for count in (0, workers))
    first = batches(alone)
    assert equal(first, batches(together))
    assert equal(first, batches(create(root, random_seed=0)[0]))
    assert not equal(first, batches(create(root, random_seed=1)[0]))
    assert not equal(first, batches(alone))  # the next epoch


def test_inputs_become_pixels_when_normalization_is_reverted(root):
    plain = batches(create(root, normalize=False)[1])[0]
    inputs, _, mean, stdev = batches(create(root)[1])[0]
    back = inputs * stdev[:, None, None, None] + mean[:, None, None, None]
    inside = (plain[1] != 255)[:, None].expand_as(plain[0])
    assert torch.allclose(back[inside].float(), plain[0][inside], atol=0.01)


def test_channels_are_swapped_when_color_is_rgb(root):
    bgr, rgb = (batches(create(root, color=color)[1])[0][0] for color in ("bgr", "rgb"))
    assert torch.equal(bgr.flip(1), rgb)


def test_transforms_are_called_when_they_are_given(root):
    options = {
        "image_transform": lambda image: image * 0 + 7,
        "label_transform": lambda label: label.long(),
    }
    inputs, labels, _, _ = next(iter(create(root, **options)[0]["dataloader"]))
    assert (inputs.unique().tolist(), labels.dtype) == ([7], torch.int64)
    assert equal(
        batches(create(root)[1]), batches(create(root, image_transform=lambda image: image)[1])
    )


def test_sets_of_torchdatasetutil_are_found_when_they_name_the_annotations(root):
    given = [
        {
            "set": "val",
            "dataset": "data/coco/annotations/instances_val2017.json",
            "image_path": "data/coco/val2017",
            "enable_transform": False,
        }
    ]
    (found,) = create(root, loaders=given)
    assert found["length"] == 4
    assert "dataloader" not in given[0]


def test_categories_are_ignored_and_counted_when_the_dictionary_lacks_them(root, caplog):
    person = {
        "id": 1,
        "trainId": 1,
        "name": "person",
        "category": "person",
        "display": True,
        "color": [1, 2, 3],
    }
    dictionary = {
        "background": 0,
        "ignore": 9,
        "classes": 2,
        "objects": [person],
        "input_type": "float32",
    }
    train, _ = create(root, class_dict=dictionary)
    assert set(train["unknown_labels"]) == {2, 3, 18, 90}
    assert "3 (car) in" in caplog.text
    assert {label for batch in batches(train) for label in np.unique(batch[1]).tolist()} == {
        0,
        1,
        9,
    }


def test_class_dictionary_is_found_when_it_is_an_object_of_the_bucket_or_a_file(root, tmp_path):
    objects = [
        {"id": 1, "trainId": 1, "name": "a", "category": "b", "display": True, "color": [1, 2, 3]}
    ]
    data = json.dumps({"background": 0, "ignore": 255, "classes": 2, "objects": objects}).encode()
    Store(f"{root}/imgml").write("data/coco/coco.json", data)
    (tmp_path / "file.json").write_bytes(data)
    for place in ("data/coco/coco.json", str(tmp_path / "file.json")):
        assert set(create(root, class_dict=place)[0]["unknown_labels"]) == {2, 3, 18, 90}
    with pytest.raises(
        ClassDictionaryError, match="'nowhere.json': neither an object of .*imgml nor a file"
    ):
        create(root, class_dict="nowhere.json")


def test_state_resumes_at_any_batch_when_ranks_change(root):
    whole = batches(create(root, batch_size=2)[0])
    first = create(root, batch_size=2)[0]["dataloader"]
    iterator = iter(first)
    for _ in range(2):
        next(iterator)
    state = json.loads(json.dumps(first.state_dict()))
    parts = []
    for rank in range(2):
        loader = create(root, batch_size=1, options=LoaderOptions(rank=rank, world_size=2))[0][
            "dataloader"
        ]
        loader.load_state_dict(state)
        parts.append([[part.clone() for part in batch] for batch in loader])
    joined = [
        [torch.cat(pair) for pair in zip(*both, strict=True)] for both in zip(*parts, strict=True)
    ]
    assert equal(joined, whole[2:])


def test_bad_samples_are_replaced_by_default(tmp_path):
    stage_coco(tmp_path / "archives", Store(str(tmp_path / "root")), images=8)
    rows = ShardRows(Store(str(tmp_path / "root/data/coco/staged/train2017")))
    (_, offset, length), *_ = rows.member_ranges(3, ())
    tar = tmp_path / "root/data/coco/staged/train2017" / rows.files[rows.shard[3]].name
    data = bytearray(tar.read_bytes())
    data[offset : offset + length] = bytes(length)
    tar.write_bytes(data)
    train = CreateCocoLoaders(str(tmp_path / "root"), None, "coco", height=32, width=32)[0][
        "dataloader"
    ]
    assert sum(len(batch[0]) for batch in train) == 8
    assert train.metrics()["bad_samples"] == 1
    assert rows.key(3) in train.metrics()["bad_keys"][0]


def test_error_names_the_folder_when_nothing_is_staged(tmp_path):
    with pytest.raises(ObjectMissing, match="train2017"):
        CreateCocoLoaders(str(tmp_path), None, "coco")


@pytest.mark.parametrize(
    "wrong", [{"normalize": "yes"}, {"color": "cmyk"}, {"scale_min": 0}, {"batch_size": 0}]
)
def test_option_is_named_when_it_is_invalid(root, wrong):
    with pytest.raises(ConfigurationError):
        create(root, **wrong)


def test_samples_with_a_class_are_drawn_when_the_class_dictionary_weighs_them(root):
    rows = ShardRows(Store(f"{root}/imgml/data/coco/staged/train2017"))
    counts = [json.loads(text or "{}") for text in rows.column("label_counts")]
    label = next(
        label
        for label in sorted(set().union(*counts))
        if sum(label in each for each in counts) < len(counts)
    )
    train_id = shipped("coco").trainIds[int(label)]
    weights = {"weights": [0, 2.5], "class": train_id}
    dictionary = {
        "background": 0,
        "ignore": 255,
        "classes": 81,
        "objects": objects_as_json(shipped("coco")),
        "sample_weights": weights,
    }
    train = create(
        root,
        class_dict=dictionary,
        batch_size=1,
        rotate=0,
        scale_min=1,
        scale_max=1,
        offset=0,
        height=160,
        width=160,
    )[0]
    drawn = [batch[1] for batch in batches(train)]
    assert len(drawn) == len(rows)
    assert all((labels == train_id).any() for labels in drawn)
