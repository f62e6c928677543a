"""The files of an export: finds its images, and annotations in any of the accepted formats.

Format: https://docs.cvat.ai/docs/dataset_management/formats/
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import urlsplit

from dataset_assets.archives.opening import open_archive
from dataset_assets.archives.published import Archive
from dataset_assets.errors import UnreadableSource
from dataset_assets.records.staged import ArchiveMember
from dataset_assets.staging.coco_format.annotations import AnnotationFile, map_file
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.cvat._annotations import XmlAnnotations
from dataset_assets.staging.sources.cvat._coco_export import CocoAnnotations
from dataset_assets.staging.sources.cvat._partition import CvatAnnotations, ExportContent

_XML = "annotations.xml"
_COCO = re.compile(r"annotations/(instances_(.+)\.json)")
_IMAGES = "images/"
_PNM_EXTENSIONS = ("ppm", "pgm", "pbm", "pnm")
_EXTENSIONS = frozenset(
    ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "webp", "gif", "tif", "tiff", *_PNM_EXTENSIONS]
)
_BOM_AND_SPACE = b"\xef\xbb\xbf \t\r\n"
_SNIFF_BYTES = 1024


class ExportFiles:
    """An open export: its archive or XML, and the archive of its images."""

    def __init__(
        self, annotations: str, images: str | None, access: SourceAccess, resources: ExitStack
    ) -> None:
        self._access = access
        self._resources = resources
        self._name = _file_name(annotations)
        self._digests: dict[str, str] = {}
        self._file = self._open(annotations)
        #: None for XML alone.
        self._archive: Archive | None = None
        if not _is_xml(self._file):
            self._archive = open_archive(self._file, self._name)
            self._digests[self._name] = self._archive.digest
        self._images = self._open_images(images)

    def read(self, line_width: float) -> ExportContent:
        """Find the images and read the annotations.

        Raises:
            UnreadableSource, ArchiveCorrupt: the export has no annotations, or invalid ones.
        """
        paths = self._find_images()
        annotations = self._read_annotations(list(paths.values()), line_width)
        return ExportContent(self._images, paths, annotations, self._digests)

    def _open(self, url: str) -> BinaryIO:
        return self._resources.enter_context(closing(self._access.open(url)))

    def _open_images(self, url: str | None) -> Archive:
        if url is None:
            if self._archive is None:
                raise UnreadableSource(
                    f"{self._name}: expected the zip of an export with its images, got XML alone; "
                    "say where they are with `images`"
                )
            return self._archive
        name = _file_name(url)
        archive = open_archive(self._open(url), name)
        # Both archives may have the same name, in different folders.
        key = f"{name} (images)" if name in self._digests else name
        self._digests[key] = archive.digest
        return archive

    def _find_images(self) -> dict[str, str]:
        """Return the images: path in the archive -> name in the annotations."""
        names = (member.name for member in self._images.members())
        paths = [name for name in names if _is_image(name)]
        if self._images is self._archive:
            # Images of an export are below `images/`; there may be others, such as masks.
            paths = [path for path in paths if path.startswith(_IMAGES)]
        prefix = _IMAGES if all(path.startswith(_IMAGES) for path in paths) else ""
        return {path: path.removeprefix(prefix) for path in paths}

    def _read_annotations(self, names: list[str], line_width: float) -> CvatAnnotations:
        """Read the annotations of the images with these names."""
        if self._archive is None:
            # Files of all stores and servers have `readinto`, which BinaryIO does not promise.
            digest = hashlib.file_digest(self._file, "sha256")  # type: ignore[arg-type]
            self._digests[self._name] = digest.hexdigest()
            self._file.seek(0)
            return self._read_xml(self._file, names, line_width)
        members = {member.name: member for member in self._archive.members()}
        if _XML in members:
            file = self._keep(self._archive, members[_XML], _XML)
            return self._read_xml(file, names, line_width)
        subsets = {}
        for name, member in members.items():
            if match := _COCO.fullmatch(name):
                subsets[match[2]] = (match[1], member)
        if not subsets:
            raise UnreadableSource(
                f"{self._name}: expected {_XML} (CVAT for images or video 1.1) or "
                "annotations/instances_<subset>.json (COCO 1.0), found neither"
            )
        return self._read_coco(self._archive, subsets)

    def _read_xml(self, file: BinaryIO, names: list[str], line_width: float) -> XmlAnnotations:
        with closing(file):
            annotations = XmlAnnotations(file, self._name, names, line_width)
        self._resources.callback(annotations.close)
        return annotations

    def _read_coco(
        self, archive: Archive, subsets: Mapping[str, tuple[str, ArchiveMember]]
    ) -> CocoAnnotations:
        files = {}
        for subset, (name, member) in subsets.items():
            file = AnnotationFile(name, map_file(name, self._keep(archive, member, name)))
            files[subset] = self._resources.enter_context(file)
        return CocoAnnotations(files)

    def _keep(self, archive: Archive, member: ArchiveMember, name: str) -> BinaryIO:
        kept_name = name.replace("/", "_")
        return self._access.keep(kept_name, partial(archive.open, member), archive.digest)


def _is_xml(file: BinaryIO) -> bool:
    head = file.read(_SNIFF_BYTES).lstrip(_BOM_AND_SPACE)
    file.seek(0)
    return head.startswith(b"<")


def _is_image(path: str) -> bool:
    name = path.rpartition("/")[2]
    # macOS adds a hidden `._<name>` in `__MACOSX/` for each file that it packs.
    is_hidden = name.startswith(".") or path.startswith("__MACOSX/")
    return not is_hidden and name.rpartition(".")[2].lower() in _EXTENSIONS


def _file_name(url: str) -> str:
    """Return the name of a file, without the query of a URL."""
    path = urlsplit(url).path if "://" in url else url
    return PurePosixPath(path).name or "export"
