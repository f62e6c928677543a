"""`CreateCityscapesLoaders`: torch loaders of a staged Cityscapes, called as torchdatasetutil's and giving the same batches, without its defects.

    loaders = CreateCityscapesLoaders(s3, s3def, src="data/cityscapes", dest="/data/cityscapes", class_dictionary="cityscapes", batch_size=8)
    for inputs, labels, mean, stdev in loaders[0]["dataloader"]: ...

`inputs` (B, 3, height, width) float32, BGR; `labels` (B, height, width) uint8 train ids; `mean`, `stdev` (B,) float64 of the whole pictures.
Source: https://github.com/bhlarson/torchdatasetutil
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Mapping, Sequence
from typing import Any

from dataset_assets.compat.torchdatasetutil._create import (
    Definition,
    Place,
    Run,
    Segmentation,
    bucket_of,
    definitions,
    locate_set,
    normalization,
    open_bucket,
    weights,
)
from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.labels.class_dictionary import ClassDictionary
from dataset_assets.loaders.labels.label_maps import DictionarySource, described, read_dictionary
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.staged_rows import StagedRows
from dataset_assets.loaders.torch.augment import AugmentOptions

_CONSTANT = 0  # cv2.BORDER_CONSTANT
_PARTS = {"semantic": "seg.png", "instance": "instance.png"}
_SETS: tuple[Definition, ...] = (
    {"set": "train", "enable_transform": True, "mode": "fine", "target_type": ["semantic"]},
    {"set": "val", "enable_transform": False, "mode": "fine", "target_type": ["semantic"]},
)


def CreateCityscapesLoaders(
    s3: Place,
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
    loaders: list[Definition] | None = None,
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
    borderType: int = _CONSTANT,
    borderValue: float = 0,
    train_sampler_weights: Sequence[float] | None = None,
    *,
    normalize_mean: Sequence[float] = (0.0,),
    normalize_std: Sequence[float] = (1.0,),
    color: str = "bgr",
    options: LoaderOptions | None = None,
) -> list[dict[str, Any]]:
    """Return one dict per set (train, val): those of `CreateCocoLoaders`, and `width`, `height`, `in_channels`, `num_classes`, `classes`.

    `src` is the folder of the dataset in the bucket, with `staged` in it; `dest` a folder of this machine that keeps the shards once they are downloaded
    (None: that of the cache). `bucket` is by default that of `s3def`. `transforms` False: nothing is augmented. `train_sampler_weights`: one per sample,
    which are then drawn with replacement. A set of `loaders` may have the `target_type` "instance": instance ids, int64, 0 outside the picture.
    The rest is as in `CreateCocoLoaders`; short last batches are kept.

    Raises:
        ObjectMissing: there is no staged set.
        ClassDictionaryError: the class dictionary is missing or wrong.
        ConfigurationError: an option that can not work.
    """
    if borderType != _CONSTANT:
        raise ConfigurationError(
            f"borderType: expected cv2.BORDER_CONSTANT ({_CONSTANT}), came {borderType!r}; labels have no others"
        )
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
    how = Segmentation(run=run, augment=augment, color=color)
    found = []
    for each in definitions(loaders, _SETS):
        source = (
            class_dictionary if each.get("class_dictionary") is None else each["class_dictionary"]
        )
        dictionary = read_dictionary(source, store)
        each["enable_transform"] = each["enable_transform"] and transforms
        each["drop_last"] = False
        rows = StagedRows(store.child(locate_set(each, src, dest)))
        sampled = weights(train_sampler_weights) if each["set"] == "train" else None
        how.fill(
            each, LoaderSource(rows=rows, sample_weights=sampled), dictionary, part=_part(each)
        )
        found.append(each | _shape(source, dictionary, width, height))
    return found


def _part(definition: Definition) -> str:
    """Return the member with the label map that a set asks for."""
    wanted = definition.get("target_type", "semantic")
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if len(names) != 1 or names[0] not in _PARTS:
        raise ConfigurationError(
            f"target_type: expected one of {', '.join(_PARTS)}, came {wanted!r}; make a loader for each"
        )
    return _PARTS[names[0]]


def _shape(
    source: DictionarySource, dictionary: ClassDictionary, width: int, height: int
) -> Definition:
    return {
        "class_dictionary": source,
        "width": width,
        "height": height,
        "in_channels": dictionary.input_channels,
        "num_classes": dictionary.classes,
        "classes": source["objects"] if isinstance(source, Mapping) else described(dictionary),
    }
