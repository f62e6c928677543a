"""`CreateCityscapesLoaders`: torch loaders of a staged Cityscapes, called as torchdatasetutil's.

Batches are the same as those of torchdatasetutil, without its defects.
https://github.com/bhlarson/torchdatasetutil
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dataset_assets.compat.torchdatasetutil._sets import (
    BucketSource,
    CallArguments,
    SegmentationSets,
    SetDefinition,
    bucket_name,
    copied_definitions,
    locate_set,
    normalization,
    open_bucket,
)
from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.labels.class_dictionary import ClassDictionary
from dataset_assets.loaders.labels.label_maps import (
    DictionarySource,
    objects_as_json,
    read_dictionary,
)
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.shard_rows import ShardRows
from dataset_assets.loaders.torch.augment_options import AugmentOptions

_BORDER_CONSTANT = 0  # as cv2.BORDER_CONSTANT
_PARTS = {"semantic": "seg.png", "instance": "instance.png"}
_SETS: tuple[SetDefinition, ...] = (
    {"set": "train", "enable_transform": True, "mode": "fine", "target_type": ["semantic"]},
    {"set": "val", "enable_transform": False, "mode": "fine", "target_type": ["semantic"]},
)


def CreateCityscapesLoaders(
    s3: BucketSource,
    s3def: Mapping[str, Any] | None,
    src: str,
    dest: str | None,
    class_dictionary: DictionarySource = "cityscapes",
    bucket: str | None = None,
    width: int = 256,
    height: int = 256,
    batch_size: int = 2,
    shuffle: bool = True,
    num_workers: int = 0,
    cuda: bool = True,
    timeout: float = 0,
    loaders: list[SetDefinition] | None = None,
    transforms: bool = True,
    normalize: bool | str = True,
    random_seed: int | None = None,
    numTries: int = 3,
    flipX: bool = True,
    flipY: bool = False,
    rotate: float = 3,
    scale_min: float = 0.75,
    scale_max: float = 1.25,
    offset: float = 0.1,
    astype: str = "float32",
    borderType: int = _BORDER_CONSTANT,
    borderValue: float = 0,
    train_sampler_weights: Sequence[float] | None = None,
    *,
    normalize_mean: Sequence[float] = (0.0,),
    normalize_std: Sequence[float] = (1.0,),
    color: str = "bgr",
    options: LoaderOptions | None = None,
) -> list[dict[str, Any]]:
    """Return one dict with a loader per set (train, val) of a staged Cityscapes.

    Batches are (inputs, labels, mean, stdev): inputs (B, 3, height, width) of the type `astype`;
    labels (B, height, width) uint8, train ids; mean and stdev (B,) float64, of the whole images.
    Short last batches are kept.

    Args:
        s3: an `s3store`; or a store, url or folder that has the bucket as a folder.
        s3def: content of a credentials file, which names the bucket.
        src: folder of the dataset in the bucket, with `staged` in it.
        dest: local folder that caches the shards. None: that of `LoaderOptions.cache_dir`.
        class_dictionary: an object of the bucket, a file, a mapping, or "cityscapes".
        bucket: name of the bucket. None: that of `s3def`.
        width: width of the samples, px.
        height: height of the samples, px.
        batch_size: samples in a batch of one rank.
        shuffle: whether sets with `enable_transform` are shuffled.
        num_workers: worker processes.
        cuda: use page-locked memory if there is a GPU.
        timeout: seconds to wait for a batch of a worker. 0: no limit.
        loaders: other sets than train and val. With the `target_type` "instance", labels are
            instance ids, int64, 0 outside the image.
        transforms: False: nothing is augmented.
        normalize: True or "image": by mean and deviation of each image; "channels": of each
            channel; "dataset": by `normalize_mean` and `normalize_std`; False or "none".
        random_seed: seed of order and augmentation. None: that of `options`.
        numTries: not used; stores retry failed reads.
        flipX: mirror half of the samples horizontally.
        flipY: mirror half of the samples vertically.
        rotate: largest rotation to either side, degrees.
        scale_min: smallest scale.
        scale_max: largest scale.
        offset: largest distance of the center of rotation and scaling from the middle, as a share
            of the size.
        astype: type of the inputs: float32, float64, float16 or uint8.
        borderType: cv2.BORDER_CONSTANT, the only one that label maps allow.
        borderValue: value of the normalized inputs outside the image.
        train_sampler_weights: one per sample; samples are drawn with replacement.
        normalize_mean: mean of pixels from 0 to 255, one, or one per channel.
        normalize_std: deviation, like `normalize_mean`.
        color: order of the channels: "bgr" or "rgb", or "gray".
        options: ranks, cache, bad samples and repeated augmentation.

    Returns:
        One dict per set, like `CreateCocoLoaders`, with `width`, `height`, `in_channels`,
        `num_classes`, `classes` and `class_dictionary`.

    Raises:
        ObjectMissing: there is no staged set.
        ClassDictionaryError: the class dictionary is missing or invalid.
        ConfigurationError: an option is invalid.

    Example:
        >>> from dataset_assets import Connect, CreateCityscapesLoaders
        >>> s3, _, s3def = Connect("creds.yaml")
        >>> loaders = CreateCityscapesLoaders(
        ...     s3, s3def, src="data/cityscapes", dest="cityscapes", batch_size=2, num_workers=0
        ... )
        >>> inputs, labels, mean, stdev = next(iter(loaders[0]["dataloader"]))
        >>> inputs.shape[:2], labels.shape[0]
        (torch.Size([2, 3]), 2)
    """
    if borderType != _BORDER_CONSTANT:
        raise ConfigurationError(
            f"borderType: expected cv2.BORDER_CONSTANT ({_BORDER_CONSTANT}), got {borderType!r}; "
            "label maps allow no other"
        )
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
    augment = AugmentOptions(
        height=height,
        width=width,
        flip_x=flipX,
        flip_y=flipY,
        rotate=rotate,
        scale_min=scale_min,
        scale_max=scale_max,
        offset=offset,
        normalize=normalization(normalize),
        mean=tuple(normalize_mean),
        stdev=tuple(normalize_std),
        dtype=astype,
        border_value=borderValue,
    )
    sets = SegmentationSets(call=call, augment=augment, color=color)
    made = []
    for definition in copied_definitions(loaders, _SETS):
        dictionary_source = definition.get("class_dictionary")
        if dictionary_source is None:
            dictionary_source = class_dictionary
        dictionary = read_dictionary(dictionary_source, store)
        definition["enable_transform"] = definition["enable_transform"] and transforms
        definition["drop_last"] = False
        rows = ShardRows(store.child(locate_set(definition, src, dest)))
        weights = None
        if definition["set"] == "train" and train_sampler_weights is not None:
            weights = np.asarray(train_sampler_weights, np.float64)
        source = LoaderSource(rows=rows, sample_weights=weights)
        sets.add_loader(definition, source, dictionary, part=_label_part(definition))
        made.append(definition | _described(dictionary_source, dictionary, width, height))
    return made


def _label_part(definition: SetDefinition) -> str:
    """Return the member with the label maps of a set."""
    wanted = definition.get("target_type", "semantic")
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if len(names) != 1 or names[0] not in _PARTS:
        raise ConfigurationError(
            f"target_type: expected one of {', '.join(_PARTS)}, got {wanted!r}; "
            "make a loader for each"
        )
    return _PARTS[names[0]]


def _described(
    source: DictionarySource, dictionary: ClassDictionary, width: int, height: int
) -> SetDefinition:
    given = source["objects"] if isinstance(source, Mapping) else None
    return {
        "class_dictionary": source,
        "width": width,
        "height": height,
        "in_channels": dictionary.input_channels,
        "num_classes": dictionary.classes,
        "classes": objects_as_json(dictionary) if given is None else given,
    }
