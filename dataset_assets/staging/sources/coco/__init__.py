"""COCO 2017, one sample per image: segmentations drawn into a label map once, all annotations beside it, straight from the published archives.

Nothing is unpacked to disk but annotation files, which the partition keeps. They say which images there are: an image that they do not list is no row,
one without annotations is.
Source: https://cocodataset.org/#download, https://cocodataset.org/#format-data
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import BinaryIO

from dataset_assets.archives.opening import Archive, HashedFile, open_archive
from dataset_assets.checks import texts
from dataset_assets.errors import ArchiveCorrupt, ConfigurationError
from dataset_assets.records.staged import License
from dataset_assets.staging.coco_format.annotations import AnnotationFile, mapped, on_disk
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.coco._partition import CocoFiles, CocoPartition
from dataset_assets.staging.sources.coco._published import (
    KINDS,
    LABELLED,
    MD5,
    PARTITIONS,
    URLS,
    annotation_files,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoOptions:
    """Which parts of COCO are staged, and where its archives are.

    Raises:
        ConfigurationError: a partition, a kind of annotation or an archive that COCO does not have.
    """

    folder: str | None = (
        None  # path or url that has the archives under their published names; None: the site of COCO
    )
    archives: Mapping[str, str] = field(
        default_factory=dict
    )  # path or url of single ones, by name: {"train2017": "/data/train2017.zip"}
    md5: Mapping[str, str] = field(
        default_factory=dict
    )  # sums of archives of images that do not come from the site
    partitions: tuple[str, ...] = LABELLED
    annotations: tuple[str, ...] = ("instances", "captions", "person_keypoints")

    def __post_init__(self) -> None:
        _check_names("partitions", self.partitions, PARTITIONS)
        _check_names("annotations", self.annotations, tuple(KINDS))
        _check_names("archives", tuple(self.archives), tuple(URLS))
        _check_names("md5", tuple(self.md5), PARTITIONS)
        if not self.partitions or not self.annotations:
            raise ConfigurationError(
                "partitions, annotations: expected at least one of each, got none"
            )

    def location(self, archive: str) -> str:
        """Return the path or url of an archive."""
        folder = (
            URLS[archive] if self.folder is None else f"{self.folder.rstrip('/')}/{archive}.zip"
        )
        return self.archives.get(archive, folder)

    def sum_of(self, archive: str) -> str | None:
        """Return the md5 that an archive of images must have; None: none is known."""
        return self.md5.get(
            archive, MD5.get(archive) if self.location(archive) == URLS[archive] else None
        )


def _check_names(option: str, names: tuple[str, ...], known: tuple[str, ...]) -> None:
    if unknown := [name for name in texts(option, names) if name not in known]:
        raise ConfigurationError(
            f"{option}: expected some of {', '.join(known)}, got {', '.join(map(repr, unknown))}"
        )


class Source:
    """See `_base.Source`."""

    kind = "coco"
    options_class = CocoOptions
    #: Every image has a license of its own as well, in the column `license`. All of them let it be passed on.
    license = License(
        "CC BY 4.0 (annotations), Flickr terms of use (images)",
        "https://cocodataset.org/#termsofuse",
        redistributable=True,
    )

    def __init__(self, options: CocoOptions | None = None) -> None:
        self.options = options or CocoOptions()
        self.partitions = self.options.partitions

    def open(self, partition: str, access: SourceAccess) -> CocoPartition:
        """See `_base.Source`."""
        files = ExitStack()
        with ExitStack() as undo:
            undo.callback(files.close)
            file = HashedFile(files.enter_context(access.open(self.options.location(partition))))
            images = open_archive(file, f"{partition}.zip")
            with _AnnotationArchives(self.options, access) as archives:
                annotations = {
                    kind: files.enter_context(
                        AnnotationFile(name, mapped(name, archives.keep(archive, name)))
                    )
                    for kind, archive, name in annotation_files(partition, self.options.annotations)
                }
                panoptic = None
                if "panoptic" in annotations:
                    name = f"panoptic_{partition}.zip"
                    pictures = files.enter_context(on_disk(archives.keep(KINDS["panoptic"], name)))
                    panoptic = open_archive(pictures, name)
                digests = {images.name: images.digest, **archives.digests}
            found = CocoFiles(partition, images, annotations, panoptic, digests)
            made = CocoPartition(found, file, self.options.sum_of(partition), files)
            undo.pop_all()
        return made


class _AnnotationArchives:
    """The archives that have annotations: opened when a file of theirs is needed, closed together."""

    def __init__(self, options: CocoOptions, access: SourceAccess) -> None:
        self._options, self._access = options, access
        self._files = ExitStack()
        self._opened: dict[str, Archive] = {}

    def __enter__(self) -> "_AnnotationArchives":
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the archives that were needed, by file name."""
        return {archive.name: archive.digest for archive in self._opened.values()}

    def keep(self, name: str, file: str) -> BinaryIO:
        """Return a file of an archive, from where the partition keeps it.

        Raises:
            ArchiveCorrupt: the archive has no such file.
        """
        if name not in self._opened:
            opened = self._files.enter_context(self._access.open(self._options.location(name)))
            self._opened[name] = open_archive(opened, f"{name}.zip")
        archive, path = self._opened[name], f"annotations/{file}"
        member = next((each for each in archive.members() if each.name == path), None)
        if member is None:
            raise ArchiveCorrupt(
                f"{archive.name}: expected {path} in it, which is not there; is it the published archive?"
            )
        return self._access.keep(file, lambda: archive.open(member), archive.digest)
