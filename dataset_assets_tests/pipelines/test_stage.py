"""A published dataset staged as shards: rows, parts, index, description, and further runs."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import (
    ArchiveCorrupt,
    ConfigurationError,
    EmptyList,
    PlanMismatch,
    ShardCorrupt,
    SourceError,
)
from dataset_assets.pipelines.stage.stage import StageOptions, stage
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.commits import list_records, read_manifest
from dataset_assets.shards.reading import read_rows
from dataset_assets.staging.summary import read_staged
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.zip_source import (
    CLASSES,
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


@pytest.fixture
def archive(tmp_path):
    return write_zip(tmp_path / "images.zip", COUNT)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "images" / "staged" / "train"))


def rows_of(store):
    return [
        row
        for record in list_records(store)
        for row in read_rows(store, record, extra=("cause", "extension", "label_counts"))
    ]


def test_every_image_has_a_row_when_staged(archive, store):
    report = run(ZipSource(archive), store)
    assert (report.made, report.skipped) == (3, 0)
    assert (report.manifest.rows, report.manifest.successes) == (COUNT, COUNT - 2)
    assert report.manifest.causes == {"decode_error": 1, "not_image": 1}
    assert verify_set(store) == []
    rows = {int(row.columns["path"][-8:-4]): row for row in rows_of(store)}
    assert sorted(rows) == list(range(COUNT))
    for number, row in rows.items():
        assert row.columns["archive"] == "images.zip"
        assert row.key == (f"{number:04d}" if number == REFUSED else f"image_{number:04d}")
        if number in (CUT, REFUSED):
            assert (row.payload, row.columns["width"]) == (None, None)
            continue
        assert row.payload == jpeg(number)
        assert (row.columns["width"], row.columns["height"], row.columns["caption"]) == (
            24 + number % 5,
            24,
            f"n° {number}",
        )
        assert row.parts.get("seg.png") == (None if number == WITHOUT_LABELS else label_map(number))
    assert rows[REFUSED].columns["error_message"] == "refused by its source"


def test_rows_stand_in_archive_order_when_staged(archive, store):
    run(ZipSource(archive), store, replace(SMALL, workers=4))
    offsets = [row.columns["archive_offset"] for row in rows_of(store)]
    assert offsets == sorted(offsets)
    assert len(offsets) == COUNT


def test_index_leads_to_every_payload_and_part(archive, store):
    run(ZipSource(archive), store)
    with store.open_read("index.parquet") as file:
        table = pq.read_table(file)
    assert table.column_names == [
        *("key", "shard", "offset", "bytes", "extension", "width", "height"),
        *(
            "annotations_json_offset",
            "annotations_json_bytes",
            "seg_png_offset",
            "seg_png_bytes",
            "number",
            "caption",
            "label_counts",
        ),
    ]
    successes = [row for row in rows_of(store) if row.payload is not None]
    assert [row["key"] for row in table.to_pylist()] == [row.key for row in successes]
    for found, row in zip(table.to_pylist(), successes, strict=True):
        tar = f"{found['shard']:05d}.tar"
        assert store.read(tar, found["offset"], found["bytes"]) == row.payload
        assert (
            store.read(tar, found["annotations_json_offset"], found["annotations_json_bytes"])
            == row.parts["annotations.json"]
        )
        if found["seg_png_offset"] is not None:
            assert (
                store.read(tar, found["seg_png_offset"], found["seg_png_bytes"])
                == row.parts["seg.png"]
            )


def test_staged_json_counts_what_the_shards_hold(archive, store):
    dataset = run(ZipSource(archive), store).dataset
    assert dataset == read_staged(store)
    assert (dataset.source, dataset.partition, dataset.classes, dataset.parts) == (
        "images",
        "train",
        CLASSES,
        ("annotations.json", "seg.png"),
    )
    labelled = [number for number in range(COUNT) if number not in (CUT, REFUSED, WITHOUT_LABELS)]
    widths = [24 + number % 5 for number in labelled]
    sevens = [number for number in labelled if number % 7 == 0]
    assert dataset.pixels == {
        "1": 4 * sum(widths),
        "2": 2 * sum(widths),
        "300": sum(24 + number % 5 for number in sevens),
    }
    assert dataset.images == {"1": len(labelled), "2": len(labelled), "300": len(sevens)}
    assert dataset.warnings == {"images without label map": 1}
    assert list(dataset.archives) == ["images.zip"]


def test_manifest_names_everything_beside_the_shards(archive, store):
    manifest = run(ZipSource(archive), store).manifest
    assert [file.name for file in manifest.extra_files] == [
        "index.parquet",
        "staged.json",
        "annotations/notes.json",
    ]
    assert read_manifest(store).extra_files == manifest.extra_files
    store.write("staged.json", store.read("staged.json").replace(b"CC BY", b"CC XY"))
    assert "staged.json has changed" in "".join(verify_set(store))
    with pytest.raises(ShardCorrupt, match=r"staged\.json"):
        read_staged(store)
    store.delete("index.parquet")
    assert any("index.parquet is missing" in problem for problem in verify_set(store, deep=False))


def test_nothing_is_read_again_when_everything_exists(archive, store):
    source = ZipSource(archive)
    first = run(source, store)
    before = {info.key: info.modified for info in store.list()}
    report = run(source, store)
    assert (report.made, report.skipped, report.manifest.to_json()) == (
        0,
        3,
        first.manifest.to_json(),
    )
    assert set(source.read.values()) == {1}
    assert source.kept == 1
    assert {info.key: info.modified for info in store.list()} == before


@pytest.mark.parametrize(
    "gone", ["manifest.json", "index.parquet", "staged.json", "annotations/notes.json"]
)
def test_missing_files_are_rewritten_when_all_shards_exist(archive, store, gone):
    source = ZipSource(archive)
    run(source, store)
    expected = contents(store)
    store.delete(gone)
    assert run(source, store).made == 0
    assert contents(store) == expected
    assert set(source.read.values()) == {1}


def test_run_resumes_at_the_first_missing_shard(archive, store):
    source = ZipSource(archive)
    run(source, store)
    expected = contents(store)
    store.delete("00001.tar")
    source.read.clear()
    assert run(source, store).made == 2
    assert contents(store) == expected
    assert len(source.read) == COUNT - 4


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("max_bytes", [1, 6000, 1 << 30])
def test_bytes_do_not_depend_on_threads_or_interruptions(tmp_path, archive, workers, max_bytes):
    options = StageOptions(max_shard_bytes=max_bytes, max_shard_samples=5, workers=workers)
    clean, stopped = (open_store(str(tmp_path / name)) for name in ("clean", "stopped"))
    run(ZipSource(archive), clean, replace(options, workers=2))

    class Stop(Exception):
        pass

    for last in (3, 7, 8):

        def stop(done, total, last=last):
            if done == last:
                raise Stop

        with pytest.raises(Stop):
            run(ZipSource(archive), stopped, options, progress=stop)
    run(ZipSource(archive), stopped, options)
    assert contents(stopped) == contents(clean)
    sizes = [record.count for record in list_records(clean)]
    assert sizes == [1] * COUNT if max_bytes == 1 else max(sizes) <= 5


@pytest.mark.parametrize(
    "options",
    [
        replace(SMALL, max_shard_samples=5),
        replace(SMALL, check_images=False),
        replace(SMALL, layout="objects"),
    ],
)
def test_shards_of_other_options_are_not_mixed(archive, store, options):
    run(ZipSource(archive), store)
    expected = contents(store)
    with pytest.raises(PlanMismatch, match="expected a shard of the same archives and options"):
        run(ZipSource(archive), store, options)
    assert contents(store) == expected


def test_shards_of_another_archive_are_not_mixed(tmp_path, archive, store):
    run(ZipSource(archive), store)
    other = write_zip(tmp_path / "other.zip", COUNT + 1)
    with pytest.raises(PlanMismatch, match="00000_stats"):
        run(ZipSource(other), store)


def test_location_of_the_archive_does_not_count(tmp_path, archive, store):
    run(ZipSource(archive), store)
    copy = tmp_path / "elsewhere.zip"
    copy.write_bytes(archive.read_bytes())
    assert run(ZipSource(copy), store).made == 0


def test_kept_files_are_copied_again_when_their_archive_has_changed(tmp_path, archive, store):
    run(ZipSource(archive), store)
    for info in list(store.list()):
        if not info.key.startswith("annotations/"):
            store.delete(info.key)
    source = ZipSource(write_zip(tmp_path / "other.zip", COUNT + 1))
    run(source, store)
    assert source.kept == 1
    assert json.loads(store.read("annotations/notes.json")) == {"images": COUNT + 1}


def test_corrupt_archive_fails_every_run_when_found_at_its_end(archive, store):
    for _ in range(2):
        with pytest.raises(ArchiveCorrupt, match="md5"):
            run(ZipSource(archive, md5_is_right=False), store)
        assert list_records(store) == []
        assert store.size("manifest.json") is None
    assert run(ZipSource(archive), store).made == 3


def test_undecodable_images_are_kept_when_they_are_not_checked(archive, store):
    report = run(ZipSource(archive), store, replace(SMALL, check_images=False))
    assert report.manifest.causes == {"not_image": 1}


def test_progress_counts_rows_of_earlier_runs_too(archive, store):
    run(ZipSource(archive), store)
    store.delete("00002_stats.json")
    store.delete("manifest.json")
    seen = []
    run(ZipSource(archive), store, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, COUNT) for done in range(9, COUNT + 1)]


def test_equal_keys_are_rejected(archive, store):
    source = ZipSource(archive)
    opened = source.open

    def open_with_one_key(partition, access):
        found = opened(partition, access)
        make_sample = found.make_sample
        found.make_sample = lambda item: replace(make_sample(item), key="same")
        return found

    source.open = open_with_one_key
    with pytest.raises(SourceError, match=r"got .same. for two"):
        run(source, store)
    assert list_records(store) == []


@pytest.mark.parametrize("key", ["a.b", "a/b", "é", "", "x" * 81, ".hidden"])
def test_key_is_refused_when_it_is_not_safe_in_an_archive(archive, store, key):
    source = ZipSource(archive)
    opened = source.open

    def open_with_key(partition, access):
        found = opened(partition, access)
        make_sample = found.make_sample
        found.make_sample = lambda item: replace(make_sample(item), key=key)
        return found

    source.open = open_with_key
    with pytest.raises(ConfigurationError, match="expected a sample key"):
        run(source, store)


def test_partition_without_images_is_an_error(archive, store):
    with pytest.raises(EmptyList, match="expected images of this partition"):
        stage(ZipSource(archive), store, SMALL, partition="empty")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"layout": "tar"}, "layout: expected one of shards, objects"),
        ({"max_shard_bytes": 0}, "max_shard_bytes"),
        ({"max_shard_samples": True}, "max_shard_samples"),
        ({"workers": -1}, "workers"),
    ],
)
def test_option_is_refused_when_it_is_not_valid(given, said):
    with pytest.raises(ConfigurationError, match=said):
        StageOptions(**given)


def test_unknown_partition_is_refused(archive, store):
    with pytest.raises(ConfigurationError, match="expected one of train, empty, got 'test'"):
        stage(ZipSource(archive), store, SMALL, partition="test")
    assert list(store.list()) == []
