"""A small COCO 2017: archives laid out as published, with JPEGs, polygons, crowds, panoptic PNGs.

Equal arguments give equal bytes.
"""

import io
import json
import zipfile

import cv2
import numpy as np

from dataset_assets.staging.masks import rle
from dataset_assets_tests.support.rle_encoding import compress, encode

THINGS = {
    1: ("person", "person"),
    2: ("bicycle", "vehicle"),
    3: ("car", "vehicle"),
    18: ("dog", "animal"),
    90: ("toothbrush", "indoor"),
}
STUFF = {92: ("banner", "textile"), 149: ("river", "water"), 183: ("other", "other")}
CAPTIONS = (
    "A dog beside a bicycle.",
    "Ein Hund – vor dem Café.",
    "Two cars.",
    "A person walks.",
    "Something else.",
)
#: Position of the image of train and val that has no annotation.
UNANNOTATED = 1
#: Positions of those with a crowd as a list of counts, and as text.
CROWD, COMPRESSED = 2, 3


def write_coco(folder, *, images=12, seed=0, corrupt=False):
    """Write the archives.

    Args:
        folder: where.
        images: in train2017; val2017 has a third of it, the others have a few.
        seed: of everything that is drawn.
        corrupt: truncate the last image of train2017.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    sets = {"train2017": images, "val2017": max(4, images // 3), "test2017": 3, "unlabeled2017": 2}
    entries = {}
    for number, (name, count) in enumerate(sets.items()):
        entries[name] = [_entry(number * 1000 + 9 + 16 * index, rng) for index in range(count)]
        _write_images(
            folder / f"{name}.zip", name, entries[name], rng, cut=corrupt and name == "train2017"
        )
    for name in ("test2017", "unlabeled2017"):
        files = {
            f"image_info_{name}.json": _document(entries[name], categories=_categories(THINGS))
        }
        _write_annotations(folder / f"image_info_{name}.zip", files)
    _write_labels(folder, {name: entries[name] for name in ("train2017", "val2017")}, rng)


def archives_of(folder):
    """Return where each archive is, by the name it has in `CocoOptions.archives`."""
    return {path.stem: str(path) for path in sorted(folder.glob("*.zip"))}


def _entry(number, rng):
    height, width = (int(side) for side in rng.integers(48, 97, 2))
    name = f"{number:012d}.jpg"
    url = f"http://images.cocodataset.org/any/{name}"
    return {
        "license": 1 + number % 3,
        "file_name": name,
        "coco_url": url,
        "height": height,
        "width": width,
        "id": number,
    }


def _write_images(path, name, entries, rng, *, cut):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(_info(f"{name}/"), b"")
        for index in rng.permutation(
            len(entries)
        ):  # members of the published archives are in no order either
            jpeg = _jpeg(entries[index], rng)
            archive.writestr(
                _info(f"{name}/{entries[index]['file_name']}"),
                jpeg[: len(jpeg) // 2] if cut and index == len(entries) - 1 else jpeg,
            )


def _info(name):
    return zipfile.ZipInfo(name, (2017, 9, 1, 0, 0, 0))


def _jpeg(entry, rng):
    coarse = rng.integers(0, 256, (4, 5, 3), np.uint8)
    pixels = cv2.resize(coarse, (entry["width"], entry["height"]), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", pixels)[1])


def _write_labels(folder, sets, rng):
    instances = {name: _instances(entries, rng) for name, entries in sets.items()}
    stuff = {name: _stuff(entries, rng) for name, entries in sets.items()}
    files, stuff_files, panoptic_files = {}, {}, {}
    for name, entries in sets.items():
        files[f"instances_{name}.json"] = _document(entries, instances[name], _categories(THINGS))
        files[f"captions_{name}.json"] = _document(entries, _captions(entries, rng))
        people = [_with_keypoints(each) for each in instances[name] if each["category_id"] == 1]
        files[f"person_keypoints_{name}.json"] = _document(
            entries, people, _categories({1: THINGS[1]})
        )
        stuff_files[f"stuff_{name}.json"] = _document(entries, stuff[name], _categories(STUFF))
        segmentations, segments = _panoptic(entries, stuff[name])
        panoptic_files[f"panoptic_{name}.json"] = _document(
            entries, segments, _categories(THINGS | STUFF, panoptic=True)
        )
        panoptic_files[f"panoptic_{name}.zip"] = _zip_of(
            {f"panoptic_{name}/{file}": data for file, data in segmentations.items()}
        )
    _write_annotations(folder / "annotations_trainval2017.zip", files)
    _write_annotations(folder / "stuff_annotations_trainval2017.zip", stuff_files)
    _write_annotations(folder / "panoptic_annotations_trainval2017.zip", panoptic_files)


def _write_annotations(path, files):
    path.write_bytes(
        _zip_of({f"annotations/{name}": data for name, data in files.items()}, zipfile.ZIP_DEFLATED)
    )


def _zip_of(files, compression=zipfile.ZIP_STORED):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in files.items():
            archive.writestr(_info(name), data, compression)
    return target.getvalue()


def _document(images, annotations=None, categories=None):
    found = {
        "info": {"description": "COCO 2017 Dataset", "year": 2017},
        "licenses": [{"id": n, "name": f"License {n}"} for n in (1, 2, 3)],
    }
    found["images"] = images
    if annotations is not None:
        found["annotations"] = annotations
    if categories is not None:
        found["categories"] = categories
    return json.dumps(found, ensure_ascii=False).encode()


def _categories(table, *, panoptic=False):
    extra = {"isthing": 1, "color": [220, 20, 60]} if panoptic else {}
    return [
        {"supercategory": group, "id": number, "name": name} | extra
        for number, (name, group) in table.items()
    ]


def _instances(entries, rng):
    found = []
    for index, entry in enumerate(entries):
        if index == UNANNOTATED:
            continue
        found += [
            _polygons(entry, int(rng.choice(list(THINGS))), rng)
            for _ in range(int(rng.integers(1, 5)))
        ]
        if index in (CROWD, COMPRESSED):
            found.append(_crowd(entry, rng, compressed=index == COMPRESSED))
    rng.shuffle(found)  # annotations of an image do not stand together
    return [each | {"id": 100 + number} for number, each in enumerate(found)]


def _annotation(entry, category, segmentation, area, box, crowd=0):
    area, box = round(float(area), 2), [round(float(side), 2) for side in box]
    return {
        "segmentation": segmentation,
        "area": area,
        "iscrowd": crowd,
        "image_id": entry["id"],
        "bbox": box,
        "category_id": category,
    }


def _polygons(entry, category, rng):
    shapes, area = [], 0
    for _ in range(int(rng.integers(1, 3))):
        middle = rng.uniform([0, 0], [entry["width"], entry["height"]])
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 14))))
        radius = rng.uniform(4, 25, (len(angles), 1))
        corners = middle + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        shapes.append(np.clip(corners, 0, [entry["width"], entry["height"]]).round(2))
        area += cv2.contourArea(shapes[-1].astype(np.float32))
    low, high = np.concatenate(shapes).min(0), np.concatenate(shapes).max(0)
    return _annotation(
        entry, category, [shape.ravel().tolist() for shape in shapes], area, [*low, *(high - low)]
    )


def _crowd(entry, rng, *, compressed):
    counts = encode(_blob(entry, rng))
    segmentation = {
        "counts": compress(counts) if compressed else counts,
        "size": [entry["height"], entry["width"]],
    }
    return _annotation(
        entry, 1, segmentation, sum(counts[1::2]), [0, 0, entry["width"], entry["height"]], crowd=1
    )


def _blob(entry, rng):
    noise = cv2.resize(
        rng.random((4, 4), np.float32),
        (entry["width"], entry["height"]),
        interpolation=cv2.INTER_CUBIC,
    )
    return noise > 0.6


def _captions(entries, rng):
    found = [
        {"image_id": entry["id"], "caption": caption}
        for entry in entries
        for caption in rng.permutation(CAPTIONS).tolist()
    ]
    return [each | {"id": 1 + number} for number, each in enumerate(found)]


def _with_keypoints(annotation):
    return annotation | {"keypoints": [10, 12, 2] + [0, 0, 0] * 16, "num_keypoints": 1}


def _stuff(entries, rng):
    found = []
    for entry in entries:
        water = _blob(entry, rng)
        for category, mask in ((149, water), (92, ~water)):
            counts = encode(mask)
            segmentation = {
                "counts": compress(counts),
                "size": [entry["height"], entry["width"]],
            }
            found.append(
                _annotation(
                    entry,
                    category,
                    segmentation,
                    int(mask.sum()),
                    [0, 0, entry["width"], entry["height"]],
                )
            )
    return [each | {"id": 10_000 + number} for number, each in enumerate(found)]


def _panoptic(entries, stuff):
    """Return an RGB image of segment ids (R + 256 G + 65536 B) for each image, and the segments."""
    segmentations, segments = {}, []
    for entry in entries:
        ids, infos = np.zeros((entry["height"], entry["width"]), np.uint32), []
        for each in (each for each in stuff if each["image_id"] == entry["id"]):
            number = each["id"] * 7
            ids[rle.decode(each["segmentation"]["counts"], entry["height"], entry["width"]) > 0] = (
                number
            )
            infos.append(
                {
                    "id": number,
                    "category_id": each["category_id"],
                    "iscrowd": 0,
                    "bbox": each["bbox"],
                    "area": int(each["area"]),
                }
            )
        name = entry["file_name"].replace(".jpg", ".png")
        pixels = np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=-1).astype(
            np.uint8
        )  # as BGR
        segmentations[name] = bytes(cv2.imencode(".png", pixels)[1])
        segments.append({"segments_info": infos, "file_name": name, "image_id": entry["id"]})
    return segmentations, segments
