"""Exports of CVAT, one partition each: "CVAT for images 1.1", "CVAT for video 1.1" and "COCO 1.0", with their pictures or beside them.

A sample is a picture as exported, `annotations.json` (all shapes, tags and attributes; of a video those of its frame) and `seg.png`: its areas with the
ids of their labels, drawn as `_cvat_shapes` says. Pictures without annotations are samples too.
Format: https://docs.cvat.ai/docs/dataset_management/formats/
"""

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from dataset_assets.archives.opening import Archive, open_archive
from dataset_assets.errors import ConfigurationError, UnreadableSource
from dataset_assets.records.staged import ArchiveMember, License
from dataset_assets.staging.coco_format.annotations import AnnotationFile, map_file
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.cvat._annotations import XmlAnnotations
from dataset_assets.staging.sources.cvat._coco_export import CocoAnnotations
from dataset_assets.staging.sources.cvat._partition import Annotations, CvatFiles, CvatPartition

_XML = "annotations.xml"
_COCO = re.compile(r"annotations/(instances_(.+)\.json)")
_PICTURES = "images/"
_EXTENSIONS = frozenset(
    {
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "bmp",
        "webp",
        "gif",
        "tif",
        "tiff",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
    }
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_SNIFF, _CHUNK = 1024, 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CvatExport:
    """What one partition is made of.

    Raises:
        ConfigurationError: no annotations are given.
    """

    annotations: str  # path or url of the zip of an export, or of its annotations.xml alone
    images: str | None = None  # path or url of a zip with the pictures, for an export without them
    subset: str | None = None  # only the images of this one

    def __post_init__(self) -> None:
        for name, value in (
            ("annotations", self.annotations),
            ("images", self.images),
            ("subset", self.subset),
        ):
            if not (isinstance(value, str) and value) and not (
                value is None and name != "annotations"
            ):
                raise ConfigurationError(
                    f"{name}: expected a text such as 'exports/task.zip', came {value!r}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class CvatOptions:
    """Which exports become partitions, and on which terms.

    Raises:
        ConfigurationError: a value that can not work.
    """

    exports: Mapping[str, str | Mapping[str, Any] | CvatExport] = field(
        default_factory=dict
    )  # partition -> zip, or what CvatExport has
    line_width: float = 0.0  # px: how wide polylines are drawn; 0: not at all
    license: str = "not stated"
    license_url: str = ""
    redistributable: bool = True  # whether the pictures may be published

    def __post_init__(self) -> None:
        if not self.exports:
            raise ConfigurationError(
                "exports: expected a zip for each partition, such as {'train': 'exports/train.zip'}, came none"
            )
        if wrong := [name for name in self.exports if not _NAME.fullmatch(name)]:
            raise ConfigurationError(
                f"exports: expected names of letters, digits, '_', '-' and '.', came {wrong[0]!r}"
            )
        if not 0 <= self.line_width <= 1000:
            raise ConfigurationError(f"line_width: expected 0 to 1000 px, came {self.line_width!r}")
        object.__setattr__(
            self, "exports", {name: _export(name, raw) for name, raw in self.exports.items()}
        )

    def export(self, partition: str) -> CvatExport:
        """Return what a partition is made of."""
        return _export(partition, self.exports[partition])


def _export(name: str, raw: Any) -> CvatExport:
    try:
        if isinstance(raw, CvatExport):
            return raw
        return CvatExport(**raw) if isinstance(raw, Mapping) else CvatExport(annotations=raw)
    except (TypeError, ConfigurationError) as exc:
        raise ConfigurationError(
            f"exports: {name}: expected a path, or annotations with images and subset ({exc})"
        ) from exc


class Source:
    """See `_base.Source`."""

    kind = "cvat"
    options_class = CvatOptions

    def __init__(self, options: CvatOptions) -> None:
        self.options = options
        self.license = License(options.license, options.license_url, options.redistributable)
        self.partitions = tuple(options.exports)

    def open(self, partition: str, access: SourceAccess) -> CvatPartition:
        """See `_base.Source`."""
        export = self.options.export(partition)
        files = ExitStack()
        try:
            opened = _Export(export, access, files)
            paths = opened.pictures()
            annotations = opened.annotations(list(paths.values()), self.options.line_width)
            found = CvatFiles(
                partition,
                opened.images,
                paths,
                annotations,
                opened.digests,
                [self.options.line_width],
            )
            return CvatPartition(found, export.subset, files)
        except BaseException:
            files.close()
            raise


class _Export:
    """The files of an export."""

    def __init__(self, export: CvatExport, access: SourceAccess, files: ExitStack) -> None:
        self._access, self._files = access, files
        self._name = _file_name(export.annotations)
        self._file = files.enter_context(closing(access.open(export.annotations)))
        self._archive = None if _is_xml(self._file) else open_archive(self._file, self._name)
        self.digests = {} if self._archive is None else {self._name: self._archive.digest}
        self.images = self._images(export.images)

    def _images(self, url: str | None) -> Archive:
        if url is not None:
            name = _file_name(url)
            archive = open_archive(self._files.enter_context(closing(self._access.open(url))), name)
            self.digests[f"{name} (images)" if name in self.digests else name] = archive.digest
            return archive
        if self._archive is None:
            raise UnreadableSource(
                f"{self._name}: expected the zip of an export with its images, came XML alone; say where they are with `images`"
            )
        return self._archive

    def pictures(self) -> dict[str, str]:
        """Return the pictures: path in the archive -> as annotations name it."""
        found = [member.name for member in self.images.members() if _is_picture(member.name)]
        if self.images is self._archive:
            return {
                path: path.removeprefix(_PICTURES) for path in found if path.startswith(_PICTURES)
            }
        top = _PICTURES if all(path.startswith(_PICTURES) for path in found) else ""
        return {path: path.removeprefix(top) for path in found}

    def annotations(self, paths: list[str], line_width: float) -> Annotations:
        """Read the annotations, for the pictures with these paths."""
        if self._archive is None:
            self.digests[self._name] = _digest(self._file)
            return self._read_xml(self._file, paths, line_width)
        members = {member.name: member for member in self._archive.members()}
        if _XML in members:
            return self._read_xml(self._keep(self._archive, members[_XML], _XML), paths, line_width)
        found = {
            match[2]: (match[1], members[name])
            for name in members
            if (match := _COCO.fullmatch(name))
        }
        if not found:
            raise UnreadableSource(
                f"{self._name}: expected {_XML} (CVAT for images or video 1.1) or annotations/instances_<subset>.json (COCO 1.0), found neither"
            )
        return self._read_coco(self._archive, found)

    def _read_xml(self, file: BinaryIO, paths: list[str], line_width: float) -> XmlAnnotations:
        with closing(file):
            annotations = XmlAnnotations(file, self._name, paths, line_width)
        self._files.callback(annotations.close)
        return annotations

    def _read_coco(
        self, archive: Archive, found: Mapping[str, tuple[str, ArchiveMember]]
    ) -> CocoAnnotations:
        files = {
            subset: self._files.enter_context(
                AnnotationFile(name, map_file(name, self._keep(archive, member, name)))
            )
            for subset, (name, member) in found.items()
        }
        return CocoAnnotations(files)

    def _keep(self, archive: Archive, member: ArchiveMember, name: str) -> BinaryIO:
        return self._access.keep(
            name.replace("/", "_"), lambda: archive.open(member), archive.digest
        )


def _is_xml(file: BinaryIO) -> bool:
    head = file.read(_SNIFF).lstrip(b"\xef\xbb\xbf \t\r\n")
    file.seek(0)
    return head.startswith(b"<")


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _is_picture(path: str) -> bool:
    name = path.rpartition("/")[2]
    hidden = name.startswith(".") or path.startswith("__MACOSX/")
    return not hidden and name.rpartition(".")[2].lower() in _EXTENSIONS


def _file_name(url: str) -> str:
    """Return the name of a file without what a url may have beside it."""
    return PurePosixPath(urlsplit(url).path if "://" in url else url).name or "export"
