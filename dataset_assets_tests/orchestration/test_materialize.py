import shutil

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.materialize import materialize_dataset
from dataset_assets_tests.orchestration.graphs import (
    PUBLISHED,
    RECORDINGS,
    Graph,
    files_of,
    write_recordings,
)


def _materialize(graph, **more):
    return materialize_dataset(
        "photos", instance=graph.instance, definitions=graph.definitions, **more
    )


def test_everything_is_made_in_runs_of_the_backfill_policy_when_missing(graph, made):
    result = _materialize(graph)
    assert result.success
    assert result.partitions == ("00000", "00001", "00002", "00003")
    runs = graph.instance.get_runs()
    assert sorted(run.tags.get("dagster/asset_partition_range_start", "") for run in runs) == [
        "",
        "00000",
        "00002",
    ]
    assert (
        files_of(graph.root / "photos" / "shards").keys()
        == files_of(made.root / "photos" / "shards").keys()
    )


def test_nothing_is_run_but_the_plan_when_everything_is_there(graph):
    _materialize(graph)
    before = len(graph.instance.get_runs())
    result = _materialize(graph)
    assert (result.success, result.partitions) == (True, ())
    assert len(graph.instance.get_runs()) == before + 1


def test_partition_is_made_again_when_its_folder_was_deleted(graph):
    _materialize(graph)
    before = files_of(graph.root / "photos" / "shards")
    shutil.rmtree(graph.root / "photos" / "shards" / "00002")
    assert _materialize(graph).partitions == ("00002",)
    assert files_of(graph.root / "photos" / "shards") == before


def test_only_the_given_partitions_are_made_when_named(graph):
    assert _materialize(graph, partitions=["00001", "00003"]).success
    assert {name.partition("/")[0] for name in files_of(graph.root / "photos" / "shards")} == {
        "00001",
        "00003",
    }


def test_failure_is_told_in_one_line_when_a_run_fails(graph):
    (graph.root / "photos" / "shards" / "00001" / "00001.tar" / "in the way").mkdir(parents=True)
    result = _materialize(graph)
    assert not result.success
    (problem,) = result.problems
    assert problem.startswith("photos__shards: 1 of 2 partitions failed: 00001")
    assert {name.partition("/")[0] for name in files_of(graph.root / "photos" / "shards")} >= {
        "00000",
        "00002",
        "00003",
    }


def test_missing_lists_are_told_in_one_line_when_planning_fails(graph):
    for path in (graph.root / "lists").iterdir():
        path.unlink()
    result = _materialize(graph)
    assert not result.success
    assert result.problems[0].startswith("photos__raw_urls: No file found")


def test_unknown_dataset_is_refused_with_the_known_ones_when_named(graph):
    with pytest.raises(
        ConfigurationError, match=r"unknown dataset 'fotos': expected one of .*demo.*photos"
    ):
        materialize_dataset("fotos", instance=graph.instance, definitions=graph.definitions)


def test_unknown_partition_is_refused_when_named(graph):
    with pytest.raises(
        ConfigurationError, match="photos has no partitions 00009; it has 00000 to 00003"
    ):
        _materialize(graph, partitions=["00001", "00009"])


def test_dagster_home_is_asked_for_when_there_is_no_instance(graph, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(ConfigurationError, match="DAGSTER_HOME is not set"):
        materialize_dataset("photos", definitions=graph.definitions)


def test_splits_and_publication_are_made_when_the_dataset_has_them(
    tmp_path, photo_server, instance
):
    graph = Graph.make(tmp_path, photo_server.port, instance, PUBLISHED)
    assert _materialize(graph).success
    assert (graph.root / "hub" / "me" / "photos" / "refs" / "main").is_file()
    before, requests = files_of(graph.root), photo_server.stats()["requests"]
    assert _materialize(graph).success
    assert files_of(graph.root) == before
    assert photo_server.stats()["requests"] == requests


def test_nothing_is_made_of_a_part_when_partitions_are_named(tmp_path, photo_server, instance):
    graph = Graph.make(tmp_path, photo_server.port, instance, PUBLISHED)
    assert _materialize(graph, partitions=["00001"]).success
    assert not (graph.root / "photos" / "split_archives").exists()


def test_folder_is_split_and_published_when_there_are_no_urls(tmp_path, instance):
    write_recordings(tmp_path / "data" / "drives", 3)
    graph = Graph.make(tmp_path, 0, instance, RECORDINGS, {})
    result = _materialize(graph)
    assert (result.success, result.partitions) == (True, ())
    assert (graph.root / "hub" / "me" / "drives" / "refs" / "main").is_file()
    with pytest.raises(ConfigurationError, match="photos has no partitions"):
        _materialize(graph, partitions=["00000"])


def test_nothing_is_published_when_the_split_fails(tmp_path, instance):
    write_recordings(tmp_path / "data" / "drives", 2)  # fewer groups than splits
    graph = Graph.make(tmp_path, 0, instance, RECORDINGS, {})
    result = _materialize(graph)
    assert len(result.problems) == 1
    assert result.problems[0].startswith("photos__split_archives: ")
    assert not (graph.root / "hub").exists()
