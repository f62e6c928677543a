import pytest

from dataset_assets.errors import ConfigurationError, MissingColumn
from dataset_assets.loaders.samples.image_pairs import ImagePairs, PairsDescription, split_pairs
from dataset_assets.loaders.torch.loader import LoaderOptions, ShardLoader
from dataset_assets_tests.loaders.remote_store import RemoteStore


@pytest.fixture
def store(tmp_path):
    for number in range(5):
        (tmp_path / f"scan {number}.tif").write_bytes(b"image %d" % number)
        (tmp_path / f"scan {number}_cls.png").write_bytes(b"labels %d" % number)
    return RemoteStore(tmp_path, tmp_path / "log")


def members(sample, rng):
    return sample.payload.decode(), sample.parts["seg.png"].decode(), sample.extension


def test_pairs_are_rows_of_a_loader_when_a_cache_is_on(store, tmp_path):
    options = LoaderOptions(cache_dir=str(tmp_path / "cache"), shuffle=False)
    loader = ShardLoader(
        ImagePairs(store, PairsDescription()),
        members,
        lambda samples, rng: samples,
        options=options,
    )
    assert list(next(iter(loader))) == [
        (f"image {number}", f"labels {number}", "tif") for number in range(5)
    ]
    assert loader.state_dict()["shards"] == 1


def test_only_the_image_is_read_when_no_parts_are_named(store):
    pairs = ImagePairs(store, PairsDescription())
    assert pairs.read(2, ()) == {"payload": b"image 2"}
    assert pairs.describe(2) == f"scan 2 in {store.url}"


def test_column_is_named_when_the_loader_is_created(store):
    pairs = ImagePairs(store, PairsDescription())
    with pytest.raises(MissingColumn, match="has no column 'label'"):
        ShardLoader(pairs, members, options=LoaderOptions(columns=("label",)))
    with pytest.raises(MissingColumn, match="has no column 'label'"):
        pairs.column("label")


@pytest.mark.parametrize("fractions", [[], [0.5, 0.6], [0.0, 0.5], [0.05, 0.9]])
def test_split_is_refused_when_a_set_would_be_empty_or_too_large(fractions):
    with pytest.raises(ConfigurationError, match="split"):
        split_pairs(10, fractions, 2, 0)


def test_sets_end_at_complete_batches_when_samples_are_left_over():
    masks = split_pairs(100, [0.5, 0.25], 8, 3)
    assert [int(mask.sum()) for mask in masks] == [48, 24]
    assert not (masks[0] & masks[1]).any()
