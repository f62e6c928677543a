"""ImageNet (ILSVRC 2012, classification and localization), one sample per image, straight from the archive that Kaggle gives.

The archive is a zip or tar(.gz) with `ILSVRC/Data/CLS-LOC/{train/<wnid>,val,test}/*.JPEG`, also one inside a zip. The tables `LOC_*` stand in it or
beside it; they say the class of each validation image, so nothing has to be moved into folders. The class index is the place of the WordNet id in
sorted order, as in torchvision. A few files are PNG or CMYK in spite of their names: they are kept as they are, `format` says what they are.
The terms of access forbid to pass the data on. Source: https://www.kaggle.com/competitions/imagenet-object-localization-challenge/data
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import BinaryIO, ClassVar

from dataset_assets.archives.opening import Archive, open_archive
from dataset_assets.errors import ConfigurationError, ObjectMissing, SourceError
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import (
    ArchiveMember,
    ClassLabel,
    License,
    SampleError,
    StagedSample,
    StageItem,
)
from dataset_assets.staging.source import SourceAccess
from dataset_assets.staging.sources.imagenet._tables import (
    SOLUTIONS,
    SYNSETS,
    Box,
    meta_bin,
    read_solution,
    read_synsets,
)
from dataset_assets.storage.store import open_store

PARTITIONS = ("train", "val", "test")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
_FOLDER = "ILSVRC/Data/CLS-LOC/{}/"
_MAGIC = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png"}
META = "meta.bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagenetOptions:
    """Where the archive is, and which parts of it are staged.

    Raises:
        ConfigurationError: an unknown partition, or no path.
    """

    path: str  # the archive, or the folder that holds it and the tables
    labels: str | None = (
        None  # folder of the tables `LOC_*`; left out: beside the archive, then in it
    )
    partitions: tuple[str, ...] = ("train", "val")
    torchvision_meta: bool = True  # write meta.bin, which needs torch

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigurationError(
                "path: expected the archive of ImageNet that Kaggle gives, or the folder with it"
            )
        if not self.partitions or (unknown := set(self.partitions) - set(PARTITIONS)):
            came = ", ".join(sorted(unknown)) if self.partitions else "none"
            raise ConfigurationError(
                f"partitions: expected some of {', '.join(PARTITIONS)}, came {came}"
            )


class Source:
    """See `_base.Source`."""

    kind = "imagenet"
    options_class = ImagenetOptions
    license = License(
        "ImageNet terms of access", "https://www.image-net.org/download.php", redistributable=False
    )

    def __init__(self, options: ImagenetOptions) -> None:
        self.options = options
        self.partitions = options.partitions

    def open(self, partition: str, access: SourceAccess) -> "ImagenetPartition":
        """See `_base.Source`."""
        folder, name = self._find_archive()
        file = access.open(f"{folder}/{name}")
        archive = open_archive(file, name)
        tables = Tables(access, self.options.labels or folder, archive)
        if self.options.torchvision_meta:
            access.keep(META, tables.meta)
        return ImagenetPartition(partition, _inner(archive), tables, file)

    def _find_archive(self) -> tuple[str, str]:
        path = self.options.path.rstrip("/")
        folder, _, name = path.rpartition("/")
        if name.endswith(_ARCHIVES):
            return folder or ".", name
        found = [
            info.key
            for info in open_store(path).list("", recursive=False)
            if info.key.endswith(_ARCHIVES)
        ]
        if len(found) != 1:
            raise SourceError(
                f"{path}: expected one archive of ImageNet ({', '.join(_ARCHIVES)}), found {', '.join(found) or 'none'}; give the path of the file"
            )
        return path, found[0]


class Tables:
    """The tables of a copy of ImageNet: from a folder, or else from the archive itself."""

    def __init__(self, access: SourceAccess, folder: str, archive: Archive) -> None:
        self._access, self._folder, self._archive = access, folder, archive
        self.synsets = read_synsets(self._text(SYNSETS))

    def solution(self, partition: str) -> dict[str, tuple[Box, ...]]:
        """Return the boxes of each image of a partition; of test images none are published."""
        name = SOLUTIONS.get(partition)
        return (
            read_solution(name, io.StringIO(self._text(name), newline=""), self.synsets)
            if name
            else {}
        )

    def meta(self) -> BinaryIO:
        """Return torchvision's `meta.bin`."""
        return io.BytesIO(meta_bin(self.synsets, self.solution("val")))

    def _text(self, name: str) -> str:
        try:
            with self._access.open(f"{self._folder}/{name}") as file:
                return file.read().decode()
        except (ObjectMissing, SourceError) as exc:
            member = next(
                (
                    each
                    for each in _directory(self._archive)
                    if each.name.rpartition("/")[2] == name
                ),
                None,
            )
            if member is None:
                raise SourceError(
                    f"{name} is neither in {self._folder} nor in {self._archive.name}, get it from the data page of Kaggle ({exc})"
                ) from exc
            return self._archive.read(member).decode()


class ImagenetPartition:
    """See `_base.Partition`."""

    columns: ClassVar[Mapping[str, str]] = {"wnid": "string", "label": "int32", "format": "string"}
    parts: ClassVar[tuple[str, ...]] = ("annotations.json",)
    count = None  # only reading a tar to its end would tell

    def __init__(self, name: str, archive: Archive, tables: Tables, file: BinaryIO) -> None:
        self.name, self._archive, self._file = name, archive, file
        self._folder = _FOLDER.format(name)
        self._boxes = tables.solution(name)
        self._index = {wnid: index for index, wnid in enumerate(tables.synsets)}
        self.classes = tuple(
            ClassLabel(index, names[0], wnid)
            for index, (wnid, names) in enumerate(tables.synsets.items())
        )
        self.archives = {archive.name: archive.digest}
        tabled = {
            image: [asdict(box) for box in boxes] for image, boxes in sorted(self._boxes.items())
        }
        said = json.dumps(
            ["imagenet", name, self.archives, list(self._index), tabled, SCHEMA_VERSION]
        )
        self.fingerprint = hashlib.sha256(said.encode()).hexdigest()

    def _is_image(self, path: str) -> bool:
        return path.startswith(self._folder) and path.upper().endswith(".JPEG")

    def read_items(self, start: int) -> Iterator[StageItem]:
        """See `_base.Partition`.

        Raises:
            SourceError: the archive has no images of this partition.
        """
        index = start
        for member, payload in self._archive.walk(start, self._is_image):
            yield StageItem(index, member.name, self._archive.name, member.offset, payload)
            index += 1
        if not index:
            raise SourceError(
                f"{self._archive.name}: expected images {self._folder}*.JPEG, found none"
            )

    def make_sample(self, item: StageItem) -> StagedSample:
        """See `_base.Partition`."""
        key = item.path.rpartition("/")[2].rpartition(".")[0]
        boxes = self._boxes.get(key, ())
        wnid = (
            item.path.split("/")[-2] if self.name == "train" else (boxes[0].wnid if boxes else None)
        )
        if wnid is not None and wnid not in self._index:
            raise SampleError(Cause.NOT_IMAGE, f"its folder {wnid} is no class of {SYNSETS}")
        if wnid is None and self.name == "val":
            raise SampleError(Cause.NOT_IMAGE, f"{SOLUTIONS['val']} has no class for it")
        label = None if wnid is None else self._index[wnid]
        kind = next(
            (name for magic, name in _MAGIC.items() if item.payload.startswith(magic)), "jpeg"
        )
        parts = (
            {"annotations.json": json.dumps({"boxes": [asdict(box) for box in boxes]}).encode()}
            if boxes
            else {}
        )
        return StagedSample(
            key,
            kind,
            item.payload,
            {"wnid": wnid, "label": label, "format": kind},
            parts,
            {} if label is None else {label: 1},
        )

    def make_objects(self, item: StageItem) -> Iterator[tuple[str, bytes]]:
        """See `_base.Partition`."""
        yield item.path, item.payload

    @property
    def warnings(self) -> dict[str, int]:
        """See `_base.Partition`."""
        return {}

    def verify_archives(self) -> None:
        """See `_base.Partition`. Kaggle publishes no checksum; a zip was checked member by member, a tar.gz by its own."""

    def close(self) -> None:
        """See `_base.Partition`."""
        self._file.close()


def _directory(archive: Archive) -> tuple[ArchiveMember, ...]:
    """Return the members of a zip; of a tar, where finding one may take hours, those that it begins with."""
    return tuple(archive.members()) if archive.kind == "zip" else ()


def _inner(archive: Archive) -> Archive:
    """Return the archive in a zip that holds one beside the tables, else the archive itself."""
    found = [member for member in _directory(archive) if member.name.endswith(_ARCHIVES)]
    return open_archive(archive.open(found[0]), found[0].name) if len(found) == 1 else archive
