"""Where the files of COCO 2017 are published, and which archive has which annotation file.

Checksums are known for the archives of images only. Of the others a few members are read, and each
is verified by its CRC-32.

Source: https://cocodataset.org/#download
"""

from typing import NamedTuple

# The certificate of images.cocodataset.org is for another host; the path form of its bucket works.
_SITE = "https://s3.amazonaws.com/images.cocodataset.org"
LABELLED = ("train2017", "val2017")
PARTITIONS = (*LABELLED, "test2017", "unlabeled2017")
#: Kind of annotations -> the archive that has them for both labelled partitions.
KINDS = {
    "instances": "annotations_trainval2017",
    "captions": "annotations_trainval2017",
    "person_keypoints": "annotations_trainval2017",
    "stuff": "stuff_annotations_trainval2017",
    "panoptic": "panoptic_annotations_trainval2017",
}
MD5 = {
    "train2017": "cced6f7f71b7629ddf16f17bbcfab6b2",
    "val2017": "442b8da7639aecaf257c1dceb8ba8c80",
    "test2017": "77ad2c53ac5d0aea611d422c0938fb35",
    "unlabeled2017": "7ebc562819fdb32847aab79530457326",
}
URLS = {
    **{name: f"{_SITE}/zips/{name}.zip" for name in PARTITIONS},
    **{name: f"{_SITE}/annotations/{name}.zip" for name in dict.fromkeys(KINDS.values())},
    **{
        f"image_info_{name}": f"{_SITE}/annotations/image_info_{name}.zip"
        for name in PARTITIONS
        if name not in LABELLED
    },
}


class AnnotationPlace(NamedTuple):
    """Where an annotation file of a partition is."""

    kind: str
    archive: str
    file: str
    """Its name in the archive, below `annotations/`."""


def annotation_files(partition: str, kinds: tuple[str, ...]) -> tuple[AnnotationPlace, ...]:
    """Return the annotation files of a partition; the first one lists its images.

    Partitions without labels have only a file that lists their images.
    """
    if partition not in LABELLED:
        name = f"image_info_{partition}"
        return (AnnotationPlace("image_info", name, f"{name}.json"),)
    return tuple(
        AnnotationPlace(kind, archive, f"{kind}_{partition}.json")
        for kind, archive in KINDS.items()
        if kind in kinds
    )
