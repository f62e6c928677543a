"""`CreateImagenetLoaders`: torch loaders of a staged ImageNet, called as torchdatasetutil's.

Batches are those of torchdatasetutil, without its defects.
https://github.com/bhlarson/torchdatasetutil
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from dataset_assets import checks
from dataset_assets.compat.torchdatasetutil._sets import (
    BucketSource,
    CallArguments,
    SetDefinition,
    bucket_name,
    copied_definitions,
    describe_loader,
    locate_set,
    open_bucket,
)
from dataset_assets.loaders.labels.class_dictionary import shipped
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.sample import Collate
from dataset_assets.loaders.samples.shard_rows import ShardRows
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.loader import ShardLoader, stack
from dataset_assets.loaders.torch.mixing import MixingCollate
from dataset_assets.loaders.torch.transforms import ClassificationTransform, ExtraTransform

#: Moments of pixels from 0 to 1 that models of torchvision expect.
MEAN = (0.485, 0.456, 0.406)
STDEV = (0.229, 0.224, 0.225)
#: Synsets left out, as in the training of torchvision's models.
DROPPED = ("n13054560",)
_SETS: tuple[SetDefinition, ...] = (
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
    s3: BucketSource,
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
    loaders: list[SetDefinition] | None = None,
    image_transform: ExtraTransform | None = None,
    label_transform: ExtraTransform | None = None,
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
    """Return one dict with a loader per set (train, val) of a staged ImageNet.

    Batches are (images, labels): images (B, 3, crop_height, crop_width) float32, RGB; labels (B,)
    int64, the position of the synset in sorted order; with mixup or CutMix (B, classes) float32.
    Normalized is (x / 255 - mean) / std. Short last batches are kept.

    There are three modes:

    * `augment`: scaled into resize_width x resize_height, padded; then mirrored, rotated, scaled,
      moved and cropped at random to crop_width x crop_height, normalized, and noise is added. The
      set val is only cropped and normalized.
    * `normalize`: the shorter side scaled to resize_width, the center of crop_width x crop_width
      cropped, normalized.
    * neither: images as they are, from 0 to 1; for batch_size 1, or if all have the same size.

    Args:
        s3: an `s3store`; or a store, url or folder that has the bucket as a folder.
        s3def: content of a credentials file, which names the bucket.
        src: folder of the dataset in the bucket, with `staged` in it.
        dest: local folder that caches the shards. None: that of `LoaderOptions.cache_dir`.
        bucket: name of the bucket. None: that of `s3def`.
        resize_width: width for scaling, px.
        resize_height: height for scaling, px.
        crop_width: width of the samples, px.
        crop_height: height of the samples, px.
        batch_size: samples in a batch of one rank.
        shuffle: whether sets with `shuffle` are shuffled.
        num_workers: worker processes.
        cuda: use page-locked memory if there is a GPU.
        timeout: seconds to wait for a batch of a worker. 0: no limit.
        loaders: other sets than train and val. Keys: `sampler` ("ra_sampler": each image `ra_reps`
            times in a row), `shuffle`, `mixup`, and `transform`, which replaces all of this and
            gets Pillow images.
        image_transform: applied to each image (3, height, width).
        label_transform: applied to each label.
        augment: first mode.
        normalize: second mode.
        flipX: mirror half of the samples horizontally.
        flipY: mirror half of the samples vertically.
        random_seed: seed of order and augmentation. None: that of `options`.
        numTries: not used; stores retry failed reads.
        rotate: largest rotation to either side, degrees.
        scale_min: smallest scale.
        scale_max: largest scale.
        offset: largest shift, as a share of the size.
        augment_noise: largest deviation of the noise.
        normalize_mean: mean of pixels from 0 to 1, one, or one per channel.
        normalize_std: deviation, like `normalize_mean`.
        ra_reps: repetitions of "ra_sampler".
        mixup_alpha: parameter of the Beta distribution for mixup. 0: off.
        cutmix_alpha: parameter of the Beta distribution for CutMix. 0: off.
        drop_classes: synsets to leave out.
        options: ranks, cache, bad samples.

    Returns:
        One dict per set with `set`, `dataloader`, `batches`, `length` (samples), `width`, `height`,
        `in_channels`, `num_classes`, `classes` (names).

    Raises:
        ObjectMissing: there is no staged set.
        ConfigurationError: an option is invalid.

    Example:
        >>> from dataset_assets import Connect, CreateImagenetLoaders
        >>> s3, _, s3def = Connect("creds.yaml")
        >>> loaders = CreateImagenetLoaders(
        ...     s3, s3def, src="data/imagenet", dest="imagenet", batch_size=2, num_workers=0
        ... )
        >>> images, labels = next(iter(loaders[0]["dataloader"]))
        >>> tuple(images.shape)
        (2, 3, 256, 256)
    """
    store = open_bucket(s3, bucket_name(bucket, s3def))
    call = CallArguments(
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        cuda=cuda,
        timeout_s=timeout,
        seed=random_seed,
        cache_dir=dest,
        options=options,
    )
    size = _output_size(augment, normalize, crop_height, crop_width)
    is_normalized = augment or normalize
    augmented = AugmentOptions(
        height=size[0],
        width=size[1],
        flip_x=flipX,
        flip_y=flipY,
        rotate=rotate,
        scale_min=scale_min,
        scale_max=scale_max,
        offset=0,
        translate=offset,
        normalize="dataset",
        level=1 / 255,
        mean=tuple(normalize_mean) if is_normalized else (0.0,),
        stdev=tuple(normalize_std) if is_normalized else (1.0,),
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
    sets = _ClassificationSets(call, transform, mixing, augment, ra_reps, tuple(drop_classes))
    made = []
    for definition in copied_definitions(loaders, _SETS):
        rows = ShardRows(store.child(locate_set(definition, src, dest)))
        made.append(_add_loader(definition, rows, sets))
    return made


class _ClassificationSets(NamedTuple):
    """What the sets of one call share."""

    call: CallArguments
    transform: ClassificationTransform
    mixing: MixingCollate
    augment: bool
    repeats: int  # of sets with the sampler of repeated augmentation
    drop_classes: tuple[str, ...]


def _output_size(
    augment: bool, normalize: bool, crop_height: int, crop_width: int
) -> tuple[int | None, int | None]:
    if augment:
        return crop_height, crop_width
    return (crop_width, crop_width) if normalize else (None, None)


def _add_loader(
    definition: SetDefinition, rows: ShardRows, sets: _ClassificationSets
) -> SetDefinition:
    sampler = checks.one_of("sampler", definition.get("sampler", "random"), _SAMPLERS)
    train = bool(definition["enable_transform"])
    names = _class_names(rows)
    keep = ~np.isin(rows.column("wnid").astype(str), sets.drop_classes)
    shuffle = definition.get("shuffle", train)
    options = replace(
        sets.call.loader_options(train=True, drop_last=False, parts=(), columns=("label",)),
        shuffle=bool(shuffle and sets.call.shuffle),
        repeats=sets.repeats if sampler == "ra_sampler" else 1,
    )
    augment = replace(sets.transform.options, random=train and sets.augment)
    transform = replace(sets.transform, options=augment, whole=definition.get("transform"))
    mixing = sets.mixing
    collate: Collate = stack
    if definition.get("mixup", False) and (mixing.mixup_alpha > 0 or mixing.cutmix_alpha > 0):
        collate = replace(mixing, classes=len(names))
    source = LoaderSource(rows=rows, keep=keep)
    describe_loader(definition, source, ShardLoader(source, transform, collate, options=options))
    return definition | {
        "width": augment.width,
        "height": augment.height,
        "in_channels": 3,
        "num_classes": len(names),
        "classes": names,
    }


def _class_names(rows: ShardRows) -> list[str]:
    """Return the names of the classes in the order of the labels."""
    classes = rows.dataset.classes if rows.dataset is not None else ()
    names = [entry.name for entry in sorted(classes, key=lambda entry: entry.id)]
    return names or list(shipped("imagenet").names)
