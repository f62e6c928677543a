"""`CreateImageLoaders`: torch loaders of pictures and label maps that lie in a bucket side by side, called as torchdatasetutil's, without its defects.

    loaders = CreateImageLoaders(s3, "imgml", dataset_dfn="data/lit/dataset.json", class_dict="data/lit/classes.json", batch_size=8)
    for inputs, labels, mean, stdev in loaders[0]["dataloader"]: ...

Batches are those of `CreateCocoLoaders`; with `image_colorspace` "grayscale" there is one channel. `_pairs` says what a dataset description is.
Source: https://github.com/bhlarson/torchdatasetutil
"""
# ruff: noqa: N802, N803, PLR0913, PLR0917 - the names and arguments are those of torchdatasetutil

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset_assets.compat.torchdatasetutil._create import (
    Definition,
    Place,
    Run,
    Segmentation,
    definitions,
    normalization,
    open_bucket,
)
from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.labels.label_maps import DictionarySource, read_dictionary
from dataset_assets.loaders.options import LoaderOptions, LoaderSource
from dataset_assets.loaders.order.permutation import permutation
from dataset_assets.loaders.samples.pairs import ImagePairs, PairsDescription
from dataset_assets.loaders.torch.augment import AugmentOptions
from dataset_assets.loaders.torch.transforms import Extra
from dataset_assets.storage.store import Store

_SETS: tuple[Definition, ...] = (
    {"set": "train", "split": 0.8, "enable_transform": True},
    {"set": "test", "split": 0.2, "enable_transform": False},
)


def CreateImageLoaders(
    s3: Place,
    bucket: str | None,
    dataset_dfn: str | Mapping[str, Any],
    class_dict: DictionarySource,
    batch_size: int = 2,
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
    options: LoaderOptions | None = None,
) -> list[dict[str, Any]]:
    """Return one dict per set (train, test): those of `CreateCocoLoaders`, and `split`.

    `dataset_dfn` is an object of the bucket or the description itself. Who is in which set follows from the names and `random_seed` (None: that of
    `options`); the sets meet at a multiple of `batch_size`, and when the splits add up to 1 every pair is in one. The rest is as in `CreateCocoLoaders`.

    Raises:
        SourceError: there are no pairs.
        ObjectMissing: there is no dataset description.
        ClassDictionaryError: the class dictionary is missing or wrong.
        ConfigurationError: an option that can not work.
    """
    store = open_bucket(s3, bucket)
    description = _description(store, dataset_dfn)
    dictionary = read_dictionary(class_dict, store)
    data = store if description.bucket in (None, bucket) else open_bucket(s3, description.bucket)
    base = options or LoaderOptions(bad_samples="replace")
    run = Run(
        batch_size=batch_size,
        num_workers=num_workers,
        cuda=cuda,
        timeout_s=timeout,
        seed=random_seed,
        options=replace(base, cache_bytes=0),  # there are no shards to keep
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
        color=description.color,
        image_transform=image_transform,
        label_transform=label_transform,
    )
    pairs = ImagePairs(data, description)
    sets = [each | {"dataset_dfn": dataset_dfn} for each in definitions(loaders, _SETS)]
    seed = base.seed if random_seed is None else random_seed
    kept = split(len(pairs), [float(each["split"]) for each in sets], batch_size, seed)
    return [
        how.fill(each, LoaderSource(rows=pairs, keep=keep), dictionary)
        for each, keep in zip(sets, kept, strict=True)
    ]


def _description(store: Store, source: str | Mapping[str, Any]) -> PairsDescription:
    if isinstance(source, str):
        return PairsDescription.load(store.read(source), source)
    return PairsDescription.load(source, "dataset_dfn")


def split(
    count: int, fractions: Sequence[float], batch_size: int, seed: int
) -> list[NDArray[np.bool_]]:
    """Deal samples to sets at random: one mask per set.

    Raises:
        ConfigurationError: a set would be empty, or they need more than there is.
    """
    if min(fractions, default=0) <= 0 or sum(fractions) > 1 + 1e-9:
        raise ConfigurationError(
            f"split: expected fractions above 0 that add up to at most 1, came {', '.join(map(str, fractions))}"
        )
    order = permutation(count, seed=seed, epoch=0)
    masks, start, allocated = [], 0, 0.0
    for number, fraction in enumerate(fractions):
        allocated += fraction
        end = (
            count
            if allocated > 1 - 1e-9
            else int(allocated * count / batch_size + 1e-9) * batch_size
        )
        if end <= start:
            raise ConfigurationError(
                f"split: set {number} of {count} samples would be empty: expected a larger fraction or a smaller batch_size"
            )
        mask = np.zeros(count, bool)
        mask[order[start:end]] = True
        masks.append(mask)
        start = end
    return masks
