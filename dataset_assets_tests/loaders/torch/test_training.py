import functools
import json
import operator
from collections import Counter

import numpy as np
import pytest
import torch

from dataset_assets.errors import ConfigurationError, LoaderStateMismatch, SourceError
from dataset_assets.loaders.options import LoaderOptions
from dataset_assets.loaders.torch.training import training_loader
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.samples import TrainingSamples
from dataset_assets_tests.training.sample_sets import image_set, video_set

SMALL = SampleOptions(
    image_resolution_buckets=((16, 16), (16, 32), (32, 16)),
    video_resolution_buckets=((3, 16, 16), (5, 16, 16)),
    captions=CaptionOptions(caption_dropout_p=0.3),
)
LARGE = SampleOptions(image_resolution_buckets=((32, 32), (32, 64)))
SIZES = [(20, 20)] * 11 + [(20, 44)] * 6 + [(44, 20)] * 2 + [(21, 20)] * 4


@pytest.fixture(scope="module")
def images():
    return TrainingSamples(*image_set(SIZES), SMALL)


@pytest.fixture(scope="module")
def videos():
    return TrainingSamples(*video_set([3, 4, 5, 9, 12], size=(32, 32)), SMALL)


def keys(loader):
    return [batch["key"] for batch in loader]


def make(sets, **options):
    given = {name: options.pop(name) for name in ("weights",) if name in options}
    return training_loader(sets, LoaderOptions(**{"global_batch_size": 4, **options}), **given)


def flat(batches):
    return functools.reduce(operator.iadd, batches, [])


def test_batches_have_one_bucket_and_every_sample_once(images, videos):
    loader = make([images, videos])
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sorted(flat([batch["key"] for batch in batches])) == sorted(
        [sample.key for sample in (*images.samples, *videos.samples)]
    )
    for batch in batches:
        medium = "video" if "video" in batch else "image"
        frames, height, width = batch["bucket"]
        size = (frames, 3, height, width) if medium == "video" else (3, height, width)
        assert batch[medium].shape == (len(batch["key"]), *size)
        assert batch[medium].dtype == torch.float32
        assert len(batch["caption"]) == len(batch["columns"]) == len(batch["key"])
        assert batch["original_height"].dtype == torch.int64
        assert batch["drops_embedding"].shape == (len(batch["key"]),)
    assert Counter(batch["bucket"] for batch in batches) == {
        (1, 16, 16): 4,
        (1, 16, 32): 2,
        (1, 32, 16): 1,
        (3, 16, 16): 1,
        (5, 16, 16): 1,
    }
    assert loader.metrics()["left_out"] == 0


def test_partial_batches_are_left_out_with_their_number(images):
    loader = make(images, drop_last=True)
    assert [len(batch) for batch in keys(loader)] == [4, 4, 4, 4]
    assert loader.metrics()["left_out"] == len(SIZES) - 16


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
@pytest.mark.parametrize("pad", ["repeat", "drop"])
def test_ranks_are_disjoint_and_have_equal_batches(images, world_size, pad):
    options = {"world_size": world_size, "global_batch_size": 8, "pad": pad}
    loaders = [make(images, rank=rank, **options) for rank in range(world_size)]
    drawn = [keys(loader) for loader in loaders]
    assert len({len(batches) for batches in drawn}) == 1
    assert len({tuple(map(len, batches)) for batches in drawn}) == 1
    seen = Counter(flat([flat(batches) for batches in drawn]))
    metrics = loaders[0].metrics()
    if pad == "repeat":
        assert len(seen) == len(SIZES)
        assert seen.total() - len(SIZES) == metrics["padded"]
    else:
        assert max(seen.values()) == 1
        assert len(SIZES) - seen.total() == metrics["left_out"] == -metrics["padded"]


def test_a_world_of_three_has_equal_batches(images):
    loaders = [make(images, rank=rank, world_size=3, global_batch_size=6) for rank in range(3)]
    drawn = [keys(loader) for loader in loaders]
    assert len({tuple(map(len, batches)) for batches in drawn}) == 1
    assert len(set(flat([flat(batches) for batches in drawn]))) == len(SIZES)


@pytest.mark.parametrize("workers", [0, 2])
def test_rest_of_the_epoch_is_the_same_when_resumed_with_other_ranks(images, videos, workers):
    def whole(loader):
        return [(batch["key"], batch["caption"]) for batch in loader]

    sets = [images, videos]
    reference = make(sets)
    epochs = [whole(reference) for _ in range(3)]
    assert epochs[0] != epochs[1]
    stopped = make(sets, num_workers=workers)
    stopped.set_epoch(1)
    batches = iter(stopped)
    for _ in range(5):
        next(batches)
    state = stopped.state_dict()
    batches.close()
    assert len(json.dumps(state)) < 1024
    rest = []
    for rank in range(2):
        resumed = make(sets, rank=rank, world_size=2)
        resumed.load_state_dict(json.loads(json.dumps(state)))
        rest.append(whole(resumed))
    joined = [
        set(zip(one[0] + two[0], one[1] + two[1], strict=True))
        for one, two in zip(*rest, strict=True)
    ]
    assert joined == [set(zip(*batch, strict=True)) for batch in epochs[1][5:]]


def test_state_is_refused_when_buckets_or_captions_change(images):
    state = make(images).state_dict()
    for options in (
        SampleOptions(image_resolution_buckets=((16, 16),), captions=SMALL.captions),
        SampleOptions(image_resolution_buckets=SMALL.image_resolution_buckets),
    ):
        other = images.with_options(options)
        with pytest.raises(LoaderStateMismatch, match="changed since the state was saved"):
            make(other, seed=0).load_state_dict(state)


def test_same_samples_at_two_resolutions_are_chained(images):
    large = images.with_options(LARGE)
    batches = list(make([images, large]))
    assert set(Counter(flat([batch["key"] for batch in batches])).values()) == {2}
    heights = {batch["image"].shape[-2] for batch in batches}
    assert heights == {16, 32}


def test_weights_are_exact_and_small_sets_do_not_cycle_unless_asked(images):
    few = TrainingSamples(*image_set([(20, 20)] * 5, prefix="few"), SMALL)

    def counts(loader):
        drawn = flat(keys(loader))
        return (
            sum(key.startswith("few/") for key in drawn),
            len(drawn),
            max(Counter(drawn).values()),
        )

    assert counts(make([images, few], weights=[1, 1])) == (5, 10, 1)
    assert counts(make([images, few], weights=[3, 1])) == (5, 20, 1)
    assert counts(make([images, few], weights=[1, 1], stop="all_exhausted")) == (23, 46, 5)
    assert counts(make([images, few], weights=[3, 1], samples_per_epoch=16)) == (4, 16, 1)


def test_shuffling_takes_indices_and_holds_no_sample(images):
    read = []

    def reader(sample):
        read.append(sample.key)
        return images._read(sample)

    sizes = np.array([(1, *size) for size in SIZES])
    loader = make(TrainingSamples(images.samples, reader, SMALL, sizes))
    batches = iter(loader)
    first = next(batches)
    assert read == first["key"]
    assert sorted(first["key"]) != [sample.key for sample in images.samples[:4]]


@pytest.mark.parametrize("policy", ["skip", "replace"])
def test_bad_samples_are_counted_and_batches_keep_one_bucket(images, policy):
    payloads = dict(images._read)
    payloads["a/0017"] = payloads["a/0017"][:-40]  # one of two in its bucket

    def reader(sample):
        return payloads[sample.key]

    sizes = np.array([(1, *size) for size in SIZES])
    samples = TrainingSamples(images.samples, reader, SMALL, sizes)
    loader = make(samples, bad_samples=policy, max_bad_fraction=0.5)
    drawn = keys(loader)
    assert loader.metrics()["bad_samples"] == 1
    assert Counter(flat(drawn))["a/0018"] == (2 if policy == "replace" else 1)
    with pytest.raises(SourceError, match="bad sample 'a/0017' of memory/a/0017.png"):
        keys(make(samples))


def test_sets_without_usable_samples_are_named():
    options = SampleOptions(image_resolution_buckets=((512, 512),), upscale=False)
    samples = TrainingSamples(*image_set([(20, 20)] * 3), options)
    with pytest.raises(SourceError, match="a bucket, got none of 3; the first: expected to fill"):
        make(samples)
    with pytest.raises(SourceError, match="got none of 0; the set is empty"):
        make(TrainingSamples([], samples.read))
    with pytest.raises(ConfigurationError, match="weights: expected one for each of 1 sets, got 2"):
        make(samples, weights=[1, 2])
