from datetime import UTC, datetime

import dagster as dg
import pytest

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.stages.shards.schedule import MAX_RUNS_PER_TICK
from dataset_assets_tests.orchestration.graphs import PHOTOS, Graph


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:  # a schedule needs one that lasts
        yield instance


def _tick(graph, name="photos__retry_failed"):
    repository = graph.definitions.get_repository_def()
    context = dg.build_schedule_context(
        instance=graph.instance,
        scheduled_execution_time=datetime(2026, 1, 1, 3, tzinfo=UTC),
        repository_def=repository,
    )
    return repository.get_schedule_def(name).evaluate_tick(context)


def _record(graph, partition, causes):
    event = dg.AssetMaterialization(
        ["photos", "shards"],
        partition=partition,
        metadata={"causes": metadata.causes_table(causes, 10)},
    )
    graph.instance.report_runless_asset_event(event)


def _ranges(data):
    tags = [request.tags for request in data.run_requests]
    return [
        (each["dagster/asset_partition_range_start"], each["dagster/asset_partition_range_end"])
        for each in tags
    ]


def _partitions(graph, count):
    graph.instance.add_dynamic_partitions(
        "photos__shards", [f"{number:05d}" for number in range(count)]
    )


def test_partitions_with_transient_failures_are_asked_for_in_ranges_when_due(graph):
    _partitions(graph, 7)
    for number, causes in enumerate(
        [
            {"timeout_total": 1},
            {"http_server_error": 2},
            {"too_slow": 1},
            {"opt_out": 3},
            {},
            {"dns_temporary": 1},
        ]
    ):
        _record(graph, f"{number:05d}", causes)
    data = _tick(graph)
    assert _ranges(data) == [
        ("00000", "00001"),
        ("00002", "00002"),
        ("00005", "00005"),
    ]  # at most two to a run; 00006 was never made
    assert len({request.run_key for request in data.run_requests}) == 3
    assert data.run_requests[0].run_config["ops"] == {
        "photos__shards": {"config": {"retry_failed": ["transient"], "overwrite": False}}
    }


def test_partition_is_left_alone_when_its_last_run_cured_it(graph):
    _partitions(graph, 1)
    _record(graph, "00000", {"timeout_total": 1})
    _record(graph, "00000", {})
    assert _tick(graph).run_requests == []
    assert "no partition" in _tick(graph).skip_message


def test_newest_record_counts_when_there_are_more_than_a_page(graph, monkeypatch):
    monkeypatch.setattr("dataset_assets.orchestration.stages.shards.schedule._PAGE", 10)
    _partitions(graph, 3)
    _record(graph, "00001", {"timeout_total": 1})
    for _ in range(12):
        _record(graph, "00000", {"opt_out": 1})
    assert _ranges(_tick(graph)) == [("00001", "00001")]


def test_tick_is_bounded_when_everything_failed(graph):
    _partitions(graph, 2 * MAX_RUNS_PER_TICK + 10)
    for key in graph.keys:
        _record(graph, key, {"timeout_total": 1})
    assert len(_tick(graph).run_requests) == MAX_RUNS_PER_TICK


def test_request_cures_the_rows_when_it_is_run(graph):
    graph.plan()
    graph.make_shards("00000", "00003")
    (request,) = _tick(graph).run_requests
    job = graph.definitions.resolve_job_def(
        graph.definitions.resolve_schedule_def("photos__retry_failed").job_name
    )
    result = job.execute_in_process(
        instance=graph.instance, tags=request.tags, run_config=request.run_config
    )
    assert result.success
    causes = graph.materialization("shards", "00001").metadata["causes"].value.records
    assert "http_server_error" not in {record.data["cause"] for record in causes}
    assert _tick(graph).run_requests == []


def test_lists_are_read_again_when_the_yaml_says_when(tmp_path, photo_server, instance):
    text = PHOTOS.replace("automation: {", 'automation: {refresh: "0 3 * * 1", ')
    graph = Graph.make(tmp_path, photo_server.port, instance, text)
    (request,) = _tick(graph, "photos__refresh").run_requests
    assert request.partition_key is None
    job = graph.definitions.resolve_job_def(
        graph.definitions.resolve_schedule_def("photos__refresh").job_name
    )
    assert job.execute_in_process(instance=instance).success
    assert graph.keys == ["00000", "00001", "00002", "00003"]
