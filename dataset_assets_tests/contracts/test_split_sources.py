"""What every split source promises.

A new one in `dataset_assets/splits/sources/` is tested once `EXAMPLES` writes a folder for it.
"""

from dataclasses import fields, is_dataclass

import pytest

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, ShardCorrupt, StorageError
from dataset_assets.pipelines.split.open_source import kinds, open_source, option_classes
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.shards.commits import write_manifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import MEDIA
from dataset_assets.splits.source import check_sample_key
from dataset_assets.splits.table import table_schema
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.sources import write_recordings
from dataset_assets_tests.shards.sample_rows import make_rows, write_shard

NAMES = registry.names("split_source")


def write_files(folder):
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "c/1.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        path.with_suffix(".txt").write_text(f"caption of {name}")


def write_shards(folder):
    store = open_store(str(folder))
    write_shard(store, "webdataset", make_rows(6, failed=[2]))
    write_manifest(store, fingerprint="f", output_format="webdataset")


#: kind -> writes a small source into a folder
EXAMPLES = {
    "files": write_files,
    "recordings": lambda folder: write_recordings(folder, 4),
    "shards": write_shards,
}


@pytest.fixture(params=NAMES)
def kind(request):
    return request.param


@pytest.fixture
def folder(kind, tmp_path):
    EXAMPLES[kind](tmp_path / "source")
    return tmp_path / "source"


def described(source):
    return [(sample.key, sample.group, sample.bytes, sample.columns) for sample in source.samples()]


def test_every_source_has_an_example():
    assert set(NAMES) <= set(EXAMPLES)


def test_source_is_offered_by_name_with_its_options(kind):
    source_class = registry.load("split_source", kind)
    assert source_class.kind == kind
    assert kind in kinds()
    if source_class.options_class is not None:
        assert is_dataclass(source_class.options_class)
        assert source_class.options_class in option_classes()


def test_source_is_detected_when_the_kind_is_auto(kind, folder):
    assert open_source("auto", str(folder)).kind == kind


def test_samples_are_sorted_and_safe_and_fill_their_columns(kind, folder):
    source = open_source(kind, str(folder))
    samples = source.samples()
    assert samples
    assert [sample.key for sample in samples] == sorted({sample.key for sample in samples})
    assert source.media in MEDIA
    table_schema(source.media, source.columns)
    for sample in samples:
        check_sample_key(sample.key)
        assert sample.group
        assert list(sample.columns) == list(source.columns)


def test_payloads_are_as_listed_in_any_order(kind, folder):
    source = open_source(kind, str(folder))
    for sample in reversed(source.samples()):
        payloads = source.read(sample)
        assert len(payloads) == len(sample.parts)
        assert sum(map(len, payloads)) == sample.bytes


def test_equal_data_are_an_equal_source(kind, folder):
    one = open_source(kind, str(folder))
    other = open_source(kind, str(folder))
    assert (one.fingerprint, one.columns) == (other.fingerprint, other.columns)
    assert described(one) == described(other)


def test_reading_fails_when_the_data_are_gone(kind, folder):
    source = open_source(kind, str(folder))
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.unlink()
    with pytest.raises((StorageError, ShardCorrupt)):
        source.read(source.samples()[0])


def test_split_of_the_source_is_sound(kind, folder, tmp_path):
    store = open_store(str(tmp_path / "split"))
    options = SplitOptions(group_by="sample", keep_duplicates_together=False)
    manifest = split_archives(open_source(kind, str(folder)), store, options)
    assert manifest.options["source"] == kind
    assert verify_split(store) == []


def test_option_is_refused_when_the_source_does_not_have_it(kind, folder):
    options_class = registry.load("split_source", kind).options_class
    known = [field.name for field in fields(options_class)] if options_class else ["none"]
    with pytest.raises(ConfigurationError, match=f"options of {kind}: .*got 'volume'") as refused:
        open_source(kind, str(folder), volume=11)
    assert all(name in str(refused.value) for name in known)
