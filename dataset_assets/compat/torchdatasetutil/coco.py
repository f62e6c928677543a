"""`CreateCocoLoaders`: torch loaders of a staged COCO, with the arguments of torchdatasetutil.

Batches are the same as those of torchdatasetutil, without its defects.
https://github.com/bhlarson/torchdatasetutil
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Sequence
from typing import Any

from dataset_assets.compat.torchdatasetutil._sets import (
    BucketSource,
    CallArguments,
    SegmentationSets,
    SetDefinition,
    copied_definitions,
    normalization,
    open_bucket,
)
from dataset_assets.loaders.labels.label_maps import DictionarySource, read_dictionary
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.samples.shard_rows import ShardRows
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.transforms import ExtraTransform

_SETS: tuple[SetDefinition, ...] = (
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
    s3: BucketSource,
    bucket: str | None,
    class_dict: DictionarySource,
    batch_size: int = 2,
    shuffle: bool = True,
    num_workers: int = 0,
    cuda: bool = True,
    timeout: float = 0,
    loaders: list[SetDefinition] | None = None,
    height: int = 640,
    width: int = 640,
    image_transform: ExtraTransform | None = None,
    label_transform: ExtraTransform | None = None,
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
    """Return one dict with a loader per set of a staged COCO.

    Batches are (inputs, labels, mean, stdev): inputs (B, 3, height, width) of the input type of the
    class dictionary, usually float32; labels (B, height, width) uint8, train ids; mean and stdev
    (B,) float64, of the whole images.

    Sets with `enable_transform` are shuffled and augmented, and drop a last short batch. The others
    are complete and the same every time.

    Args:
        s3: an `s3store`; or a store, url or folder that has the bucket as a folder.
        bucket: name of the bucket. None: `s3` itself.
        class_dict: class dictionary: an object of the bucket, a file, a mapping, or "coco".
        batch_size: samples in a batch of one rank.
        shuffle: whether sets with `enable_transform` are shuffled.
        num_workers: worker processes.
        cuda: use page-locked memory if there is a GPU.
        timeout: seconds to wait for a batch of a worker. 0: no limit.
        loaders: other sets than train and test. Those of torchdatasetutil, whose `dataset` is a
            JSON of annotations, are looked for in `staged` beside their `image_path`.
        height: height of the samples, px.
        width: width of the samples, px.
        image_transform: applied to each normalized image (3, height, width).
        label_transform: applied to each label map (height, width).
        normalize: True or "image": by mean and deviation of each image; "channels": of each
            channel; "dataset": by `normalize_mean` and `normalize_std`; False or "none".
        flipX: mirror half of the samples horizontally.
        flipY: mirror half of the samples vertically.
        rotate: largest rotation to either side, degrees.
        scale_min: smallest scale.
        scale_max: largest scale.
        offset: largest distance of the center of rotation and scaling from the middle, as a share
            of the size.
        random_seed: seed of order and augmentation. None: that of `options`.
        numTries: not used; stores retry failed reads.
        normalize_mean: mean of pixels from 0 to 255, one, or one per channel.
        normalize_std: deviation, like `normalize_mean`.
        color: order of the channels: "bgr" or "rgb", or "gray".
        options: ranks, cache, bad samples and repeated augmentation.

    Returns:
        One dict per set with `set`, `dataset`, `image_path`, `enable_transform`, `dataloader`,
        `batches`, `length` (samples), `dataset_dfn` and `unknown_labels` (label id -> images).

    Raises:
        ObjectMissing: there is no staged set.
        ClassDictionaryError: the class dictionary is missing or invalid.
        ConfigurationError: an option is invalid.

    Example:
        >>> from dataset_assets import Connect, CreateCocoLoaders
        >>> s3, _, _ = Connect("creds.yaml")
        >>> loaders = CreateCocoLoaders(
        ...     s3, "imgml", class_dict="coco", batch_size=4, num_workers=0, height=64, width=96
        ... )
        >>> [loader["set"] for loader in loaders]
        ['train', 'test']
        >>> inputs, labels, mean, stdev = next(iter(loaders[0]["dataloader"]))
        >>> tuple(inputs.shape), tuple(labels.shape)
        ((4, 3, 64, 96), (4, 64, 96))
    """
    store = open_bucket(s3, bucket)
    dictionary = read_dictionary(class_dict, store)
    call = CallArguments(
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
    sets = SegmentationSets(
        call=call,
        augment=augment,
        color=color,
        image_transform=image_transform,
        label_transform=label_transform,
    )
    made = []
    for definition in copied_definitions(loaders, _SETS):
        rows = ShardRows(store.child(_staged_folder(definition)))
        made.append(sets.add_loader(definition, LoaderSource(rows=rows), dictionary))
    return made


def _staged_folder(definition: SetDefinition) -> str:
    """Return the folder of the staged partition of a set."""
    dataset = str(definition["dataset"]).strip("/")
    if not dataset.endswith(".json"):
        return dataset
    folder, _, partition = str(definition["image_path"]).strip("/").rpartition("/")
    return "/".join(filter(None, (folder, "staged", partition)))
