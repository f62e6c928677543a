"""What the `Create...Loaders` have in common: buckets, options, and the dicts that they return."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch

from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.labels.class_dictionary import ClassDictionary
from dataset_assets.loaders.labels.label_maps import TrainIds, class_weights, unknown_labels
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.loader import ShardLoader
from dataset_assets.loaders.torch.normalizing import NormalizingLoader
from dataset_assets.loaders.torch.transforms import ExtraTransform, SegmentationTransform
from dataset_assets.storage.store import Store, open_store


@runtime_checkable
class Buckets(Protocol):
    """The buckets of an S3 endpoint, such as `dataset_assets.s3store`."""

    def store(self, bucket: str, prefix: str = "") -> Store:
        """Return a folder of a bucket."""


#: Buckets; or a store or url (or local folder) whose folders take the place of buckets.
BucketSource = Buckets | Store | str
#: One entry of the argument `loaders`, and of the result.
SetDefinition = dict[str, Any]

_DEFAULTS = LoaderOptions(bad_samples="replace")


def open_bucket(s3: BucketSource, bucket: str | None) -> Store:
    """Return a bucket; of a store or url the folder of that name, or itself without a name.

    Raises:
        ConfigurationError: there are buckets, and no name.
    """
    if isinstance(s3, Buckets):
        if not bucket:
            raise ConfigurationError(
                "bucket: expected the name of a bucket; give it, or a store or url in place of s3"
            )
        return s3.store(bucket)
    store = open_store(s3) if isinstance(s3, str) else s3
    return store.child(bucket) if bucket else store


def bucket_name(bucket: str | None, s3def: Mapping[str, Any] | None) -> str | None:
    """Return the given bucket, or else that of the data sets of a credentials file.

    Raises:
        ConfigurationError: `s3def` does not name it.
    """
    if bucket or not s3def:
        return bucket
    try:
        return str(s3def["sets"]["dataset"]["bucket"])
    except (KeyError, TypeError) as exc:
        raise ConfigurationError(
            f"s3def: expected sets, dataset, bucket in it ({exc!r} is missing); add it or give "
            "bucket="
        ) from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class CallArguments:
    """Arguments of a call that all its loaders use."""

    batch_size: int  # of one rank
    num_workers: int
    shuffle: bool = True
    cuda: bool = True
    timeout_s: float = 0
    seed: int | None = None
    cache_dir: str | None = None
    options: LoaderOptions | None = None

    def loader_options(
        self, *, train: bool, drop_last: bool, parts: tuple[str, ...], columns: tuple[str, ...] = ()
    ) -> LoaderOptions:
        """Return the options of the loader of one set."""
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
class SegmentationSets:
    """Makes the loaders of one call whose samples are images and label maps."""

    call: CallArguments
    augment: AugmentOptions  # `random` and `ignore` are those of the set
    color: str = "bgr"
    image_transform: ExtraTransform | None = None
    label_transform: ExtraTransform | None = None

    def add_loader(
        self,
        definition: SetDefinition,
        source: LoaderSource,
        dictionary: ClassDictionary,
        *,
        part: str = "seg.png",
    ) -> SetDefinition:
        """Add the loader of a set to its definition.

        Sets without `enable_transform` are not shuffled, and keep short last batches.

        Raises:
            ConfigurationError: the set has no label maps.
        """
        rows = source.rows
        train = bool(definition["enable_transform"])
        if part not in rows.parts:
            raise ConfigurationError(
                f"{rows.url} has no {part}; expected a set with label maps: train or val, not test"
            )
        is_semantic = part == "seg.png"
        if train and is_semantic and source.sample_weights is None:
            source = replace(source, sample_weights=class_weights(dictionary, rows))
        transform = SegmentationTransform(
            options=replace(self.augment, random=train, ignore=dictionary.ignore),
            train_ids=TrainIds(dictionary) if is_semantic else None,
            part=part,
            color=self.color,
            image_transform=self.image_transform,
            label_transform=self.label_transform,
        )
        may_drop = train and definition.get("drop_last", True)
        drop_last = may_drop and source.samples >= self.call.batch_size
        options = self.call.loader_options(train=train, drop_last=drop_last, parts=(part,))
        loader: ShardLoader
        if self.image_transform is None:
            loader = NormalizingLoader(source, transform, transform.options, options)
        else:
            loader = ShardLoader(source, transform, options=options)
        describe_loader(definition, source, loader)
        definition["unknown_labels"] = {}
        if is_semantic:
            definition["unknown_labels"] = unknown_labels(dictionary, rows.dataset)
        return definition


def describe_loader(definition: SetDefinition, source: LoaderSource, loader: ShardLoader) -> None:
    """Add a loader, its number of batches and its number of samples to a definition."""
    options = loader.options
    definition["dataloader"] = loader
    definition["batches"] = len(loader)
    samples_of_rank = -(-source.samples // options.world_size)
    definition["length"] = min(len(loader) * options.batch_size, samples_of_rank)
    definition.setdefault("dataset_dfn", {})


def copied_definitions(
    given: list[SetDefinition] | None, default: tuple[SetDefinition, ...]
) -> list[SetDefinition]:
    """Return copies of the given sets, or of the default ones: those of callers stay unchanged."""
    found = [dict(definition) for definition in (default if given is None else given)]
    for definition in found:
        definition.setdefault("enable_transform", definition.get("set") == "train")
    return found


def locate_set(definition: SetDefinition, src: str, dest: str | None) -> str:
    """Set `dataset` of a definition to the folder of the set in the bucket, and return it.

    Folders of this machine, which torchdatasetutil reads, are replaced.
    """
    dataset = str(definition.get("dataset") or "/")
    if dataset.startswith("/") or dataset.rstrip("/") == str(dest).rstrip("/"):
        dataset = f"{src}/staged/{definition['set']}"
    definition["dataset"] = dataset.strip("/")
    return str(definition["dataset"])


def normalization(normalize: bool | str) -> str:
    """Return the value for `AugmentOptions.normalize`."""
    if isinstance(normalize, str):
        return normalize
    return "image" if normalize else "none"
