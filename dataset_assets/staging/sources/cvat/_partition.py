"""A partition of CVAT, opened: the pictures of an export in the order of their archive, each with what its annotations say."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from dataset_assets.archives.opening import Archive
from dataset_assets.errors import UnreadableSource
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import ClassLabel, SampleError, StagedSample, StageItem
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.sources.cvat._annotations import Found

_ANNOTATIONS, _LABELS = "annotations.json", "seg.png"
_EXTENSIONS = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "PNG": "png",
    "BMP": "bmp",
    "WEBP": "webp",
    "GIF": "gif",
    "TIFF": "tif",
    "PPM": "ppm",
}
_ORIENTATION, _SIDEWAYS = 0x0112, frozenset({5, 6, 7, 8})  # EXIF


class Annotations(Protocol):
    """What an export says about pictures. `draw` may be called from several threads, the rest from one."""

    @property
    def classes(self) -> tuple[ClassLabel, ...]:
        """The labels."""

    @property
    def warnings(self) -> Mapping[str, int]:
        """What is odd, and how often."""

    def find(self, path: str) -> Found | None:
        """Return the image that a picture is of, by its path below `images/`."""

    def missing(self, found: set[Any]) -> int:
        """Return how many images of the annotations are not among the found ones."""

    def document(self, key: Any) -> bytes:
        """Return what is known of an image, as JSON with its size in `image`."""

    def draw(self, document: Mapping[str, Any], size: tuple[int, int]) -> LabelMap:
        """Draw what a document says into a map of (height, width)."""


@dataclass(frozen=True, slots=True)
class CvatFiles:
    """The files of a partition."""

    partition: str
    images: Archive
    paths: Mapping[str, str]  # of the pictures: in the archive -> as annotations name it
    annotations: Annotations
    digests: Mapping[str, str]
    options: Sequence[Any]  # that shape the samples


class CvatPartition:
    """See `_base.Partition`."""

    columns: Mapping[str, str] = MappingProxyType(
        {
            "image_id": "int64",
            "subset": "string",
            "task_id": "int64",
            "n_shapes": "int32",
            "tags": "string",
        }
    )
    parts = (_ANNOTATIONS, _LABELS)

    def __init__(self, files: CvatFiles, subset: str | None, resources: ExitStack) -> None:
        self.name, self.archives = files.partition, files.digests
        self._images, self._annotations, self._paths, self._resources = (
            files.images,
            files.annotations,
            files.paths,
            resources,
        )
        self.classes = files.annotations.classes
        self._ids = {label.name: label.id for label in self.classes}
        self._found = self._find(subset)
        self.count = len(self._found)
        said = json.dumps(
            ["cvat", self.name, subset, list(files.options), dict(files.digests), SCHEMA_VERSION]
        )
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()

    def _find(self, subset: str | None) -> dict[str, Found | None]:
        """Return what the annotations know of each picture of the partition, and count what does not fit together."""
        found = {path: self._annotations.find(name) for path, name in self._paths.items()}
        known = [each.key for each in found.values() if each is not None]
        if len(set(known)) != len(known):
            raise UnreadableSource(
                f"{self._images.name}: two pictures belong to one image of the annotations; remove one of them"
            )
        odd = {
            "images without picture": self._annotations.missing(set(known)),
            "pictures without annotations": len(found) - len(known),
        }
        self._warnings = dict(self._annotations.warnings) | {
            what: count for what, count in odd.items() if count
        }
        if subset is not None:
            found = {
                path: each
                for path, each in found.items()
                if each is not None and each.subset == subset
            }
        if not found:
            of = f" of subset {subset!r}" if subset is not None else ""
            raise UnreadableSource(
                f"{self._images.name}: expected pictures{of}, found none; export with images, or say where they are with `images`"
            )
        return found

    def read_items(self, start: int) -> Iterator[StageItem]:
        """See `_base.Partition`."""
        for index, (member, payload) in enumerate(
            self._images.walk(start, self._found.__contains__), start
        ):
            found = self._found[member.name]
            known = {} if found is None else {_ANNOTATIONS: self._annotations.document(found.key)}
            yield StageItem(index, member.name, self._images.name, member.offset, payload, known)

    def make_sample(self, item: StageItem) -> StagedSample:
        """See `_base.Partition`."""
        (width, height), extension = _look_at(item.payload)
        known = item.companions.get(_ANNOTATIONS) or _nothing(self._paths[item.path])
        document = json.loads(known)
        image = document["image"]
        said = (image.get("width", width), image.get("height", height))
        if said != (width, height):
            raise SampleError(
                Cause.DECODE_ERROR,
                f"the image has {width} x {height} pixels, but its annotations {said[0]} x {said[1]}",
            )
        label_map = self._annotations.draw(document, (height, width))
        shapes = document.get("shapes", [])
        tags = [shape.get("label", "") for shape in shapes if shape["type"] == "tag"]
        found = self._found[item.path]
        columns = {
            "image_id": image.get("id"),
            "subset": found.subset if found is not None else "",
            "task_id": image.get("task_id"),
            "n_shapes": len(shapes) - len(tags) + len(document.get("annotations", [])),
            "tags": json.dumps(tags, ensure_ascii=False),
        }
        counts = {self._ids[tag]: 1 for tag in tags if tag in self._ids} | label_map.count_pixels()
        parts = {_ANNOTATIONS: known, _LABELS: label_map.encode()}
        return StagedSample(f"{item.index:06d}", extension, item.payload, columns, parts, counts)

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """See `_base.Partition`."""
        yield f"{self.name}/{item.path}", item.payload
        for name, data in item.companions.items():
            yield f"{self.name}/{item.path}.{name}", data

    def verify_archives(self) -> None:
        """See `_base.Partition`. Nobody publishes sums of exports; members were checked by CRC-32."""

    @property
    def warnings(self) -> Mapping[str, int]:
        """See `_base.Partition`."""
        return self._warnings

    def close(self) -> None:
        """See `_base.Partition`."""
        self._resources.close()


def _nothing(name: str) -> bytes:
    """Return the document of a picture that annotations do not know."""
    return json.dumps(
        {"image": {"name": name}, "shapes": [], "annotations": []}, ensure_ascii=False
    ).encode()


def _look_at(payload: bytes) -> tuple[tuple[int, int], str]:
    """Return width and height as the picture is shown, and the extension of what it is."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(payload)) as image:
            size, kind, orientation = (
                image.size,
                image.format or "",
                image.getexif().get(_ORIENTATION),
            )
    except Image.DecompressionBombError as exc:
        raise SampleError(Cause.TOO_MANY_PIXELS, str(exc)) from exc
    except (OSError, ValueError, SyntaxError) as exc:
        raise SampleError(Cause.NOT_IMAGE, "it is no image, or damaged at its beginning") from exc
    if kind not in _EXTENSIONS:
        raise SampleError(
            Cause.UNSUPPORTED_FORMAT, f"expected one of {', '.join(_EXTENSIONS)}, came {kind}"
        )
    return (size[::-1] if orientation in _SIDEWAYS else size), _EXTENSIONS[kind]
