"""The files of an export: finds its images, and annotations in any of the accepted formats.

Format: https://docs.cvat.ai/docs/dataset_management/formats/
"""

import hashlib
import re
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

_XML = "annotations.xml"
_COCO = re.compile(r"annotations/(instances_(.+)\.json)")
_IMAGES = "images/"
_PNM_EXTENSIONS = ("ppm", "pgm", "pbm", "pnm")
_EXTENSIONS = frozenset(
    ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "webp", "gif", "tif", "tiff", *_PNM_EXTENSIONS]
)
_BOM_AND_SPACE = b"\xef\xbb\xbf \t\r\n"
_SNIFF_BYTES = 1024


class Export:
    """An open export: its images, and their annotations in any of the accepted formats.

    `paths` has the name in the annotations of each image by its path in the archive.

    Raises:
        UnreadableSource, ArchiveCorrupt: the export has no annotations, or invalid ones.
    """

    def __init__(
        self,
        annotations: str,
        images: str | None,
        line_width: float,
        access: SourceAccess,
        resources: ExitStack,
    ) -> None:
        self._line_width = line_width
        self._access = access
        self._resources = resources
        self._name = _file_name(annotations)
        self.digests: dict[str, str] = {}
        file = self._open(annotations)
        archive = None if _is_xml(file) else self._open_archive(file)
        self.images = self._open_images(images, archive)
        self.paths = self._find_images(is_export=self.images is archive)
        self.annotations = self._read_archive(archive) if archive else self._read_xml_alone(file)

    def _open(self, url: str) -> BinaryIO:
        return self._resources.enter_context(closing(self._access.open(url)))

    def _open_archive(self, file: BinaryIO) -> Archive:
        archive = open_archive(file, self._name)
        self.digests[self._name] = archive.digest
        return archive

    def _open_images(self, url: str | None, export: Archive | None) -> Archive:
        if url is not None:
            name = _file_name(url)
            archive = open_archive(self._open(url), name)
            # Both archives may have the same name, in different folders.
            key = f"{name} (images)" if name in self.digests else name
            self.digests[key] = archive.digest
            return archive
        if export is None:
            raise UnreadableSource(
                f"{self._name}: expected the zip of an export with its images, got XML alone; "
                "say where they are with `images`"
            )
        return export

    def _find_images(self, *, is_export: bool) -> dict[str, str]:
        names = (member.name for member in self.images.members())
        paths = [name for name in names if _is_image(name)]
        if is_export:
            # Images of an export are below `images/`; there may be others, such as masks.
            paths = [path for path in paths if path.startswith(_IMAGES)]
        prefix = _IMAGES if all(path.startswith(_IMAGES) for path in paths) else ""
        return {path: path.removeprefix(prefix) for path in paths}

    def _read_xml_alone(self, file: BinaryIO) -> XmlAnnotations:
        # Files of all stores and servers have `readinto`, which BinaryIO does not promise.
        digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
        self.digests[self._name] = digest.hexdigest()
        file.seek(0)
        return self._read_xml(file)

    def _read_archive(self, archive: Archive) -> XmlAnnotations | CocoAnnotations:
        members = {member.name: member for member in archive.members()}
        if _XML in members:
            return self._read_xml(self._keep(archive, members[_XML], _XML))
        files = {}
        for path, member in members.items():
            if match := _COCO.fullmatch(path):
                name, subset = match.groups()
                file = AnnotationFile(name, map_file(name, self._keep(archive, member, name)))
                files[subset] = self._resources.enter_context(file)
        if not files:
            raise UnreadableSource(
                f"{self._name}: expected {_XML} (CVAT for images or video 1.1) or "
                "annotations/instances_<subset>.json (COCO 1.0), found neither"
            )
        return CocoAnnotations(files)

    def _read_xml(self, file: BinaryIO) -> XmlAnnotations:
        names = list(self.paths.values())
        with closing(file):
            annotations = XmlAnnotations(file, self._name, names, self._line_width)
        self._resources.callback(annotations.close)
        return annotations

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
