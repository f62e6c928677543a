"""Layout `objects`: one object for each image and label map; all else as for shards."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import ConfigurationError, StorageError
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.splits.sources import shards
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.zip_source import (
    CUT,
    REFUSED,
    SMALL,
    WITHOUT_LABELS,
    ZipSource,
    contents,
    jpeg,
    label_map,
    run,
    write_zip,
)

COUNT = 12
OPTIONS = replace(SMALL, layout="objects")
GOOD = [number for number in range(COUNT) if number not in (CUT, REFUSED)]


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "images.zip", COUNT)


@pytest.fixture
def dataset(tmp_path):
    return open_store(str(tmp_path / "dataset"))


def test_objects_have_the_paths_of_the_archive_when_staged(archive, dataset):
    report = run(ZipSource(archive), dataset.child("staged/train"), OPTIONS)
    assert (
        report.manifest.output_format,
        report.manifest.rows,
        report.manifest.successes,
        report.made,
    ) == ("objects", COUNT, len(GOOD), 3)
    objects = {
        info.key: dataset.read(info.key)
        for info in dataset.list()
        if not info.key.startswith("staged/")
    }
    expected = {f"images/{number:04d}.jpg": jpeg(number) for number in GOOD}
    expected |= {
        f"labels/{number:04d}.png": label_map(number) for number in GOOD if number != WITHOUT_LABELS
    }
    expected["annotations/notes.json"] = dataset.read("staged/train/annotations/notes.json")
    assert objects == expected
    assert verify_set(dataset.child("staged/train")) == []


def test_index_names_the_objects_of_each_image(archive, dataset):
    run(ZipSource(archive), dataset.child("staged/train"), OPTIONS)
    with dataset.open_read("staged/train/index.parquet") as file:
        rows = pq.read_table(file).to_pylist()
    assert len(rows) == len(GOOD)
    for row in rows:
        sizes = {path: dataset.size(path) for path in row["object_paths"]}
        assert list(sizes.values()) == row["object_bytes"]
        assert row["object_paths"][0] == f"images/{row['number']:04d}.jpg"


def test_objects_are_written_to_another_folder_when_given(tmp_path, archive, dataset):
    elsewhere = str(tmp_path / "elsewhere")
    store = dataset.child("staged/train")
    run(ZipSource(archive), store, replace(OPTIONS, objects_url=elsewhere))
    assert open_store(elsewhere).read(f"images/{GOOD[0]:04d}.jpg") == jpeg(GOOD[0])
    assert verify_set(store, objects_url=elsewhere) == []
    manifest = store.read("manifest.json")
    other = open_store(str(tmp_path / "other" / "staged" / "train"))
    run(ZipSource(archive), other, OPTIONS)
    assert other.read("manifest.json") == manifest


def test_verify_finds_objects_that_are_gone_or_have_changed(archive, dataset):
    store = dataset.child("staged/train")
    run(ZipSource(archive), store, OPTIONS)
    first, second, third = (f"images/{number:04d}.jpg" for number in GOOD[:3])
    dataset.delete(first)
    dataset.write(second, b"short")
    dataset.write(third, bytes(dataset.size(third)))
    problems = verify_set(store)
    assert len(problems) == 4
    assert {
        path: sum(path in problem for problem in problems) for path in (first, second, third)
    } == {first: 1, second: 2, third: 1}
    assert len(verify_set(store, deep=False)) == 2


def test_failed_upload_leaves_the_group_open(archive, dataset, monkeypatch):
    store = dataset.child("staged/train")

    def refuse(self, key, data, *, durable=True):
        if "0004" in key:
            raise StorageError(f"no room for {key}")
        return write(self, key, data, durable=durable)

    write = type(store).write
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "write", refuse)
        with pytest.raises(StorageError, match="no room"):
            run(ZipSource(archive), store, OPTIONS)
    run(ZipSource(archive), store, OPTIONS)
    assert verify_set(store) == []
    assert "staged/train/manifest.json" in contents(dataset)


def test_split_refuses_a_set_without_payloads(archive, dataset):
    run(ZipSource(archive), dataset.child("staged/train"), OPTIONS)
    with pytest.raises(ConfigurationError, match="layout 'objects'"):
        shards.SplitSource([dataset.child("staged/train")])
