"""The assets of a dataset, run by Dagster on real urls."""

import json
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from dataset_assets.orchestration.stages.raw_urls.asset import plan_version
from dataset_assets.pipelines.download.plan_urls import load_plan
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import (
    PHOTOS,
    Graph,
    failure_of,
    files_of,
    partitions_of,
    write_list,
)
from dataset_assets_tests.orchestration.yaml_datasets import load

STATUS_KEYS = ["00000", "00001", "00002", "00003"]


def test_plan_and_shards_are_made_when_run(made):
    assert [run.success for run in made.runs] == [True, True]
    assert made.keys == STATUS_KEYS
    assert partitions_of(made.runs[1]) == STATUS_KEYS
    for key in STATUS_KEYS:
        assert verify_set(open_store(str(made.root / "photos" / "shards" / key))) == []


def test_every_row_is_accounted_for_when_made(made):
    tables = [
        pq.read_table(made.root / "photos" / "shards" / key / f"{key}.parquet").to_pylist()
        for key in STATUS_KEYS
    ]
    rows = [row for table in tables for row in table]
    assert [len(table) for table in tables] == [5, 5, 2, 5]
    assert {row["cause"] for row in rows} - {None} == {
        "http_not_found",
        "http_server_error",
        "opt_out",
        "robots_txt",
        "not_image",
    }
    assert sum(row["cause"] is None for row in rows) == 12


def test_plan_is_described_when_made(made):
    found = made.materialization("raw_urls")
    metadata = {name: value.value for name, value in found.metadata.items()}
    assert metadata["dagster/row_count"] == 17
    assert (metadata["shards"], metadata["partitions"], metadata["lists"]) == (4, 4, 2)
    assert [column.name for column in metadata["dagster/column_schema"].columns] == [
        "credit",
        "caption",
        "url",
    ]
    assert len(metadata["preview"].records) == 5
    assert [record.data["rows"] for record in metadata["list table"].records] == [12, 5]
    plan = load_plan(open_store(str(made.root / "photos" / "raw_urls")))
    assert found.tags["dagster/data_version"] == plan_version(plan)


def test_partition_is_described_when_made(made):
    metadata = {
        name: value.value
        for name, value in made.materialization("shards", "00001").metadata.items()
    }
    assert (
        metadata["dagster/partition_row_count"],
        metadata["samples"],
        metadata["success rate"],
    ) == (5, 1, 0.2)
    causes = {record.data["cause"]: record.data["rows"] for record in metadata["causes"].records}
    assert causes == {"http_not_found": 1, "http_server_error": 1, "opt_out": 1, "robots_txt": 1}
    assert metadata["transient failures"] == 1
    assert metadata["bytes stored"] > 0
    assert metadata["rows per second"] > 0
    assert {"url", "caption", "status", "cause"} <= {
        column.name for column in metadata["dagster/column_schema"].columns
    }
    assert [record.data["file"] for record in metadata["files"].records] == [
        "00001.tar",
        "00001.parquet",
    ]


def test_samples_are_to_be_seen_when_they_are_images(made):
    metadata = made.materialization("shards", "00000").metadata
    sheet = metadata["contact sheet"].value
    assert sheet == str(made.root / "photos" / "shards" / "00000" / "contact_sheet.jpg")
    assert Path(sheet).read_bytes().startswith(b"\xff\xd8")
    assert metadata["samples seen"].value.startswith("![samples](data:image/jpeg;base64,")
    chart = next(value.value for name, value in metadata.items() if name.startswith("success over"))
    assert chart.startswith("![success")
    assert len(chart) < 1000


def test_event_is_small_when_recorded(made):
    for event in made.runs[0].all_events + made.runs[1].all_events:
        assert len(dg.serialize_value(event)) < 30_000


def test_checks_pass_or_warn_when_recorded(made):
    checks = {check.check_name: check for check in made.runs[1].get_asset_check_evaluations()}
    assert checks["shards_readable"].passed
    assert checks["success_rate"].passed
    assert checks["success_rate"].metadata["rows"].value == 17


def test_nothing_is_fetched_when_everything_is_committed(graph, photo_server):
    graph.plan()
    graph.make_shards("00000", "00003")
    before, requests = files_of(graph.root / "photos"), photo_server.stats()["requests"]
    graph.plan()
    again = graph.make_shards("00000", "00003")
    assert again.success
    assert partitions_of(again) == STATUS_KEYS
    assert files_of(graph.root / "photos") == before
    assert photo_server.stats()["requests"] == requests


def test_bytes_are_the_same_when_partitions_are_made_one_by_one_or_in_a_range(
    tmp_path, photo_server, instance, made
):
    graph = Graph.make(tmp_path, photo_server.port, instance, lists=made.root / "lists")
    graph.plan()
    for key in reversed(STATUS_KEYS):
        assert graph.make_shards(key, key).success
    ours, theirs = (
        files_of(graph.root / "photos" / "shards"),
        files_of(made.root / "photos" / "shards"),
    )
    assert ours.keys() == theirs.keys()
    stable = [
        name for name in ours if name.startswith(("00000/", "00002/"))
    ]  # the others have a url that answers 503 only once
    assert {name: ours[name] for name in stable} == {name: theirs[name] for name in stable}


def test_transient_rows_are_fetched_again_when_asked(graph, photo_server):
    write_list(
        graph.root / "lists", "a", ["photos"] * 6 + ["busy", "missing"] + ["photos"] * 4, graph.port
    )
    graph.plan()
    graph.make_shards("00001", "00001")
    requests = photo_server.stats()["requests"]
    again = graph.make_shards("00001", "00001", retry_failed=["transient"])
    assert again.success
    assert photo_server.stats()["by_kind"]["missing"] > 0
    assert 0 < photo_server.stats()["requests"] - requests <= 2  # the busy url, and robots.txt
    metadata = graph.materialization("shards", "00001").metadata
    assert [record.data["cause"] for record in metadata["causes"].value.records] == [
        "http_not_found"
    ]


def test_unknown_cause_is_refused_before_any_request_when_asked(graph, photo_server):
    graph.plan()
    requests = photo_server.stats()["requests"]
    result = graph.make_shards("00000", "00001", retry_failed=["everything"])
    assert "got 'everything'" in failure_of(result)
    assert photo_server.stats()["requests"] == requests


def test_partitions_are_added_and_none_moves_when_a_list_arrives(graph):
    graph.plan()
    graph.make_shards("00000", "00003")
    before = files_of(graph.root / "photos" / "shards")
    write_list(graph.root / "lists", "0-sorts-first", ["photos"] * 7, graph.port)
    graph.plan()
    assert graph.keys == [*STATUS_KEYS, "00004", "00005"]
    assert graph.make_shards("00003", "00005").success
    after = files_of(graph.root / "photos" / "shards")
    assert {name: after[name] for name in before} == before
    assert {name.partition("/")[0] for name in after} - {
        name.partition("/")[0] for name in before
    } == {"00004", "00005"}


def test_other_partitions_are_recorded_when_one_fails(graph):
    graph.plan()
    (graph.root / "photos" / "shards" / "00001" / "00001.tar" / "in the way").mkdir(parents=True)
    result = graph.make_shards("00000", "00003")
    assert not result.success
    assert failure_of(result).startswith("1 of 4 partitions failed: 00001 (shard 1: ")
    assert partitions_of(result) == ["00000", "00002", "00003"]
    assert graph.instance.get_materialized_partitions(dg.AssetKey(["photos", "shards"])) == {
        "00000",
        "00002",
        "00003",
    }


def test_failed_partition_is_made_when_run_again(graph):
    graph.plan()
    obstacle = graph.root / "photos" / "shards" / "00001" / "00001.tar"
    obstacle.mkdir(parents=True)
    (obstacle / "file").touch()
    assert not graph.make_shards("00000", "00001").success
    (obstacle / "file").unlink()
    obstacle.rmdir()
    assert graph.make_shards("00000", "00001").success
    assert verify_set(open_store(str(obstacle.parent))) == []


@pytest.mark.parametrize("asset", ["raw_urls", "shards"])
def test_one_clear_line_ends_a_run_when_the_lists_are_not_there(graph, asset):
    for path in (graph.root / "lists").iterdir():
        path.unlink()
    graph.instance.add_dynamic_partitions("photos__shards", ["00000"])
    result = graph.plan() if asset == "raw_urls" else graph.make_shards("00000", "00000")
    if asset == "raw_urls":
        assert "No file found" in failure_of(result)
    else:
        (event,) = [event for event in result.all_events if event.is_step_failure]
        assert "plan.json does not exist: materialize photos/raw_urls first" in str(
            event.step_failure_data
        )


def test_partition_is_refused_when_the_plan_does_not_have_it(graph):
    graph.plan()
    graph.instance.add_dynamic_partitions("photos__shards", ["00099"])
    assert "the plan has no partitions 00099: materialize photos/raw_urls" in failure_of(
        graph.make_shards("00003", "00099")
    )


def test_shards_are_kept_when_options_changed_until_they_are_to_be_overwritten(graph):
    graph.plan()
    graph.make_shards("00000", "00001")
    before = files_of(graph.root / "photos" / "shards")
    changed = Graph.make(
        graph.root.parent,
        graph.port,
        graph.instance,
        PHOTOS.replace("size: 64", "size: 32"),
        graph.root / "lists",
    )
    changed.plan()
    refused = changed.make_shards("00000", "00001")
    assert "other options" in failure_of(refused)
    assert files_of(graph.root / "photos" / "shards") == before
    assert changed.make_shards("00000", "00000", overwrite=True).success
    after = files_of(graph.root / "photos" / "shards")
    assert after["00000/00000.tar"] != before["00000/00000.tar"]
    assert after["00001/00001.tar"] == before["00001/00001.tar"]


def test_files_of_any_kind_are_kept_when_media_is_any(tmp_path, photo_server, instance):
    text = PHOTOS.replace(
        "image: {size: 64, resize_mode: keep_ratio}", "media: any\n    output_format: files"
    )
    graph = Graph.make(tmp_path, photo_server.port, instance, text)
    graph.plan()
    assert graph.make_shards("00003", "00003").success
    kept = {
        path.suffix for path in (graph.root / "photos" / "shards" / "00003" / "00003").iterdir()
    }
    assert ".html" in kept
    assert "contact sheet" not in graph.materialization("shards", "00003").metadata


def test_manifest_is_what_downstream_gets_when_it_asks(made):
    from dataset_assets.orchestration.io_managers import ManifestIOManager
    from dataset_assets.orchestration.resources.storage import StorageResource

    manager = ManifestIOManager(storage=StorageResource(root=str(made.root)))
    seen = {}

    @dg.asset(ins={"shards": dg.AssetIn(["photos", "shards"])})
    def downstream(shards: dict):
        seen.update(shards)

    shards = made.definitions.get_assets_def(["photos", "shards"])
    result = dg.materialize(
        [downstream, shards, made.definitions.get_assets_def(["photos", "raw_urls"])],
        selection=[downstream],
        instance=made.instance,
        resources={**made.definitions.resources, "manifests": manager},
    )
    assert result.success
    assert {key: manifest.rows for key, manifest in seen.items()} == {
        "00000": 5,
        "00001": 5,
        "00002": 2,
        "00003": 5,
    }
    manifest = json.loads((made.root / "photos" / "shards" / "00001" / "manifest.json").read_text())
    assert seen["00001"].successes == manifest["successes"]


def test_graph_is_the_same_when_the_root_is_another_store(tmp_path, photo_server, instance, made):
    local = Graph.make(
        tmp_path, photo_server.port, instance, PHOTOS.replace("lists/*", f"{made.root}/lists/*")
    )
    graph = Graph(
        "memory://graph", photo_server.port, instance, load(tmp_path / "catalog", "memory://graph")
    )
    assert graph.plan().success
    assert graph.make_shards("00000", "00003").success
    store = open_store("memory://graph/photos/shards/00000")
    assert (
        store.read("00000.tar")
        == (made.root / "photos" / "shards" / "00000" / "00000.tar").read_bytes()
    )
    assert graph.materialization("shards", "00000").metadata["dagster/uri"].value == store.url
    assert not (local.root / "photos").exists()
