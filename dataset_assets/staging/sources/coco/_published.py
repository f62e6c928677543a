"""Where the files of COCO 2017 are published, and which annotation file is in which archive.

The host images.cocodataset.org shows a certificate of another name, hence the path form of its bucket. Sums are
known of the archives of images; of those of annotations only a few members are read, each checked by its CRC-32.
Source: https://cocodataset.org/#download
"""

from typing import NamedTuple

_SITE = "https://s3.amazonaws.com/images.cocodataset.org"
LABELLED = ("train2017", "val2017")
PARTITIONS = (*LABELLED, "test2017", "unlabeled2017")
#: Kinds of annotation, and the archive that has them for both labelled partitions.
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
    """An annotation file of a partition."""

    kind: str
    archive: str
    file: str  # its name, in the archive below `annotations/`


def annotation_files(partition: str, kinds: tuple[str, ...]) -> tuple[AnnotationPlace, ...]:
    """Return the annotation files of a partition; those without labels have one that lists their images."""
    if partition not in LABELLED:
        return (
            AnnotationPlace(
                "image_info", f"image_info_{partition}", f"image_info_{partition}.json"
            ),
        )
    return tuple(
        AnnotationPlace(kind, archive, f"{kind}_{partition}.json")
        for kind, archive in KINDS.items()
        if kind in kinds
    )
