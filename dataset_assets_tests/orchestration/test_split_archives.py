"""`split_archives` in the graph, of url lists and of folders."""

import json
import logging
import shutil
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from dataset_assets.orchestration.common.progress import progress_to
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import (
    PUBLISHED,
    RECORDINGS,
    Graph,
    failure_of,
    files_of,
    write_recordings,
)

KEY = dg.AssetKey(["photos", "split_archives"])


@pytest.fixture(scope="module")
def drives(tmp_path_factory):
    """Ten recordings of two cameras, split in one run; tests only look at them."""
    folder = tmp_path_factory.mktemp("drives")
    write_recordings(folder / "data" / "drives", 10)
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph.make(folder, 0, instance, RECORDINGS, {})
        graph.runs.append(graph.run("split_archives"))
        yield graph


@pytest.fixture
def few(tmp_path, instance):
    """Four recordings, before the first run."""
    write_recordings(tmp_path / "data" / "drives", 4)
    return Graph.make(tmp_path, 0, instance, RECORDINGS, {})


def _store(graph):
    return open_store(str(graph.root / "photos" / "split_archives"))


def test_cameras_of_a_recording_stay_together_when_split(drives):
    assert drives.runs[0].success
    store = _store(drives)
    manifest = load_split(store)
    assert {name: count.samples for name, count in manifest.splits.items()} == {
        "train": 14,
        "validation": 4,
        "test": 2,
    }
    with version_store(store, manifest).open_read("assignment.parquet") as file:
        rows = pq.read_table(file).to_pylist()
    assert len({(row["key"].split("/")[0], row["split"]) for row in rows}) == 10
    assert verify_split(store) == []


def test_splits_are_described_when_made(drives):
    found = drives.materialization("split_archives")
    metadata = {name: value.value for name, value in found.metadata.items()}
    manifest = load_split(_store(drives))
    assert metadata["dagster/row_count"] == 20
    assert [
        (row.data["split"], row.data["samples"], row.data["groups"])
        for row in metadata["splits"].records
    ] == [
        ("train", 14, 7),
        ("validation", 4, 2),
        ("test", 2, 1),
    ]
    assert [row.data["file"] for row in metadata["files"].records] == [
        file.name for file in manifest.files
    ]
    assert metadata["bytes stored"] == sum(file.bytes for file in manifest.files)
    assert [column.name for column in metadata["dagster/column_schema"].columns][:3] == [
        "video",
        "n_frames",
        "key",
    ]
    assert metadata["options"]["seed"] == 42
    assert metadata["contact sheet"] == str(
        drives.root / "photos" / "split_archives" / "contact_sheet.jpg"
    )
    assert metadata["samples seen"].startswith("![samples](data:image/jpeg;base64,")
    assert found.tags["dagster/data_version"] == manifest.version[:16]
    assert all(len(dg.serialize_value(event)) < 30_000 for event in drives.runs[0].all_events)


def test_check_says_what_was_looked_at_when_sound(drives):
    check = drives.checks(drives.runs[0])["split_archives_sound"]
    assert check.passed
    assert check.description.startswith("20 samples in")


def test_nothing_is_written_when_nothing_has_changed(few):
    few.run("split_archives")
    folder = few.root / "photos" / "split_archives"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert few.run("split_archives").success
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_bytes_are_the_same_when_made_elsewhere(few, tmp_path, instance):
    few.run("split_archives")
    shutil.copytree(few.root / "drives", tmp_path / "other" / "data" / "drives")
    other = Graph.make(tmp_path / "other", 0, instance, RECORDINGS, {})
    assert other.run("split_archives").success
    assert files_of(other.root / "photos" / "split_archives") == files_of(
        few.root / "photos" / "split_archives"
    )


def test_version_is_another_when_the_seed_is(few, instance):
    few.run("split_archives")
    version = few.materialization("split_archives").tags["dagster/data_version"]
    seeded = Graph.make(
        few.root.parent, 0, instance, RECORDINGS.replace("test: 0.10", "test: 0.10, seed: 1"), {}
    )
    assert seeded.run("split_archives").success
    assert seeded.materialization("split_archives").tags["dagster/data_version"] != version
    assert (
        seeded.definitions.get_assets_def(KEY).code_versions_by_key
        != few.definitions.get_assets_def(KEY).code_versions_by_key
    )


def test_run_fails_with_the_archive_named_when_one_is_damaged(few):
    few.run("split_archives")
    store = _store(few)
    manifest = load_split(store)
    name = next(file.name for file in manifest.files if file.kind != "parquet")
    path = Path(version_store(store, manifest).locate(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    result = few.run("split_archives")
    assert not result.success
    check = few.checks(result)["split_archives_sound"]
    assert not check.passed
    assert name in check.description
    before = files_of(few.root / "photos" / "split_archives")
    assert few.run("split_archives", overwrite=True).success
    after = files_of(few.root / "photos" / "split_archives")
    assert {name.rpartition("/")[2] for name in after if after[name] != before[name]} == {
        name.rpartition("/")[2]
    }


def test_one_clear_line_ends_a_run_when_there_is_no_folder(few):
    shutil.rmtree(few.root / "drives")
    assert str(few.root / "drives") in failure_of(few.run("split_archives"))


@pytest.fixture
def photos(tmp_path, photo_server, instance):
    graph = Graph.make(tmp_path, photo_server.port, instance, PUBLISHED)
    assert graph.plan().success
    return graph


def test_missing_partitions_are_counted_and_named_when_shards_are_not_all_made(photos):
    photos.make_shards("00001", "00001")
    message = failure_of(photos.run("split_archives"))
    assert (
        message == "3 of 4 partitions of photos/shards are missing (00000, 00002, 00003): "
        "materialize them first"
    )
    assert not (photos.root / "photos" / "split_archives").exists()


def test_plan_is_asked_for_when_there_is_none(tmp_path, photo_server, instance):
    graph = Graph.make(tmp_path, photo_server.port, instance, PUBLISHED)
    assert (
        failure_of(graph.run("split_archives"))
        == "there is no plan yet: materialize photos/raw_urls, then photos/shards"
    )


def test_every_sample_of_all_partitions_is_split_when_they_are_made(photos):
    photos.make_shards("00000", "00003")
    assert photos.run("split_archives").success
    manifest = load_split(_store(photos))
    assert (manifest.media, manifest.samples) == ("image", 12)
    assert {"caption", "credit", "url"} <= manifest.columns.keys()
    shutil.rmtree(photos.root / "photos" / "shards" / "00002")
    assert failure_of(photos.run("split_archives")).startswith(
        "1 of 4 partitions of photos/shards are missing (00002)"
    )


def test_shards_of_another_dataset_are_split_when_they_are_the_source(photos, tmp_path, instance):
    photos.make_shards("00000", "00003")
    text = RECORDINGS.replace(
        "recordings: {path: drives, fps: 10}", f"shards: {{path: {photos.root}/photos/shards}}"
    )
    graph = Graph.make(tmp_path / "other", 0, instance, text, {})
    assert graph.run("split_archives").success
    assert load_split(_store(graph)).samples == 12


def test_images_with_captions_are_split_when_files_are_the_source(tmp_path, instance, photo_server):
    folder = tmp_path / "data" / "drives"
    write_recordings(folder, 3)
    for path in list(folder.rglob("*.pgm")):
        path.with_suffix(".txt").write_text(path.stem)
    text = RECORDINGS.replace(
        "recordings: {path: drives, fps: 10}",
        'files: {path: drives, extensions: [pgm], group: "(recording_[0-9]+)"}',
    )
    graph = Graph.make(tmp_path, 0, instance, text, {})
    assert graph.run("split_archives").success
    manifest = load_split(_store(graph))
    assert (manifest.media, manifest.samples) == ("image", 18)
    assert sorted(count.groups for count in manifest.splits.values()) == [1, 1, 1]


def test_progress_is_told_now_and_then_when_it_takes_long(caplog):
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    report = progress_to(logging.getLogger("test"), clock=lambda: next(clock))
    for done in (1, 2_000, 3_000):
        report(done, 4_000)
    assert [record.message for record in caplog.records] == ["2,000 of 4,000 samples"]


def test_options_are_in_the_manifest_as_json_when_read(drives):
    manifest = json.loads(
        version_store(_store(drives), load_split(_store(drives))).read("manifest.json")
    )
    assert manifest["options"]["ratios"] == {"train": 0.75, "validation": 0.15, "test": 0.1}
