"""`CreateImageLoaders`: torch loaders of images and label maps that are objects of a bucket.

Called as torchdatasetutil's, without its defects. https://github.com/bhlarson/torchdatasetutil
`loaders.samples.image_pairs` says what a dataset description is.
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from dataset_assets.loaders.samples.image_pairs import ImagePairs, PairsDescription, split_pairs
from dataset_assets.loaders.torch.augment_options import AugmentOptions
from dataset_assets.loaders.torch.transforms import ExtraTransform
from dataset_assets.storage.store import Store

_SETS: tuple[SetDefinition, ...] = (
    {"set": "train", "split": 0.8, "enable_transform": True},
    {"set": "test", "split": 0.2, "enable_transform": False},
)


def CreateImageLoaders(
    s3: BucketSource,
    bucket: str | None,
    dataset_dfn: str | Mapping[str, Any],
    class_dict: DictionarySource,
    batch_size: int = 2,
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
    options: LoaderOptions | None = None,
) -> list[dict[str, Any]]:
    """Return one dict with a loader per set (train, test) of image pairs.

    Batches are (inputs, labels, mean, stdev): inputs (B, C, height, width) of the input type of the
    class dictionary, usually float32, BGR, or with `image_colorspace` "grayscale" one channel;
    labels (B, height, width) uint8, train ids; mean and stdev (B,) float64, of the whole images.

    The set of each pair follows from the names and the seed. Sets end at a multiple of
    `batch_size`; if the splits add up to 1, every pair is in a set.

    Args:
        s3: an `s3store`; or a store, url or folder that has the bucket as a folder.
        bucket: name of the bucket. None: `s3` itself.
        dataset_dfn: dataset description: an object of the bucket, or a mapping.
        class_dict: class dictionary: an object of the bucket, a file, a mapping, or "coco".
        batch_size: samples in a batch of one rank.
        num_workers: worker processes.
        cuda: use page-locked memory if there is a GPU.
        timeout: seconds to wait for a batch of a worker. 0: no limit.
        loaders: other sets than train and test; each has a fraction `split`.
        height: height of the samples, px.
        width: width of the samples, px.
        image_transform: applied to each normalized image (C, height, width).
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
        random_seed: seed of sets, order and augmentation. None: that of `options`.
        numTries: not used; stores retry failed reads.
        normalize_mean: mean of pixels from 0 to 255, one, or one per channel.
        normalize_std: deviation, like `normalize_mean`.
        options: ranks, bad samples and repeated augmentation. There is no cache.

    Returns:
        One dict per set, like `CreateCocoLoaders`, with `split`.

    Raises:
        SourceError: there are no pairs.
        ObjectMissing: there is no dataset description.
        ClassDictionaryError: the class dictionary is missing or invalid.
        ConfigurationError: an option is invalid.

    Example:
        >>> from dataset_assets import Connect, CreateImageLoaders
        >>> s3, _, _ = Connect("creds.yaml")
        >>> loaders = CreateImageLoaders(
        ...     s3,
        ...     "imgml",
        ...     dataset_dfn="data/lit/dataset.json",
        ...     class_dict="data/lit/classes.json",
        ...     height=64,
        ...     width=96,
        ... )
        >>> inputs, labels, mean, stdev = next(iter(loaders[0]["dataloader"]))
        >>> tuple(inputs.shape), tuple(labels.shape)
        ((2, 1, 64, 96), (2, 64, 96))
    """
    store = open_bucket(s3, bucket)
    description = _load_description(store, dataset_dfn)
    dictionary = read_dictionary(class_dict, store)
    data = store
    if description.bucket not in (None, bucket):
        data = open_bucket(s3, description.bucket)
    base = options or LoaderOptions(bad_samples="replace")
    call = CallArguments(
        batch_size=batch_size,
        num_workers=num_workers,
        cuda=cuda,
        timeout_s=timeout,
        seed=random_seed,
        options=replace(base, cache_bytes=0),
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
        color=description.color,
        image_transform=image_transform,
        label_transform=label_transform,
    )
    pairs = ImagePairs(data, description)
    definitions = copied_definitions(loaders, _SETS)
    fractions = [float(definition["split"]) for definition in definitions]
    seed = base.seed if random_seed is None else random_seed
    masks = split_pairs(len(pairs), fractions, batch_size, seed)
    made = []
    for definition, keep in zip(definitions, masks, strict=True):
        definition["dataset_dfn"] = dataset_dfn
        made.append(sets.add_loader(definition, LoaderSource(rows=pairs, keep=keep), dictionary))
    return made


def _load_description(store: Store, source: str | Mapping[str, Any]) -> PairsDescription:
    if isinstance(source, str):
        return PairsDescription.load(store.read(source), source)
    return PairsDescription.load(source, "dataset_dfn")
