"""`CreateImagenetLoaders`: torch loaders of a staged ImageNet, called as torchdatasetutil's, without its defects.

    loaders = CreateImagenetLoaders(s3, s3def, src="data/imagenet", dest="/data/imagenet", batch_size=256, num_workers=16)
    for images, labels in loaders[0]["dataloader"]: ...

Pictures are (B, 3, crop_height, crop_width) float32, RGB; labels (B,) int64: the place of the synset in sorted order, or with mixup and CutMix
(B, classes) float32. Normalised is (x / 255 - mean) / std.
Source: https://github.com/bhlarson/torchdatasetutil
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from dataset_assets.compat.torchdatasetutil._create import (
    Definition,
    Place,
    Run,
    bucket_of,
    definitions,
    describe,
    locate_set,
    open_bucket,
)
from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.labels.class_dictionary import shipped
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.staged_rows import StagedRows
from dataset_assets.loaders.torch.augment import AugmentOptions
from dataset_assets.loaders.torch.loader import ShardLoader, stack
from dataset_assets.loaders.torch.mixing import MixingCollate
from dataset_assets.loaders.torch.transforms import ClassificationTransform, Extra

#: Of pixels from 0 to 1, as models of torchvision expect.
MEAN, STDEV = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Left out, as in the training of torchvision's models.
DROPPED = ("n13054560",)
_SETS: tuple[Definition, ...] = (
    {"set": "train", "enable_transform": True, "sampler": "random", "shuffle": True, "mixup": True},
    {
        "set": "val",
        "enable_transform": False,
        "sampler": "sequential",
        "shuffle": False,
        "mixup": False,
    },
)
_SAMPLERS = ("random", "sequential", "ra_sampler", "distributed")


def CreateImagenetLoaders(
    s3: Place,
    s3def: Mapping[str, Any] | None,
    src: str,
    dest: str | None,
    bucket: str | None = None,
    resize_width: int = 224,
    resize_height: int = 224,
    crop_width: int = 256,
    crop_height: int = 256,
    batch_size: int = 2,
    shuffle: bool = True,
    num_workers: int = 0,
    cuda: bool = True,
    timeout: float = 0,
    loaders: list[Definition] | None = None,
    image_transform: Extra | None = None,
    label_transform: Extra | None = None,
    augment: bool = True,
    normalize: bool = False,
    flipX: bool = True,
    flipY: bool = False,
    random_seed: int | None = None,
    numTries: int = 3,
    rotate: float = 3,
    scale_min: float = 0.75,
    scale_max: float = 1.25,
    offset: float = 0.1,
    augment_noise: float = 1.0,
    normalize_mean: Sequence[float] = MEAN,
    normalize_std: Sequence[float] = STDEV,
    ra_reps: int = 4,
    mixup_alpha: float = 0.0,
    cutmix_alpha: float = 0.0,
    *,
    drop_classes: Sequence[str] = DROPPED,
    options: LoaderOptions | None = None,
) -> list[dict[str, Any]]:
    """Return one dict per set (train, val): `set`, `batches`, `length`, `width`, `height`, `in_channels`, `num_classes`, `classes`, `dataloader`.

    `augment`: scaled into resize_width x resize_height, padded, then mirrored, rotated, scaled, moved (`offset` of the size) and cut at random to
    crop_width x crop_height, normalised, with noise of a deviation up to `augment_noise`; val only cut and normalised. Else `normalize`: the shorter side
    scaled to resize_width, the middle of crop_width x crop_width cut, normalised. Neither: pictures as they are, from 0 to 1, which can be stacked only
    when batch_size is 1 or all are of one size.

    A set of `loaders` has a `sampler` ("ra_sampler": each picture `ra_reps` times in a row), `shuffle`, `mixup`, and may have a `transform` in place of all
    this, which gets Pillow images. `drop_classes` are synsets. The rest is as in `CreateCityscapesLoaders`.

    Raises:
        ObjectMissing: there is no staged set.
        ConfigurationError: an option that can not work.
    """
    store = open_bucket(s3, bucket_of(bucket, s3def))
    run = Run(
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        cuda=cuda,
        timeout_s=timeout,
        seed=random_seed,
        cache_dir=dest,
        options=options,
    )
    augmented = AugmentOptions(
        height=crop_height if augment else crop_width if normalize else None,
        width=crop_width if augment or normalize else None,
        flip_x=flipX,
        flip_y=flipY,
        rotate=rotate,
        scale_min=scale_min,
        scale_max=scale_max,
        offset=0,
        translate=offset,
        normalize="dataset",
        level=1 / 255,
        mean=tuple(normalize_mean) if augment or normalize else (0.0,),
        stdev=tuple(normalize_std) if augment or normalize else (1.0,),
        noise=augment_noise,
    )
    transform = ClassificationTransform(
        options=augmented,
        fit=(resize_width, resize_height) if augment else None,
        shorter_side=resize_width if normalize and not augment else None,
        image_transform=image_transform,
        label_transform=label_transform,
    )
    mixing = MixingCollate(classes=1, mixup_alpha=mixup_alpha, cutmix_alpha=cutmix_alpha)
    ways = _Ways(run, transform, mixing, augment, ra_reps, tuple(drop_classes))
    return [
        _filled(each, StagedRows(store.child(locate_set(each, src, dest))), ways)
        for each in definitions(loaders, _SETS)
    ]


class _Ways(NamedTuple):
    """What the sets of one call share."""

    run: Run
    transform: ClassificationTransform
    mixing: MixingCollate
    augment: bool
    repeats: int  # of sets with the sampler of repeated augmentation
    drop_classes: tuple[str, ...]


def _filled(definition: Definition, rows: StagedRows, ways: _Ways) -> Definition:
    sampler = definition.get("sampler", "random")
    if sampler not in _SAMPLERS:
        raise ConfigurationError(
            f"sampler: expected one of {', '.join(_SAMPLERS)}, came {sampler!r}"
        )
    train, names = bool(definition["enable_transform"]), _names(rows)
    keep = ~np.isin(rows.column("wnid").astype(str), ways.drop_classes)
    shuffle = definition.get("shuffle", train)
    options = replace(
        ways.run.options_for(train=True, drop_last=False, parts=(), columns=("label",)),
        shuffle=bool(shuffle and ways.run.shuffle),
        repeats=ways.repeats if sampler == "ra_sampler" else 1,
    )
    augment = replace(ways.transform.options, random=train and ways.augment)
    transform = replace(ways.transform, options=augment, whole=definition.get("transform"))
    is_mixed = definition.get("mixup", False) and (
        ways.mixing.mixup_alpha > 0 or ways.mixing.cutmix_alpha > 0
    )
    collate = replace(ways.mixing, classes=len(names)) if is_mixed else stack
    source = LoaderSource(rows=rows, keep=keep)
    describe(definition, source, ShardLoader(source, transform, collate, options=options))
    shape = {
        "width": augment.width,
        "height": augment.height,
        "in_channels": 3,
        "num_classes": len(names),
        "classes": names,
    }
    return definition | shape


def _names(rows: StagedRows) -> list[str]:
    """Return the names of the classes, in the order of the labels."""
    classes = rows.dataset.classes if rows.dataset is not None else ()
    return [entry.name for entry in sorted(classes, key=lambda entry: entry.id)] or list(
        shipped("imagenet").names
    )
