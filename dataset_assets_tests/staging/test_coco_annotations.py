import io
import json

import pytest

from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.staging.coco_format.annotations import AnnotationFile, map_file


def _file(tmp_path, **document):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document, indent=1))
    return AnnotationFile("instances.json", map_file("instances.json", path.open("rb")))


def _image(number, name=None):
    return {"id": number, "file_name": name or f"{number}.jpg"}


def _annotation(number, image, category=1):
    return {"id": number, "image_id": image, "category_id": category}


CATEGORIES = [{"id": 1, "name": "person"}]


def test_annotations_come_in_the_order_of_the_file_when_they_are_mixed(tmp_path):
    annotations = [
        _annotation(5, 2),
        _annotation(4, 1),
        _annotation(3, 2),
        _annotation(9, 1),
        _annotation(1, 2),
    ]
    file = _file(
        tmp_path,
        images=[_image(1), _image(2), _image(3)],
        annotations=annotations,
        categories=CATEGORIES,
    )
    assert [
        [json.loads(each)["id"] for each in file.annotations_of(image)] for image in (1, 2, 3, 4)
    ] == [
        [4, 9],
        [5, 3, 1],
        [],
        [],
    ]
    assert json.loads(file.image_entry("2.jpg")) == _image(2)
    assert file.categories == {1: CATEGORIES[0]}
    assert dict(file.warnings) == {"images without annotations": 1}


def test_categories_and_images_are_known_when_they_stand_behind_the_annotations(tmp_path):
    file = _file(
        tmp_path, annotations=[_annotation(1, 7)], categories=CATEGORIES, images=[_image(7)]
    )
    assert len(file.annotations_of(7)) == 1
    assert dict(file.warnings) == {}


def test_irregularities_are_counted_when_the_file_has_them(tmp_path):
    images = [
        _image(1),
        _image(2),
        _image(2, "again.jpg"),
        _image(1),
        {"id": 5},
        {"file_name": "x.jpg"},
        _image(2**70, "y.jpg"),
    ]
    annotations = [
        _annotation(1, 1),
        _annotation(1, 1),
        _annotation(2, 77),
        _annotation(3, 77),
        _annotation(4, 2, 9),
        {"id": 5},
        _annotation(6, "1"),
    ]
    file = _file(tmp_path, images=images, annotations=annotations, categories=CATEGORIES)
    assert dict(file.warnings) == {
        "duplicate image entries": 1,
        "duplicate image ids": 1,
        "image entries without id or file name": 3,
        "duplicate annotation ids": 1,
        "annotations of images without entry": 2,
        "annotations without image id": 2,
        "annotations of unknown categories": 1,
    }
    assert len(file.annotations_of(1)) == 2


def test_images_alone_are_enough_when_a_partition_has_no_labels(tmp_path):
    file = _file(tmp_path, images=[_image(1)], categories=CATEGORIES)
    assert file.annotations_of(1) == []
    assert list(file.images) == ["1.jpg"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"info": {}}, "expected images, annotations, categories.*found info"),
        ({"images": [1]}, "expected an object in images at byte"),
        ({"images": {"id": 1}, "annotations": [[]]}, "expected an object in annotations"),
        ({"images": [], "categories": [{"name": "x"}]}, "expected a category with an id"),
    ],
)
def test_file_is_refused_when_it_is_not_of_coco(tmp_path, document, message):
    with pytest.raises(ArchiveCorrupt, match=message):
        _file(tmp_path, **document)


class _Elsewhere(io.BytesIO):
    """A file that is not one of this machine."""


def test_file_is_copied_when_it_is_elsewhere():
    file = _Elsewhere(b'{"images": []}')
    assert map_file("x.json", file)[:] == b'{"images": []}'
    assert file.closed


def test_file_is_refused_when_it_is_empty():
    with pytest.raises(ArchiveCorrupt, match="empty"):
        map_file("x.json", io.BytesIO())
