import json
import zipfile

import cv2
import numpy as np
import pytest
from pycocotools import mask as pycoco

from dataset_assets.pipelines.stage.access import StoreAccess
from dataset_assets.staging.sources.coco import CocoOptions, Source
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.tiny_coco import COMPRESSED, CROWD, UNANNOTATED, write_coco

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # in pycocotools
ALL = ("instances", "captions", "person_keypoints", "stuff", "panoptic")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    write_coco(folder)
    return folder


@pytest.fixture
def opened(published, tmp_path):
    partitions = []

    def open_one(partition="train2017", **options):
        source = Source(CocoOptions(folder=str(published), partitions=(partition,), **options))
        partitions.append(source.open(partition, StoreAccess(open_store(str(tmp_path / "staged")))))
        return partitions[-1]

    yield open_one
    for each in partitions:
        each.close()


def _document(published, archive, name):
    with zipfile.ZipFile(published / f"{archive}.zip") as file:
        return json.loads(file.read(f"annotations/{name}.json"))


def _by_image(document):
    found = {image["id"]: [] for image in document["images"]}
    for each in document["annotations"]:
        found[each["image_id"]].append(each)
    return found


def _painted(image, annotations):
    """A label map as pycocotools draws it."""
    height, width = image["height"], image["width"]
    label_map = np.zeros((height, width), np.uint8)
    for each in sorted(annotations, key=lambda each: (not each["iscrowd"], -each["area"])):
        drawn = (
            pycoco.frPyObjects(each["segmentation"], height, width)
            if not _is_text(each)
            else each["segmentation"]
        )
        mask = pycoco.decode(pycoco.merge(drawn) if isinstance(drawn, list) else drawn)
        label_map[mask > 0] = each["category_id"]
    return label_map


def _is_text(annotation):
    return isinstance(annotation["segmentation"], dict) and isinstance(
        annotation["segmentation"]["counts"], str
    )


def _pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize("partition", ["train2017", "val2017"])
def test_label_maps_are_those_of_the_coco_api_when_drawn(published, opened, partition):
    document = _document(published, "annotations_trainval2017", f"instances_{partition}")
    images, annotations = (
        {image["file_name"]: image for image in document["images"]},
        _by_image(document),
    )
    found = opened(partition)
    items = list(found.read_items(0))
    assert len(items) == found.count == len(images)
    for item in items:
        image = images[item.path.partition("/")[2]]
        sample = found.make_sample(item)
        want = _painted(image, annotations[image["id"]])
        np.testing.assert_array_equal(_pixels(sample.parts["seg.png"]), want)
        assert sample.label_counts == {
            label: count for label, count in enumerate(np.bincount(want.ravel())) if label and count
        }
        assert json.loads(sample.parts["annotations.json"])["instances"] == annotations[image["id"]]


@pytest.mark.parametrize("partition", ["train2017", "val2017"])
def test_crowds_are_in_both_forms_when_the_test_data_is_made(published, partition):
    document = _document(published, "annotations_trainval2017", f"instances_{partition}")
    crowds = {
        each["image_id"]: _is_text(each) for each in document["annotations"] if each["iscrowd"]
    }
    ids = [image["id"] for image in document["images"]]
    assert crowds == {ids[CROWD]: False, ids[COMPRESSED]: True}


def test_sample_says_what_is_published_when_made(published, opened):
    found = opened(annotations=ALL)
    assert found.columns == {
        "image_id": "int64",
        "license": "int32",
        "n_annotations": "int32",
        "caption": "string",
    }
    assert found.parts == ("annotations.json", "panoptic.png", "seg.png")
    captions = _by_image(_document(published, "annotations_trainval2017", "captions_train2017"))
    for item in found.read_items(0):
        sample = found.make_sample(item)
        said = json.loads(sample.parts["annotations.json"])
        assert list(said) == ["image", *ALL]
        image = said["image"]
        assert (item.path, sample.key, sample.extension) == (
            f"train2017/{image['file_name']}",
            f"{image['id']:012d}",
            "jpg",
        )
        assert sample.columns == {
            "image_id": image["id"],
            "license": image["license"],
            "n_annotations": len(said["instances"]),
            "caption": captions[image["id"]][0]["caption"],
        }
        assert said["captions"] == captions[image["id"]]
        assert all(each["keypoints"] for each in said["person_keypoints"])
        (segments,) = said["panoptic"]
        colors = _pixels(sample.parts["panoptic.png"]).astype(int) @ [65536, 256, 1]
        assert set(np.unique(colors)) == {each["id"] for each in segments["segments_info"]}


def test_things_lie_over_stuff_when_both_are_drawn(published, opened):
    stuff = _by_image(_document(published, "stuff_annotations_trainval2017", "stuff_train2017"))
    found, alone, instances = (
        opened(annotations=("instances", "stuff")),
        opened(annotations=("stuff",)),
        opened(annotations=("instances",)),
    )
    for item in found.read_items(0):
        both, below, above = (
            _pixels(each.make_sample(item).parts["seg.png"]) for each in (found, alone, instances)
        )
        np.testing.assert_array_equal(both, np.where(above > 0, above, below))
        image = json.loads(alone.make_sample(item).parts["annotations.json"])["image"]
        np.testing.assert_array_equal(below, _painted(image, stuff[image["id"]]))


def test_classes_are_the_categories_when_opened(opened):
    classes = {each.id: each for each in opened(annotations=ALL).classes}
    assert [(each.name, each.category) for each in (classes[1], classes[92])] == [
        ("person", "person"),
        ("banner", "textile"),
    ]
    assert classes[183].color == (220, 20, 60)
    assert [each.color for each in opened().classes] == [None] * 5


def test_image_is_kept_when_nothing_is_annotated(published, opened):
    found = opened()
    ids = [
        image["id"]
        for image in _document(published, "annotations_trainval2017", "instances_train2017")[
            "images"
        ]
    ]
    item = next(
        item for item in found.read_items(0) if item.path.endswith(f"{ids[UNANNOTATED]:012d}.jpg")
    )
    sample = found.make_sample(item)
    assert (sample.columns["n_annotations"], sample.label_counts) == (0, {})
    assert not _pixels(sample.parts["seg.png"]).any()
    assert found.warnings["instances: images without annotations"] == 1


@pytest.mark.parametrize("partition", ["test2017", "unlabeled2017"])
def test_images_have_no_labels_when_none_are_published(opened, partition):
    found = opened(partition)
    assert found.parts == ("annotations.json",)
    samples = [found.make_sample(item) for item in found.read_items(0)]
    assert len(samples) == found.count > 1
    assert all(
        list(json.loads(sample.parts["annotations.json"])) == ["image"] for sample in samples
    )
    assert found.warnings == {}
    assert all(sample.columns["license"] and not sample.label_counts for sample in samples)


def test_items_are_those_behind_when_begun_later(opened):
    found = opened(annotations=("instances", "panoptic"))
    items = list(found.read_items(0))
    assert list(found.read_items(7)) == items[7:]
    assert [item.index for item in items] == list(range(12))
    assert sorted(item.offset for item in items) == [item.offset for item in items]


def test_objects_are_those_of_torchdatasetutil_when_asked(opened):
    found = opened(annotations=("instances", "panoptic"))
    item = next(found.read_items(0))
    name = item.path.partition("/")[2]
    assert dict(found.make_objects(item)) == {
        f"train2017/{name}": item.payload,
        f"annotations/panoptic_train2017/{name.replace('jpg', 'png')}": item.companions[
            "panoptic.png"
        ],
    }


def test_fingerprint_follows_the_data_when_places_change(published, opened, tmp_path):
    other = tmp_path / "other"
    write_coco(other)
    same = opened().fingerprint
    assert opened(archives={"train2017": str(other / "train2017.zip")}).fingerprint == same
    assert opened(annotations=("instances",)).fingerprint != same
    write_coco(other, seed=1)
    assert (
        opened(
            archives={"annotations_trainval2017": str(other / "annotations_trainval2017.zip")}
        ).fingerprint
        != same
    )


def test_annotations_are_not_read_again_when_the_partition_keeps_them(published, tmp_path):
    for _ in range(2):
        access = _CountingAccess(open_store(str(tmp_path / "staged")))
        Source(CocoOptions(folder=str(published), annotations=ALL)).open("val2017", access).close()
    assert access.read == []
    kept = {path.name for path in (tmp_path / "staged" / "annotations").iterdir()}
    assert kept >= {f"{kind}_val2017.json" for kind in ALL} | {"panoptic_val2017.zip"}


class _CountingAccess(StoreAccess):
    def __init__(self, store):
        super().__init__(store)
        self.read = []

    def keep(self, name, read, digest=""):
        def counted():
            self.read.append(name)
            return read()

        return super().keep(name, counted, digest)
