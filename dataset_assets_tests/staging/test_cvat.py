import json

import cv2
import numpy as np
import pytest

from dataset_assets.errors import ArchiveCorrupt, ConfigurationError, UnreadableSource
from dataset_assets.records.staged import ClassLabel, SampleError
from dataset_assets.staging.sources.cvat import CvatExport, CvatOptions, Source
from dataset_assets_tests.support import tiny_cvat
from dataset_assets_tests.support.tiny_cvat import (
    FolderAccess,
    document,
    encoded_image,
    image_element,
    write_zip,
)


def opened(export, access=None, **options):
    return Source(CvatOptions(exports={"mine": export}, **options)).open(
        "mine", access or FolderAccess()
    )


def samples(partition, start=0):
    return [partition.make_sample(item) for item in partition.read_items(start)]


def labels(sample):
    return cv2.imdecode(np.frombuffer(sample.parts["seg.png"], np.uint8), cv2.IMREAD_UNCHANGED)


def test_images_become_samples_with_their_columns_when_a_project_is_exported(tmp_path):
    partition = opened(tiny_cvat.write_images(tmp_path / "a.zip"))
    found = samples(partition)
    assert [sample.key for sample in found] == [f"{number:06d}" for number in range(5)]
    assert [sample.extension for sample in found] == ["jpg", "png", "jpg", "jpg", "jpg"]
    assert [sample.columns["subset"] for sample in found] == [
        "train",
        "train",
        "val",
        "train",
        "train",
    ]
    assert [sample.columns["n_shapes"] for sample in found] == [4, 1, 1, 1, 0]
    assert found[0].columns == {
        "image_id": 0,
        "subset": "train",
        "task_id": 40,
        "n_shapes": 4,
        "tags": '["good_frame"]',
    }
    assert set(partition.columns) == set(found[0].columns)
    assert partition.count == 5
    assert partition.classes[0] == ClassLabel(1, "car", color=(0x3D, 0x3D, 0xF5))
    assert [label.name for label in partition.classes] == list(tiny_cvat.LABELS)
    assert partition.warnings == {"polyline not drawn": 1}


def test_shapes_are_drawn_over_one_another_when_they_have_depths(tmp_path):
    drawn = labels(samples(opened(tiny_cvat.write_images(tmp_path / "a.zip")))[0])
    assert drawn.shape == (64, 96)
    assert drawn[10:12, 10:14].tolist() == [[4, 4, 3, 3], [4, 4, 4, 4]]
    assert (drawn[6, 4], drawn[29, 43], drawn[30, 44], drawn[14, 16]) == (1, 1, 0, 3)
    assert set(np.unique(drawn)) == {0, 1, 3, 4}


def test_label_counts_are_pixels_and_tags_when_a_sample_is_made(tmp_path):
    sample = samples(opened(tiny_cvat.write_images(tmp_path / "a.zip")))[0]
    pixels = np.bincount(labels(sample).ravel(), minlength=6)
    assert sample.label_counts == {1: pixels[1], 3: pixels[3], 4: pixels[4], 5: 1}


def test_annotations_say_everything_when_they_are_read_back(tmp_path):
    said = json.loads(
        samples(opened(tiny_cvat.write_images(tmp_path / "a.zip")))[0].parts["annotations.json"]
    )
    assert said["image"] == {
        "id": 0,
        "width": 96,
        "height": 64,
        "name": "cam/000.jpg",
        "subset": "train",
        "task_id": 40,
    }
    assert [shape["type"] for shape in said["shapes"]] == [
        "box",
        "mask",
        "ellipse",
        "polyline",
        "tag",
    ]
    assert said["shapes"][0]["attributes"] == {"brand": "<ä>"}
    assert said["shapes"][1]["rle"] == [0, 2, 2, 4]


def test_only_one_subset_is_staged_when_asked_for(tmp_path):
    path = tiny_cvat.write_images(tmp_path / "a.zip")
    partition = opened(CvatExport(annotations=path, subset="val"))
    assert [sample.columns["image_id"] for sample in samples(partition)] == [2]
    assert partition.fingerprint != opened(path).fingerprint
    with pytest.raises(UnreadableSource, match="expected images of subset 'test', found none"):
        opened({"annotations": path, "subset": "test"})


def test_items_go_on_where_asked_when_a_run_is_resumed(tmp_path):
    partition = opened(tiny_cvat.write_images(tmp_path / "a.zip"))
    everything = list(partition.read_items(0))
    assert list(partition.read_items(3)) == everything[3:]
    assert [item.index for item in partition.read_items(3)] == [3, 4]


def test_box_moves_through_a_video_when_its_frames_are_staged(tmp_path):
    partition = opened(tiny_cvat.write_video(tmp_path / "v.zip"))
    found = samples(partition)
    assert [sample.columns["n_shapes"] for sample in found] == [1, 1, 1, 1, 1, 2, 1, 1]
    for number in range(5):
        expected = np.zeros((64, 96), np.uint8)
        expected[5 * number : 5 * number + 10, 10 * number : 10 * number + 10] = 1
        assert np.array_equal(labels(found[number]), expected)
    assert [set(np.unique(labels(sample))) for sample in found[5:]] == [{0, 1, 3}, {0, 3}, {0, 3}]
    assert [sample.columns["image_id"] for sample in found] == list(range(8))
    between = json.loads(found[1].parts["annotations.json"])["shapes"][0]
    assert (between["track_id"], between["label"], between["keyframe"], between["attributes"]) == (
        "0",
        "car",
        False,
        {"moving": "true"},
    )


def test_frames_are_told_by_number_or_by_order_when_files_have_names(tmp_path):
    track = (
        '<track id="0" label="car">'
        '<box frame="{}" outside="0" xtl="0" ytl="0" xbr="9" ybr="9"/></track>'
    )
    numbered = write_zip(
        tmp_path / "n.zip",
        {"annotations.xml": document(track.format(20))}
        | {f"images/frame_{n:06d}.PNG": encoded_image() for n in (20, 10)},
    )
    assert [(s.columns["image_id"], s.columns["n_shapes"]) for s in samples(opened(numbered))] == [
        (20, 1),
        (10, 0),
    ]
    named = write_zip(
        tmp_path / "m.zip",
        {"annotations.xml": document(track.format(1))}
        | {f"images/{n}.jpg": encoded_image() for n in "cba"},
    )
    assert [(s.columns["image_id"], s.columns["n_shapes"]) for s in samples(opened(named))] == [
        (2, 1),
        (1, 1),
        (0, 0),
    ]


def test_coco_export_is_staged_with_boxes_drawn_when_they_have_no_segmentation(tmp_path):
    access = FolderAccess()
    partition = opened(tiny_cvat.write_coco(tmp_path / "c.zip"), access)
    first, second, third = samples(partition)
    expected = np.zeros((64, 96), np.uint8)
    expected[:, :2] = 2
    expected[4:14, 4:24] = 1
    assert np.array_equal(labels(first), expected)
    turned = np.zeros((64, 96), np.uint8)
    turned[15:35, 35:45] = 2
    assert np.array_equal(labels(second), turned)
    assert not labels(third).any()
    assert [sample.columns["n_shapes"] for sample in (first, second, third)] == [2, 1, 0]
    assert first.columns["subset"] == "default"
    assert [label.name for label in partition.classes] == ["car", "plate"]
    assert (
        json.loads(second.parts["annotations.json"])["annotations"][0]["attributes"]["rotation"]
        == 90.0
    )
    partition.close()


def test_annotations_are_copied_once_when_a_partition_is_opened_again(tmp_path):
    access, path = FolderAccess(), tiny_cvat.write_images(tmp_path / "a.zip")
    fingerprints = {opened(path, access).fingerprint for _ in range(2)}
    assert access.copies == 1
    assert len(fingerprints) == 1


def test_images_come_from_elsewhere_when_an_export_has_none(tmp_path):
    xml = document(image_element(0, "a.jpg", tiny_cvat.SHAPES) + image_element(1, "missing.jpg"))
    (tmp_path / "annotations.xml").write_bytes(xml)
    images = write_zip(
        tmp_path / "images.zip",
        {
            "a.jpg": encoded_image(),
            "unknown.jpg": encoded_image(1),
            "readme.txt": b"x",
            "__MACOSX/._a.jpg": b"x",
        },
    )
    for annotations in (
        tmp_path / "annotations.xml",
        write_zip(tmp_path / "x.zip", {"annotations.xml": xml}),
    ):
        partition = opened({"annotations": str(annotations), "images": images})
        assert [sample.columns["n_shapes"] for sample in samples(partition)] == [4, 0]
        assert partition.warnings == {
            "polyline not drawn": 1,
            "images without picture": 1,
            "pictures without annotations": 1,
        }
        assert len(partition.archives) == 2
    with pytest.raises(UnreadableSource, match="got XML alone; say where they are"):
        opened(str(tmp_path / "annotations.xml"))


def test_fingerprint_moves_when_content_or_options_change_but_not_with_places(tmp_path):
    first = tiny_cvat.write_images(tmp_path / "one" / "a.zip")
    same = tiny_cvat.write_images(tmp_path / "two" / "a.zip")
    other = tiny_cvat.write_images(tmp_path / "three" / "a.zip", images=4)
    assert opened(first).fingerprint == opened(same).fingerprint
    assert (
        len(
            {
                opened(first).fingerprint,
                opened(other).fingerprint,
                opened(first, line_width=2.0).fingerprint,
            }
        )
        == 3
    )


def test_polylines_are_drawn_when_they_have_a_width(tmp_path):
    partition = opened(tiny_cvat.write_images(tmp_path / "a.zip"), line_width=4.0)
    assert labels(samples(partition)[0])[10, 50:80].tolist() == [2] * 30
    assert partition.warnings == {}


def one(tmp_path, body, payload=None, name="a.jpg", **more):
    path = write_zip(
        tmp_path / "one.zip",
        {"annotations.xml": document(body, **more), f"images/{name}": payload or encoded_image()},
    )
    return opened(path)


def test_labels_without_a_head_are_numbered_as_they_come(tmp_path):
    partition = one(tmp_path, image_element(0, "a.jpg", tiny_cvat.SHAPES), labels={})
    assert [label.name for label in partition.classes] == [
        "car",
        "plate",
        "wheel",
        "traffic_line",
        "good_frame",
    ]


def test_unknown_labels_are_counted_and_not_drawn(tmp_path):
    partition = one(
        tmp_path,
        image_element(
            0, "a.jpg", '<box label="ghost" xtl="0" ytl="0" xbr="9" ybr="9"/><blob label="car"/>'
        ),
    )
    assert partition.warnings == {"shapes with unknown labels": 1, "shapes of unknown kinds": 1}
    assert not labels(samples(partition)[0]).any()


def test_label_map_has_the_shape_of_the_image_as_shown_when_it_lies_on_its_side(tmp_path):
    jpeg = encoded_image(size=(64, 96))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    (sample,) = samples(one(tmp_path, image_element(0, "a.jpg"), turned))
    assert (
        labels(sample).shape
        == cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[:2]
        == (64, 96)
    )


@pytest.mark.parametrize(
    ("body", "payload", "message"),
    [
        (image_element(0, "a.jpg", '<box label="car" xtl="0"/>'), None, "box without ytl"),
        (
            image_element(0, "a.jpg", size=(10, 10)),
            None,
            "has 96 x 64 pixels, but its annotations 10 x 10",
        ),
        (image_element(0, "a.jpg"), b"<html>", "it is no image"),
    ],
)
def test_sample_is_refused_when_image_and_annotations_can_not_be_used(
    tmp_path, body, payload, message
):
    (item,) = (partition := one(tmp_path, body, payload)).read_items(0)
    with pytest.raises(SampleError, match=message):
        partition.make_sample(item)


TRACK = (
    '<track id="{0}" label="car" task_id="{0}">'
    '<box frame="0" xtl="0" ytl="0" xbr="9" ybr="9"/></track>'
)


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        (
            {"images/a.jpg": b"x"},
            UnreadableSource,
            r"one\.zip: expected annotations\.xml .* found neither",
        ),
        (
            {"annotations.xml": document("")},
            UnreadableSource,
            "expected images, found none; export with images",
        ),
        (
            {"annotations.xml": b"<annotations>", "images/a.jpg": b"x"},
            ArchiveCorrupt,
            r"one\.zip: expected XML",
        ),
        (
            {"annotations.xml": document(image_element("x", "a")), "images/a.jpg": b"x"},
            ArchiveCorrupt,
            "expected a whole number as id",
        ),
        (
            {
                "annotations.xml": document(image_element(0, "a") + TRACK.format(0)),
                "images/a.jpg": b"x",
            },
            ArchiveCorrupt,
            "images or tracks, got both",
        ),
        (
            {"annotations.xml": document(TRACK.format(0) + TRACK.format(1)), "images/a.jpg": b"x"},
            UnreadableSource,
            "frames of 2 tasks",
        ),
        (
            {"annotations.xml": document("<track><box/></track>"), "images/a.jpg": b"x"},
            ArchiveCorrupt,
            "expected shapes with frames",
        ),
        (
            {
                "annotations.xml": document(
                    image_element(0, "a.jpg", more='subset="x"')
                    + image_element(1, "a.jpg", more='subset="y"')
                ),
                "images/a.jpg": b"x",
            },
            UnreadableSource,
            "several images are called 'a.jpg'",
        ),
        (
            {
                "annotations.xml": document(image_element(0, "a.jpg", more='subset="x"')),
                "images/a.jpg": b"x",
                "images/x/a.jpg": b"x",
            },
            UnreadableSource,
            "expected one file for each annotated image",
        ),
    ],
)
def test_export_is_refused_in_one_line_when_it_is_not_laid_out_as_cvat_does(
    tmp_path, files, error, message
):
    with pytest.raises(error, match=message) as refused:
        opened(write_zip(tmp_path / "one.zip", files))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exports: expected a zip for each partition"),
        ({"exports": {"a/b": "x"}}, "expected names of letters"),
        ({"exports": {"a": ""}}, "exports: a: expected a path"),
        ({"exports": {"a": {"annotation": "x"}}}, "exports: a: expected a path"),
        ({"exports": {"a": {"annotations": "x", "subset": 5}}}, "subset: expected text"),
        ({"exports": {"a": "x"}, "line_width": -1}, "line_width: expected a number from 0 to 1000"),
    ],
)
def test_options_are_refused_when_they_can_not_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CvatOptions(**options)


def test_license_is_that_of_the_options():
    source = Source(CvatOptions(exports={"a": "x", "b": "y"}, license="CC0", redistributable=False))
    assert (source.partitions, source.license.name, source.license.redistributable) == (
        ("a", "b"),
        "CC0",
        False,
    )


def test_objects_are_the_image_and_its_annotations(tmp_path):
    partition = opened(tiny_cvat.write_images(tmp_path / "a.zip"))
    first = next(iter(partition.read_items(0)))
    assert [path for path, _ in partition.make_objects(first)] == [
        "mine/images/train/cam/000.jpg",
        "mine/images/train/cam/000.jpg.annotations.json",
    ]
    partition.verify_archives()
    partition.close()
    with pytest.raises(ValueError, match="closed"):
        next(iter(partition.read_items(0)))
