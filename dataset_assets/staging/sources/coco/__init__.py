"""COCO 2017, one sample per image, straight from the published archives.

Segmentations are drawn into a label map once; all annotations stand beside it. Only annotation
files are written to disk, where the partition keeps them. They determine which images there are:
an image that they do not list is no row, one without annotations is.

Source: https://cocodataset.org/#download
Format: https://cocodataset.org/#format-data
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

from dataset_assets import checks
from dataset_assets.archives.hashed_file import HashedFile
from dataset_assets.archives.opening import open_archive
from dataset_assets.archives.published import Archive
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.staged import License
from dataset_assets.staging.coco_format.annotations import AnnotationFile, as_local_file, map_file
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
        ConfigurationError: COCO has no such partition, kind of annotation or archive.
    """

    folder: str | None = None
    """Path or URL that has the archives under their published names. Default: the site of COCO."""
    archives: Mapping[str, str] = field(default_factory=dict)
    """Path or URL of single archives, by name: `{"train2017": "/data/train2017.zip"}`."""
    md5: Mapping[str, str] = field(default_factory=dict)
    """Checksums of image archives that do not come from the site of COCO."""
    partitions: tuple[str, ...] = LABELLED
    """`train2017`, `val2017`, `test2017`, `unlabeled2017`. Default: the first two."""
    annotations: tuple[str, ...] = ("instances", "captions", "person_keypoints")
    """`instances`, `captions`, `person_keypoints`, `stuff`, `panoptic`. Default: the first
    three."""

    def __post_init__(self) -> None:
        checks.some_of("partitions", self.partitions, PARTITIONS, at_least=1)
        checks.some_of("annotations", self.annotations, tuple(KINDS), at_least=1)
        checks.some_of("archives", tuple(self.archives), tuple(URLS))
        checks.some_of("md5", tuple(self.md5), PARTITIONS)

    def location_of(self, archive: str) -> str:
        """Return the path or URL of an archive."""
        if archive in self.archives:
            return self.archives[archive]
        if self.folder is None:
            return URLS[archive]
        return f"{self.folder.rstrip('/')}/{archive}.zip"

    def md5_of(self, archive: str) -> str | None:
        """Return the md5 that an archive of images must have; None when it is not known."""
        if archive in self.md5:
            return self.md5[archive]
        return MD5.get(archive) if self.location_of(archive) == URLS[archive] else None


class Source:
    """COCO as a source of samples."""

    kind = "coco"
    options_class = CocoOptions
    paths = ("folder", "archives")
    #: Each image also has a license of its own, in the column `license`. All allow redistribution.
    license = License(
        "CC BY 4.0 (annotations), Flickr terms of use (images)",
        "https://cocodataset.org/#termsofuse",
        redistributable=True,
    )

    def __init__(self, options: CocoOptions | None = None) -> None:
        self.options = options or CocoOptions()
        self.partitions = self.options.partitions

    def open(self, partition: str, access: SourceAccess) -> CocoPartition:
        """Open the archive of images and read the annotation files."""
        with ExitStack() as undo:
            resources = undo.enter_context(ExitStack())
            location = self.options.location_of(partition)
            file = HashedFile(resources.enter_context(access.open(location)))
            images = open_archive(file, f"{partition}.zip")
            with ExitStack() as archive_files:
                archives = _AnnotationArchives(self.options, access, archive_files)
                annotations = {
                    kind: resources.enter_context(archives.read(archive, name))
                    for kind, archive, name in annotation_files(partition, self.options.annotations)
                }
                panoptic = None
                if "panoptic" in annotations:
                    name = f"panoptic_{partition}.zip"
                    kept = as_local_file(archives.keep(KINDS["panoptic"], name))
                    panoptic = open_archive(resources.enter_context(kept), name)
                digests = {images.name: images.digest, **archives.digests}
            files = CocoFiles(partition, images, annotations, panoptic, digests)
            opened = CocoPartition(files, file, self.options.md5_of(partition), resources)
            undo.pop_all()
        return opened


class _AnnotationArchives:
    """The archives of annotations: each is opened when a file of it is needed."""

    def __init__(self, options: CocoOptions, access: SourceAccess, files: ExitStack) -> None:
        self._options = options
        self._access = access
        self._files = files
        self._opened: dict[str, Archive] = {}

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the archives that were opened, by file name."""
        return {archive.name: archive.digest for archive in self._opened.values()}

    def read(self, name: str, file: str) -> AnnotationFile:
        """Read an annotation file of an archive."""
        return AnnotationFile(file, map_file(file, self.keep(name, file)))

    def keep(self, name: str, file: str) -> BinaryIO:
        """Open a file of an archive, from the copy that the partition keeps.

        Raises:
            ArchiveCorrupt: the archive has no such file.
        """
        archive = self._open(name)
        path = f"annotations/{file}"
        for member in archive.members():
            if member.name == path:
                return self._access.keep(file, partial(archive.open, member), archive.digest)
        raise ArchiveCorrupt(
            f"{archive.name}: expected {path}, got an archive without it; "
            "check that it is the published archive"
        )

    def _open(self, name: str) -> Archive:
        if name not in self._opened:
            file = self._access.open(self._options.location_of(name))
            self._opened[name] = open_archive(self._files.enter_context(file), f"{name}.zip")
        return self._opened[name]
