"""Pictures and label maps that lie as they are in a bucket, paired by the patterns of their names. A sample is two requests; there are no shards.

A dataset description, as torchdatasetutil's:

    {"bucket": "imgml", "prefix": "data/lit", "image_path": "image", "image_pattern": "*.tif", "image_colorspace": "grayscale",
     "label_path": "image", "label_pattern": "*_cls.png", "recursive": true}

Where both paths are equal, pictures and label maps are anywhere below the prefix; else below the paths in it. What `*` stands for must be equal in both.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import yaml

from dataset_assets.errors import ConfigurationError, ObjectMissing, SourceError
from dataset_assets.loaders.samples.staged_rows import PAYLOAD, StagedRows
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import ShardFile
from dataset_assets.records.staged import SampleError
from dataset_assets.storage.store import ObjectInfo, Store

LABELS = "seg.png"  # part of the samples


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsDescription:
    """Where pictures and label maps are.

    Raises:
        ConfigurationError: a pattern without a `*`, or with several.
    """

    prefix: str = ""
    image_path: str = ""
    image_pattern: str = "*.tif"
    label_path: str = ""
    label_pattern: str = "*_cls.png"
    image_colorspace: str = "color"
    recursive: bool = True
    bucket: str | None = None  # None: that of the call

    def __post_init__(self) -> None:
        for name in ("image_pattern", "label_pattern"):
            if getattr(self, name).count("*") != 1:
                raise ConfigurationError(
                    f"{name}: expected one '*', which stands for what picture and label map share, came {getattr(self, name)!r}"
                )

    @classmethod
    def load(cls, source: Mapping[str, Any] | bytes, name: str) -> Self:
        """Read a description, JSON or YAML; further keys are passed over.

        Raises:
            ConfigurationError: it is none.
        """
        try:
            raw = source if isinstance(source, Mapping) else yaml.safe_load(source)
            known = {
                key: value
                for key, value in raw.items()
                if key in cls.__dataclass_fields__ and value is not None
            }
        except (yaml.YAMLError, AttributeError) as exc:
            raise ConfigurationError(
                f"{name}: expected a dataset description, such as {{'prefix': ..., 'image_pattern': ...}}"
            ) from exc
        for key, value in known.items():
            wanted = bool if key == "recursive" else str
            if not isinstance(value, wanted):
                raise ConfigurationError(
                    f"{name}, {key}: expected a {wanted.__name__}, came {value!r}"
                )
        return cls(**known)

    @property
    def color(self) -> str:
        """What `SegmentationTransform` makes of the pictures."""
        return "gray" if self.image_colorspace.lower() == "grayscale" else "bgr"

    def folders(self) -> tuple[str, str]:
        """Return where pictures and label maps are looked for, with a `/` behind unless it is everywhere."""
        paths = (
            ("", "") if self.image_path == self.label_path else (self.image_path, self.label_path)
        )
        images, labels = (
            "/".join(part.strip("/") for part in (self.prefix, path) if part.strip("/"))
            for path in paths
        )
        return images and f"{images}/", labels and f"{labels}/"


class ImagePairs(StagedRows):
    """The pairs of a description, in the order of their names. Looks like the rows of a shard set, as far as `ShardLoader` needs it without a cache.

    Raises (when made):
        SourceError: there are none.
    """

    def __init__(self, store: Store, description: PairsDescription) -> None:
        images, labels = _found(store, description)
        self._stems = sorted(images.keys() & labels.keys())
        if not self._stems:
            raise SourceError(
                f"no pairs below {store.url}: {len(images)} pictures {description.image_pattern!r} in {description.folders()[0]!r}, "
                f"{len(labels)} label maps {description.label_pattern!r} in {description.folders()[1]!r}; correct the dataset description"
            )
        self.unpaired = len(images) + len(labels) - 2 * len(self._stems)
        self._images, self._labels = (
            [kind[stem] for stem in self._stems] for kind in (images, labels)
        )
        content = [
            [info.key, info.bytes]
            for pair in zip(self._images, self._labels, strict=True)
            for info in pair
        ]
        self.digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
        self.store, self.url, self.dataset = cast(Any, _Loose(store)), store.url, None
        self.files = (ShardFile(name="", bytes=0, sha256=""),)
        self.shard = np.zeros(len(self._stems), np.int32)
        self.counts = np.array([len(self._stems)], np.int64)
        self.parts = (LABELS,)

    def key(self, index: int) -> str:
        """See `StagedRows`."""
        return self._stems[index]

    @property
    def keys(self) -> Sequence[str]:
        """See `StagedRows`."""
        return list(self._stems)

    @property
    def columns(self) -> tuple[str, ...]:
        """There are none."""
        return ()

    def extension(self, index: int) -> str:
        """See `StagedRows`."""
        return self._images[index].key.rpartition(".")[2]

    def read(self, index: int, parts: Sequence[str] | None = None) -> dict[str, bytes]:
        """Read a pair, in two requests.

        Raises:
            SampleError: one of them is gone.
        """
        wanted = {PAYLOAD: self._images[index], LABELS: self._labels[index]}
        try:
            return {
                name: self.store.read(info.key)
                for name, info in wanted.items()
                if name == PAYLOAD or parts is None or name in parts
            }
        except ObjectMissing as exc:
            raise SampleError(Cause.DECODE_ERROR, str(exc)) from exc

    def check_shards(self) -> None:
        """There are none."""


class _Loose:
    """What `ShardLoader` needs of the store of such rows. Being no store of files, it is never read in place."""

    def __init__(self, store: Store) -> None:
        self.url, self.read = store.url, store.read

    def locate(self, key: str) -> str:
        """Say for people where an object is."""
        return f"{self.url}/{key}".rstrip("/")


def _found(
    store: Store, description: PairsDescription
) -> tuple[dict[str, ObjectInfo], dict[str, ObjectInfo]]:
    """Return pictures and label maps by what their names share. What matches both patterns is a label map."""
    image_folder, label_folder = description.folders()
    labels = dict(
        _matching(store, label_folder, description.label_pattern, recursive=description.recursive)
    )
    names = {info.key for info in labels.values()}
    images = _matching(
        store, image_folder, description.image_pattern, recursive=description.recursive
    )
    return {stem: info for stem, info in images if info.key not in names}, labels


def _matching(
    store: Store, folder: str, pattern: str, *, recursive: bool
) -> Iterator[tuple[str, ObjectInfo]]:
    before, after = pattern.split("*")
    for info in store.list(folder, recursive=recursive):
        path, slash, name = info.key.removeprefix(folder).rpartition("/")
        if (
            name.startswith(before)
            and name.endswith(after)
            and len(name) > len(before) + len(after)
        ):
            yield f"{path}{slash}{name[len(before) : len(name) - len(after)]}", info
