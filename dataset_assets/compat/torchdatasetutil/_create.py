"""What all `Create...Loaders` share: where their shards are, what their loaders are told, and the list of dicts that they return."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.labels.class_dictionary import ClassDictionary
from dataset_assets.loaders.labels.label_maps import TrainIds, class_weights, unknown_labels
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.torch.augment import AugmentOptions
from dataset_assets.loaders.torch.loader import ShardLoader
from dataset_assets.loaders.torch.normalizing import FinishingLoader
from dataset_assets.loaders.torch.transforms import Extra, SegmentationTransform
from dataset_assets.storage.store import Store, open_store


@runtime_checkable
class Buckets(Protocol):
    """The buckets of an S3 endpoint, such as `dataset_assets.s3store`."""

    def store(self, bucket: str, prefix: str = "") -> Store:
        """Return a folder of a bucket."""


#: Buckets; or the store or url (a folder, too) that has what would be the buckets as its folders.
Place = Buckets | Store | str
#: One entry of `loaders`, as it comes and as it is returned.
Definition = dict[str, Any]

_DEFAULTS = LoaderOptions(bad_samples="replace")


def open_bucket(s3: Place, bucket: str | None) -> Store:
    """Return a bucket; of a store or url the folder of that name, itself when there is no name."""
    if isinstance(s3, Buckets):
        if not bucket:
            raise ConfigurationError(
                "bucket: expected the name of a bucket; give it, or a store or url in place of s3"
            )
        return s3.store(bucket)
    store = open_store(s3) if isinstance(s3, str) else s3
    return store.child(bucket) if bucket else store


def bucket_of(bucket: str | None, s3def: Mapping[str, Any] | None) -> str | None:
    """Return the bucket that was named, or else that of the data sets of a credentials file.

    Raises:
        ConfigurationError: `s3def` does not say it.
    """
    if bucket or not s3def:
        return bucket
    try:
        return str(s3def["sets"]["dataset"]["bucket"])
    except (KeyError, TypeError) as exc:
        raise ConfigurationError(
            f"s3def: expected sets, dataset, bucket in it ({exc!r} is missing); add it or give bucket="
        ) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What all loaders of one call are told."""

    batch_size: int  # of one rank
    num_workers: int
    shuffle: bool = True
    cuda: bool = True
    timeout_s: float = 0
    seed: int | None = None
    cache_dir: str | None = None
    options: LoaderOptions | None = None  # everything else

    def options_for(
        self, *, train: bool, drop_last: bool, parts: tuple[str, ...], columns: tuple[str, ...] = ()
    ) -> LoaderOptions:
        """Return the options of one set."""
        base = self.options or _DEFAULTS
        return replace(
            base,
            global_batch_size=self.batch_size * base.world_size,
            seed=base.seed if self.seed is None else self.seed,
            shuffle=train and self.shuffle,
            drop_last=drop_last,
            repeats=base.repeats if train else 1,
            parts=parts,
            columns=columns,
            num_workers=self.num_workers,
            pin_memory=base.pin_memory or (self.cuda and torch.cuda.is_available()),
            timeout_s=self.timeout_s or base.timeout_s,
            cache_dir=base.cache_dir or self.cache_dir,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """How the loaders of one call make samples of pictures and label maps."""

    run: Run
    augment: AugmentOptions  # `random` and `ignore` are those of the set
    color: str = "bgr"
    image_transform: Extra | None = None
    label_transform: Extra | None = None

    def fill(
        self,
        definition: Definition,
        source: LoaderSource,
        dictionary: ClassDictionary,
        *,
        part: str = "seg.png",
    ) -> Definition:
        """Add the loader of a set to its definition. Sets that are not transformed are neither shuffled nor cut short.

        Raises:
            ConfigurationError: the set has no label maps.
        """
        rows, train = source.rows, bool(definition["enable_transform"])
        if part not in rows.parts:
            raise ConfigurationError(
                f"{rows.url} has no {part}; expected a set with label maps: train or val, not test"
            )
        semantic = part == "seg.png"
        if train and semantic and source.sample_weights is None:
            source = replace(source, sample_weights=class_weights(dictionary, rows))
        transform = SegmentationTransform(
            options=replace(self.augment, random=train, ignore=dictionary.ignore),
            train_ids=TrainIds(dictionary) if semantic else None,
            part=part,
            color=self.color,
            image_transform=self.image_transform,
            label_transform=self.label_transform,
        )
        drop_last = (
            train and definition.get("drop_last", True) and taken(source) >= self.run.batch_size
        )
        options = self.run.options_for(train=train, drop_last=drop_last, parts=(part,))
        if self.image_transform is None:
            describe(
                definition, source, FinishingLoader(source, transform, transform.options, options)
            )
        else:
            describe(definition, source, ShardLoader(source, transform, options=options))
        definition["unknown_labels"] = unknown_labels(dictionary, rows.dataset) if semantic else {}
        return definition


def describe(definition: Definition, source: LoaderSource, loader: ShardLoader) -> None:
    """Add a loader, its number of batches and of samples to the definition of a set."""
    options = loader.options
    definition["dataloader"] = loader
    definition["batches"] = len(loader)
    definition["length"] = min(
        len(loader) * options.batch_size, -(-taken(source) // options.world_size)
    )
    definition.setdefault("dataset_dfn", {})


def taken(source: LoaderSource) -> int:
    """Return how many samples of a source an epoch has."""
    return len(source.rows) if source.keep is None else int(source.keep.sum())


def definitions(
    given: list[Definition] | None, default: tuple[Definition, ...]
) -> list[Definition]:
    """Return copies of the given sets, or of the default ones: what a caller handed in stays as it is."""
    found = [dict(definition) for definition in (default if given is None else given)]
    for definition in found:
        definition.setdefault("enable_transform", definition.get("set") == "train")
    return found


def locate_set(definition: Definition, src: str, dest: str | None) -> str:
    """Return the folder of a set in the bucket, and note it: `dataset`, unless that is the folder of this machine that torchdatasetutil reads."""
    dataset = str(definition.get("dataset") or "/")
    if dataset.startswith("/") or dataset.rstrip("/") == str(dest).rstrip("/"):
        dataset = f"{src}/staged/{definition['set']}"
    definition["dataset"] = dataset.strip("/")
    return str(definition["dataset"])


def normalization(normalize: bool | str) -> str:
    """Return the name that `AugmentOptions` has for what torchdatasetutil switches on or off."""
    return normalize if isinstance(normalize, str) else "image" if normalize else "none"


def weights(values: Any) -> NDArray[np.float64] | None:
    """Return sample weights as an array, if there are any."""
    return None if values is None else np.asarray(values, np.float64)
