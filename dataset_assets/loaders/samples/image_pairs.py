"""Images and label maps that are single objects of a bucket, paired by the patterns of their names.

A dataset description has the keys of torchdatasetutil's:

    {"bucket": "imgml", "prefix": "data/lit", "recursive": true,
     "image_path": "image", "image_pattern": "*.tif", "image_colorspace": "grayscale",
     "label_path": "image", "label_pattern": "*_cls.png"}

If both paths are equal, images and label maps may be anywhere below the prefix, otherwise below
their path in it. The text that `*` stands for must be equal in both names. A sample is two
requests; there are no shards and no cache.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError, MissingColumn, ObjectMissing, SourceError
from dataset_assets.loaders.order.random_streams import permutation
from dataset_assets.loaders.samples.rows import PAYLOAD
from dataset_assets.records.causes import Cause
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.staged import SampleError, StagedDataset
from dataset_assets.storage.store import ObjectInfo, Store

LABELS = "seg.png"  # part of the samples


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsDescription:
    """Where images and label maps are.

    Raises:
        ConfigurationError: a pattern does not have exactly one `*`.
    """

    prefix: str = ""
    """Folder that has both."""
    image_path: str = ""
    """Folder of the images in it."""
    image_pattern: str = "*.tif"
    """Names of the images."""
    label_path: str = ""
    """Folder of the label maps in the prefix."""
    label_pattern: str = "*_cls.png"
    """Names of the label maps."""
    image_colorspace: str = "color"
    """Kind of the images: "grayscale" for images of one channel; anything else is BGR."""
    recursive: bool = True
    """Whether folders inside these are searched too."""
    bucket: str | None = None
    """Bucket of the objects. None: that of the call."""

    def __post_init__(self) -> None:
        for name in ("image_pattern", "label_pattern"):
            if getattr(self, name).count("*") != 1:
                raise ConfigurationError(
                    f"{name}: expected one '*', which stands for what the names of image and label "
                    f"map have in common, got {getattr(self, name)!r}"
                )

    @classmethod
    def load(cls, source: Mapping[str, Any] | bytes, name: str) -> Self:
        """Read a description, JSON or YAML. Unknown keys are ignored.

        Raises:
            ConfigurationError: it is not a description.
        """
        try:
            raw = source if isinstance(source, Mapping) else yaml.safe_load(source)
            fields = cls.__dataclass_fields__
            known = {
                key: value for key, value in raw.items() if key in fields and value is not None
            }
        except (yaml.YAMLError, AttributeError) as exc:
            raise ConfigurationError(
                f"{name}: expected a dataset description, "
                "such as {'prefix': ..., 'image_pattern': ...}"
            ) from exc
        for key, value in known.items():
            wanted = bool if key == "recursive" else str
            if not isinstance(value, wanted):
                raise ConfigurationError(
                    f"{name}, {key}: expected a {wanted.__name__}, got {value!r}"
                )
        return cls(**known)

    @property
    def color(self) -> str:
        """Order of the channels, as `LoadedSample.image` accepts it."""
        return "gray" if self.image_colorspace.lower() == "grayscale" else "bgr"

    def folders(self) -> tuple[str, str]:
        """Return the folders of images and label maps, with a trailing `/`; "" is everything."""
        paths = (self.image_path, self.label_path)
        if self.image_path == self.label_path:
            paths = ("", "")
        images, labels = (
            "/".join(part.strip("/") for part in (self.prefix, path) if part.strip("/"))
            for path in paths
        )
        return images and f"{images}/", labels and f"{labels}/"


class ImagePairs:
    """The pairs of a description in the order of their names, as rows of a loader.

    Args:
        store: the bucket.
        description: where to look in it.

    Raises:
        SourceError: there are no pairs.
    """

    def __init__(self, store: Store, description: PairsDescription) -> None:
        images, labels = _find(store, description)
        self._stems = sorted(images.keys() & labels.keys())
        if not self._stems:
            image_folder, label_folder = description.folders()
            raise SourceError(
                f"no pairs below {store.url}: {len(images)} images "
                f"{description.image_pattern!r} in {image_folder!r}, {len(labels)} label maps "
                f"{description.label_pattern!r} in {label_folder!r}; "
                "correct the dataset description"
            )
        self.unpaired = len(images) + len(labels) - 2 * len(self._stems)
        self._store = store
        self._images = [images[stem] for stem in self._stems]
        self._labels = [labels[stem] for stem in self._stems]
        pairs = zip(self._images, self._labels, strict=True)
        content = [[info.key, info.bytes] for pair in pairs for info in pair]
        self.digest = fingerprint_of(content)[:16]
        self.url = store.url
        self.dataset: StagedDataset | None = None
        self.parts: tuple[str, ...] = (LABELS,)
        self.columns: tuple[str, ...] = ()
        # all pairs are one shard, of which nothing can be fetched ahead
        self.shard = np.zeros(len(self._stems), np.int32)
        self.shard_bytes: tuple[int, ...] = (0,)

    def __len__(self) -> int:
        return len(self._stems)

    def column(self, name: str) -> NDArray[Any]:
        """Raise `MissingColumn`: there are no columns."""
        raise MissingColumn(f"{self.url} has no column {name!r}: image pairs have no columns")

    def values(self, index: int, names: Sequence[str]) -> dict[str, Any]:
        """Return nothing: there are no columns."""
        return {}

    def key(self, index: int) -> str:
        """Return what the names of a pair have in common, with the path in the prefix."""
        return self._stems[index]

    def extension(self, index: int) -> str:
        """Return the extension of an image."""
        return self._images[index].key.rpartition(".")[2]

    def describe(self, index: int) -> str:
        """Return key and store of a pair, for messages."""
        return f"{self.key(index)} in {self.url}"

    def in_shards(self) -> None:
        """Return None: each pair is two objects."""

    def read(self, index: int, parts: Sequence[str] | None = None) -> dict[str, bytes]:
        """Read a pair, in two requests.

        Raises:
            SampleError: one of the objects does not exist any more.
        """
        wanted = {PAYLOAD: self._images[index]}
        if parts is None or LABELS in parts:
            wanted[LABELS] = self._labels[index]
        try:
            return {name: self._store.read(info.key) for name, info in wanted.items()}
        except ObjectMissing as exc:
            raise SampleError(Cause.DECODE_ERROR, str(exc)) from exc

    def check_shards(self) -> None:
        """Do nothing: the pairs come from a listing that was just made."""


def split_pairs(
    count: int, fractions: Sequence[float], batch_size: int, seed: int
) -> list[NDArray[np.bool_]]:
    """Assign samples to sets at random.

    Args:
        count: number of samples.
        fractions: share of each set; sets end at a multiple of `batch_size` samples.
        batch_size: samples in a batch.
        seed: equal seeds give equal sets.

    Returns:
        One mask (count,) per set.

    Raises:
        ConfigurationError: a set would be empty, or the fractions add up to more than 1.
    """
    if min(fractions, default=0) <= 0 or sum(fractions) > 1 + 1e-9:
        raise ConfigurationError(
            "split: expected fractions above 0 that add up to at most 1, "
            f"got {', '.join(map(str, fractions))}"
        )
    order = permutation(count, seed=seed, epoch=0)
    masks = []
    start = 0
    allocated = 0.0
    for number, fraction in enumerate(fractions):
        allocated += fraction
        end = int(allocated * count / batch_size + 1e-9) * batch_size
        if allocated > 1 - 1e-9:
            end = count
        if end <= start:
            raise ConfigurationError(
                f"split: set {number} of {count} samples would be empty: expected a larger "
                "fraction or a smaller batch_size"
            )
        mask = np.zeros(count, bool)
        mask[order[start:end]] = True
        masks.append(mask)
        start = end
    return masks


def _find(
    store: Store, description: PairsDescription
) -> tuple[dict[str, ObjectInfo], dict[str, ObjectInfo]]:
    """Return images and label maps by their stems. What matches both patterns is a label map."""
    image_folder, label_folder = description.folders()
    recursive = description.recursive
    labels = dict(_match(store, label_folder, description.label_pattern, recursive=recursive))
    names = {info.key for info in labels.values()}
    images = _match(store, image_folder, description.image_pattern, recursive=recursive)
    return {stem: info for stem, info in images if info.key not in names}, labels


def _match(
    store: Store, folder: str, pattern: str, *, recursive: bool
) -> Iterator[tuple[str, ObjectInfo]]:
    before, after = pattern.split("*")
    for info in store.list(folder, recursive=recursive):
        path, slash, name = info.key.removeprefix(folder).rpartition("/")
        is_match = name.startswith(before) and name.endswith(after)
        if is_match and len(name) > len(before) + len(after):
            yield f"{path}{slash}{name[len(before) : len(name) - len(after)]}", info
