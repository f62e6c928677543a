"""`CreateCocoLoaders`: torch loaders of a staged COCO, called as torchdatasetutil's and giving the same batches, without its defects.

    loaders = CreateCocoLoaders(s3, "imgml", class_dict="data/coco/coco.json", batch_size=16, num_workers=4, height=480, width=480)
    for inputs, labels, mean, stdev in loaders[0]["dataloader"]: ...

`inputs` (B, 3, height, width) float32, BGR; `labels` (B, height, width) uint8 train ids; `mean`, `stdev` (B,) float64 of the whole pictures.
Source: https://github.com/bhlarson/torchdatasetutil
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Sequence
from typing import Any

from dataset_assets.compat.torchdatasetutil._create import (
    Definition,
    Place,
    Run,
    Segmentation,
    definitions,
    normalization,
    open_bucket,
)
from dataset_assets.loaders.labels.label_maps import DictionarySource, read_dictionary
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.staged_rows import StagedRows
from dataset_assets.loaders.torch.augment import AugmentOptions
from dataset_assets.loaders.torch.transforms import Extra

_SETS: tuple[Definition, ...] = (
    {
        "set": "train",
        "dataset": "data/coco/staged/train2017",
        "image_path": "data/coco/staged/train2017",
        "enable_transform": True,
    },
    {
        "set": "test",
        "dataset": "data/coco/staged/val2017",
        "image_path": "data/coco/staged/val2017",
        "enable_transform": False,
    },
)


def CreateCocoLoaders(
    s3: Place,
    bucket: str | None,
    class_dict: DictionarySource,
    batch_size: int = 2,
    shuffle: bool = True,
    num_workers: int = 0,
    cuda: bool = True,
    timeout: float = 0,
    loaders: list[Definition] | None = None,
    height: int = 640,
    width: int = 640,
    image_transform: Extra | None = None,
    label_transform: Extra | None = None,
    normalize: bool | str = True,
    flipX: bool = True,
    flipY: bool = False,
    rotate: float = 3,
    scale_min: float = 0.75,
    scale_max: float = 1.25,
    offset: float = 0.1,
    random_seed: int | None = None,
    numTries: int = 3,
    *,
    normalize_mean: Sequence[float] = (0.0,),
    normalize_std: Sequence[float] = (1.0,),
    color: str = "bgr",
    options: LoaderOptions | None = None,
) -> list[dict[str, Any]]:
    """Return one dict per set: `set`, `dataset`, `image_path`, `enable_transform`, `batches`, `length`, `dataset_dfn`, `dataloader`, `unknown_labels`.

    `s3` is an `s3store`, or a store, url or folder with the bucket in it. `class_dict` is an object of the bucket, a file, the dictionary itself, or "coco".
    Sets with `enable_transform` are shuffled and augmented, and leave out a last short batch; the others are whole and the same every time. `loaders` names
    other sets; those of torchdatasetutil, with a JSON of annotations as `dataset`, are looked for below `staged` beside their `image_path`.

    `rotate` is in degrees, `offset` a share of the size: how far the center of rotation and scaling moves. `normalize` is True or "image", "channels",
    "dataset" (by `normalize_mean` and `normalize_std`, of pixels from 0 to 255), False or "none". `numTries` is not used: stores retry what they read.
    `batch_size` is that of one rank; ranks, cache, bad samples and repeated augmentation are told by `options`.

    Raises:
        ObjectMissing: there is no staged set.
        ClassDictionaryError: the class dictionary is missing or wrong.
        ConfigurationError: an option that can not work.
    """
    store = open_bucket(s3, bucket)
    dictionary = read_dictionary(class_dict, store)
    run = Run(
        batch_size=batch_size,
        shuffle=shuffle,
        num_workers=num_workers,
        cuda=cuda,
        timeout_s=timeout,
        seed=random_seed,
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
        dtype=dictionary.input_type,
    )
    how = Segmentation(
        run=run,
        augment=augment,
        color=color,
        image_transform=image_transform,
        label_transform=label_transform,
    )
    sets = definitions(loaders, _SETS)
    return [
        how.fill(each, LoaderSource(rows=StagedRows(store.child(_staged(each)))), dictionary)
        for each in sets
    ]


def _staged(definition: Definition) -> str:
    """Return the folder of the staged partition that a set is of."""
    dataset = str(definition["dataset"]).strip("/")
    if not dataset.endswith(".json"):
        return dataset
    folder, _, partition = str(definition["image_path"]).strip("/").rpartition("/")
    return "/".join(filter(None, (folder, "staged", partition)))
