"""COCO as it should not come: damaged, incomplete, contradictory, or interrupted on its way."""

import hashlib
import io
import json
import zipfile

import cv2
import numpy as np
import pytest

from dataset_assets.errors import ArchiveCorrupt, ConfigurationError, DatasetAssetsError
from dataset_assets.pipelines.stage.access import StoreAccess
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.staging.sources.coco import CocoOptions, Source
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.archive_server import ArchiveServer
from dataset_assets_tests.support.tiny_coco import write_coco

BOX = [[2, 2, 20, 2, 20, 20, 2, 20]]


def _annotation(number=1, image=1, **changes):
    return {
        "id": number,
        "image_id": image,
        "category_id": 3,
        "iscrowd": 0,
        "area": 324.0,
        "segmentation": BOX,
    } | changes


def _image(number, **changes):
    return {
        "id": number,
        "file_name": f"{number:012d}.jpg",
        "width": 40,
        "height": 30,
        "license": 1,
    } | changes


def _jpeg(width=40, height=30):
    return bytes(cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1])


def _zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.fixture
def opened(tmp_path):
    """Open val2017 of archives made from entries, annotations and members."""

    def open_it(images=None, annotations=(), members=None):
        images = [_image(1)] if images is None else images
        members = {f"val2017/{1:012d}.jpg": _jpeg()} if members is None else members
        document = {
            "images": images,
            "annotations": list(annotations),
            "categories": [{"id": 3, "name": "car"}],
        }
        _zip(tmp_path / "val2017.zip", members)
        _zip(
            tmp_path / "annotations_trainval2017.zip",
            {"annotations/instances_val2017.json": json.dumps(document)},
        )
        return _open(tmp_path, f"memory://{tmp_path.name}/staged")

    return open_it


def _open(folder, staged, **options):
    options = CocoOptions(folder=str(folder), **{"annotations": ("instances",), **options})
    return Source(options).open("val2017", StoreAccess(open_store(str(staged))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"segmentation": {"counts": [3, 4], "size": [30, 40]}},
            "add up to 30 x 40 = 1200 pixels, got 7",
        ),
        (
            {"segmentation": {"counts": [1200], "size": [40, 30]}},
            r"expected run lengths of the size \[30, 40\]",
        ),
        ({"segmentation": {"counts": "\u00ff", "size": [30, 40]}}, "run lengths as text"),
        ({"segmentation": {"size": [30, 40]}}, "it has no 'counts'"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "expected a list x0, y0"),
        ({"segmentation": [[1, 2, 3, float("nan"), 5, 6]]}, "finite"),
        ({"segmentation": [[1, 2, 3, None, 5, 6]]}, "finite"),
        ({"segmentation": [7]}, "annotation 1: "),
        ({"segmentation": None}, "annotation 1: "),
        ({"category_id": 0}, "expected a category from 1 on, got 0"),
        ({"category_id": "3"}, "expected a category from 1 on, got '3'"),
        ({"category_id": 70000}, "from 0 to 65535"),
    ],
)
def test_image_is_refused_when_an_annotation_can_not_be_drawn(opened, changes, message):
    found = opened(annotations=[_annotation(**changes)])
    with pytest.raises(SampleError, match=message) as caught:
        found.make_sample(next(found.read_items(0)))
    assert caught.value.cause is Cause.DECODE_ERROR
    assert "annotation 1" in str(caught.value)


@pytest.mark.parametrize("segmentation", [[], [[]], [[1, 2, 30, 40]]])
def test_nothing_is_drawn_when_an_annotation_is_only_a_box(opened, segmentation):
    found = opened(annotations=[_annotation(segmentation=segmentation)])
    sample = found.make_sample(next(found.read_items(0)))
    assert (sample.label_counts, sample.columns["n_annotations"]) == ({}, 1)


def test_label_map_has_sixteen_bits_when_a_category_is_above_255(opened):
    found = opened(annotations=[_annotation(category_id=1000)])
    png = found.make_sample(next(found.read_items(0))).parts["seg.png"]
    assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)[10, 10] == 1000
    assert found.warnings == {"instances: annotations of unknown categories": 1}


@pytest.mark.parametrize(
    ("payload", "cause"),
    [(_jpeg(41, 30), Cause.DECODE_ERROR), (b"GIF8", Cause.NOT_IMAGE), (b"", Cause.NOT_IMAGE)],
)
def test_image_is_refused_when_it_is_not_the_one_of_its_entry(opened, payload, cause):
    found = opened(members={f"val2017/{1:012d}.jpg": payload})
    with pytest.raises(SampleError) as caught:
        found.make_sample(next(found.read_items(0)))
    assert caught.value.cause is cause


def test_extension_is_that_of_the_bytes_when_a_png_is_named_jpg(opened):
    found = opened(
        members={
            f"val2017/{1:012d}.jpg": bytes(cv2.imencode(".png", np.zeros((30, 40, 3), np.uint8))[1])
        }
    )
    assert found.make_sample(next(found.read_items(0))).extension == "png"


def test_irregularities_are_counted_and_skipped_when_parts_do_not_match(opened):
    """Stray annotations, images without annotations, duplicate ids, missing and unlisted images."""
    images = [_image(1), _image(2), _image(3), _image(3, file_name="000000000004.jpg")]
    annotations = [_annotation(1, 1), _annotation(1, 1), _annotation(2, 99)]
    members = {f"val2017/{number:012d}.jpg": _jpeg() for number in (8, 1, 2, 4)} | {
        "val2017/README.txt": b"",
        "other/x.jpg": b"",
    }
    found = opened(images, annotations, members)
    assert [item.path[-6:-4] for item in found.read_items(0)] == ["01", "02", "04"]
    assert found.count == 3
    samples = [found.make_sample(item) for item in found.read_items(0)]
    assert [sample.columns["n_annotations"] for sample in samples] == [2, 0, 0]
    assert [sample.label_counts for sample in samples] == [{3: 324}, {}, {}]
    assert found.warnings == {
        "instances: duplicate image ids": 1,
        "instances: duplicate annotation ids": 1,
        "instances: annotations of images without entry": 1,
        "instances: images without annotations": 2,
        "files without entry": 2,
        "entries without image": 1,
    }


@pytest.mark.parametrize(
    "members", [{}, {"train2017/000000000001.jpg": b"x"}, {"val2017/7.jpg": b"x"}]
)
def test_archive_is_refused_when_it_has_none_of_the_images(opened, members):
    with pytest.raises(ArchiveCorrupt, match=r"val2017\.zip: it has none of the images val2017/"):
        opened(members=members)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"partitions": ("train2018",)},
            "partitions: expected some of train2017, .*got 'train2018'",
        ),
        ({"partitions": "train2017"}, "partitions: expected a list of texts, got 'train2017'"),
        ({"partitions": ()}, "partitions: expected some of .*got none"),
        ({"annotations": ("masks",)}, "annotations: expected some of instances, .*got 'masks'"),
        ({"archives": {"train": "/x.zip"}}, "archives: expected some of train2017"),
        ({"md5": {"annotations_trainval2017": "0"}}, "md5: expected some of"),
    ],
)
def test_options_are_refused_when_coco_has_no_such_part(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CocoOptions(**options)


def test_published_sums_hold_only_for_the_published_places():
    assert (
        CocoOptions()
        .location_of("val2017")
        .startswith("https://s3.amazonaws.com/images.cocodataset.org/zips/")
    )
    assert CocoOptions().md5_of("val2017") == "442b8da7639aecaf257c1dceb8ba8c80"
    assert CocoOptions(folder="/data").md5_of("val2017") is None
    assert (
        CocoOptions(folder="/data", archives={"val2017": "/x/v.zip"}).location_of("val2017")
        == "/x/v.zip"
    )
    assert CocoOptions(folder="/data", md5={"val2017": "0"}).md5_of("val2017") == "0"


@pytest.mark.parametrize("right", [True, False])
def test_sum_is_compared_when_all_images_were_read(tmp_path, right):
    write_coco(tmp_path / "from")
    md5 = (
        hashlib.md5((tmp_path / "from" / "val2017.zip").read_bytes()).hexdigest()
        if right
        else "0" * 32
    )
    found = _open(tmp_path / "from", tmp_path / "staged", md5={"val2017": md5})
    assert len(list(found.read_items(0))) == 4
    if right:
        found.verify_archives()
    else:
        with pytest.raises(ArchiveCorrupt, match=r"val2017\.zip: expected md5 0000"):
            found.verify_archives()
    found.close()
    found.close()


def _read_both(folder):
    for partition in ("val2017", "train2017"):
        access = StoreAccess(open_store(str(folder / partition)))
        list(Source(CocoOptions(folder=str(folder / "from"))).open(partition, access).read_items(0))


@pytest.mark.parametrize("archive", ["val2017", "annotations_trainval2017"])
def test_archive_is_refused_when_a_member_is_damaged(tmp_path, archive):
    write_coco(tmp_path / "from")
    path = tmp_path / "from" / f"{archive}.zip"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(ArchiveCorrupt, match=rf"{archive}\.zip: member .* at byte"):
        _read_both(tmp_path)


def test_annotations_are_refused_when_the_archive_lacks_them(tmp_path, opened):
    opened().close()
    with pytest.raises(ArchiveCorrupt, match=r"expected annotations/captions_val2017\.json, got"):
        _open(tmp_path, tmp_path / "other", annotations=("captions",))


def test_files_are_closed_when_a_partition_can_not_be_opened(tmp_path, opened):
    opened().close()
    access = _WatchedAccess(open_store(str(tmp_path / "other")))
    with pytest.raises(DatasetAssetsError):
        Source(CocoOptions(folder=str(tmp_path), annotations=("instances", "captions"))).open(
            "val2017", access
        )
    assert len(access.files) == 2
    assert all(file.closed for file in access.files)


class _WatchedAccess(StoreAccess):
    def __init__(self, store):
        super().__init__(store)
        self.files = []

    def open(self, url):
        self.files.append(super().open(url))
        return self.files[-1]


def test_partition_is_the_same_when_connections_are_cut(tmp_path):
    write_coco(tmp_path / "from")
    whole = _open(tmp_path / "from", tmp_path / "a")
    samples = [whole.make_sample(item) for item in whole.read_items(0)]
    with ArchiveServer(tmp_path / "from") as server:
        server.cut_after("val2017.zip", 2000, times=2)
        server.cut_after("annotations_trainval2017.zip", 900, times=2)
        found = _open(server.url(), tmp_path / "b")
        assert [found.make_sample(item) for item in found.read_items(0)] == samples
        assert found.fingerprint == whole.fingerprint
        again = _open(server.url(), tmp_path / "b")
        assert list(again.read_items(3)) == list(whole.read_items(3))


def test_kept_file_is_refused_when_it_is_empty(tmp_path):
    _zip(tmp_path / "val2017.zip", {f"val2017/{1:012d}.jpg": _jpeg()})
    _zip(
        tmp_path / "annotations_trainval2017.zip",
        {"annotations/instances_val2017.json": io.BytesIO().getvalue()},
    )
    with pytest.raises(ArchiveCorrupt, match=r"instances_val2017\.json: .*empty"):
        _open(tmp_path, tmp_path / "staged")
