"""What every staging source promises.

A new one in `dataset_assets/staging/sources/` is tested as soon as it has a publisher in
`support/published_datasets.py`.
"""

from contextlib import closing
from dataclasses import fields

import pytest

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, UnknownName
from dataset_assets.pipelines.stage.open_staging import open_staging, options_of
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.reading import read_rows
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.zip_source import contents
from dataset_assets_tests.support.published_datasets import PUBLISHERS

NAMES = registry.names("staging_source")


@pytest.fixture(params=NAMES)
def published(request, tmp_path):
    with PUBLISHERS[request.param](tmp_path / "published") as found:
        yield found


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "out"))


def items_of(published, partition, store, start=0):
    """Read all images of a partition from the archives."""
    source = open_staging(published.kind, published.options)
    with (
        closing(published.access(store)) as access,
        closing(source.open(partition, access)) as opened,
    ):
        items = list(opened.read_items(start))
        if opened.count is not None:
            assert opened.count == start + len(items)
        return items


def rows_of(store, manifest):
    return [row for record in manifest.shards for row in read_rows(store, record)]


def test_every_source_has_a_publisher():
    assert set(NAMES) <= set(PUBLISHERS)


def test_one_image_is_one_row_and_a_good_one_a_sample(published, store):
    for partition in published.partitions:
        staged = store.child(partition)
        items = items_of(published, partition, store.child("items"))
        report = published.stage(staged, partition)
        rows = rows_of(staged, report.manifest)
        assert verify_set(staged) == []
        assert [row.columns["path"] for row in rows] == [item.path for item in items]
        assert len({row.key for row in rows}) == len(rows) > 0
        samples = [row for row in rows if row.payload is not None]
        assert len(samples) == report.manifest.successes > 0
        payloads = {item.path: item.payload for item in items}
        assert all(row.payload == payloads[row.columns["path"]] for row in samples)


def test_columns_parts_and_classes_are_those_that_the_partition_names(published, store):
    report = published.stage(store)
    known = {label.id for label in report.dataset.classes}
    for row in rows_of(store, report.manifest):
        assert set(report.dataset.columns) <= set(row.columns)
        assert set(row.parts) <= set(report.dataset.parts)
    assert {int(label) for label in report.dataset.images} <= known


def test_images_come_in_archive_order_from_any_start(published, store):
    items = items_of(published, published.partitions[0], store)
    assert [item.index for item in items] == list(range(len(items)))
    offsets = [(item.archive, item.offset) for item in items]
    assert offsets == sorted(offsets)
    for start in (1, len(items) - 1):
        assert items_of(published, published.partitions[0], store, start) == items[start:]


def test_bytes_are_equal_when_staged_twice(published, store):
    first, second = store.child("first"), store.child("second")
    assert published.stage(first).manifest.to_json() == published.stage(second).manifest.to_json()
    assert contents(first) == contents(second)


def test_run_resumes_where_it_was_stopped(published, store):
    clean, stopped = store.child("clean"), store.child("stopped")
    published.stage(clean)

    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 4:
            raise Stop

    with pytest.raises(Stop):
        published.stage(stopped, progress=stop)
    report = published.stage(stopped)
    assert report.skipped == 1
    assert contents(stopped) == contents(clean)


def test_license_is_stated_and_kept(published, store):
    source = open_staging(published.kind, published.options)
    assert source.license.name
    assert isinstance(source.license.redistributable, bool)
    assert published.stage(store).dataset.license == source.license


def test_unknown_partition_is_refused_before_anything_is_written(published, store):
    expected = ", ".join(open_staging(published.kind, published.options).partitions)
    with pytest.raises(ConfigurationError, match=f"expected one of {expected}.*'nowhere'"):
        published.stage(store, "nowhere")
    assert list(store.list()) == []


def test_options_are_named_and_misspelled_ones_refused(published):
    names = [field.name for field in fields(options_of(published.kind))]
    assert set(published.options) <= set(names)
    with pytest.raises(ConfigurationError, match=f"did you mean '{names[0]}'"):
        open_staging(published.kind, {**published.options, f"{names[0]}_": "x"})


def test_name_is_the_kind_of_the_source(published):
    assert open_staging(published.kind, published.options).kind == published.kind
    with pytest.raises(UnknownName, match=f"did you mean '{published.kind}'"):
        open_staging(f"{published.kind}x", {})
