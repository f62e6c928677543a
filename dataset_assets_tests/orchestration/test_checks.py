import dagster as dg

from dataset_assets.orchestration.stages.shards.checks import readable_result, success_result
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.records.shards import ShardRecord
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import PHOTOS, Graph


def _record(successes, **causes):
    failed = sum(causes.values())
    return ShardRecord(
        successes + failed, successes, failed, 0, 1.0, 0.0, 1.0, {}, "00000", 0, "f", causes
    )


def test_success_rate_passes_when_enough_rows_became_samples():
    result = success_result(
        [_record(90, opt_out=10), _record(60, http_not_found=40)], min_success_rate=0.75
    )
    assert result.passed
    assert result.metadata["success rate"].value == 0.75
    assert [record.data["cause"] for record in result.metadata["causes"].value.records] == [
        "http_not_found",
        "opt_out",
    ]


def test_success_rate_warns_when_too_few_rows_became_samples():
    result = success_result([_record(40, http_not_found=60)], min_success_rate=0.5)
    assert not result.passed
    assert result.severity == dg.AssetCheckSeverity.WARN
    assert result.description == "40.0% of 100 rows became samples, expected at least 50%."


def test_resolver_is_named_when_names_are_not_resolved():
    result = success_result([_record(90, dns_temporary=6, dns_not_found=4)], min_success_rate=0.5)
    assert not result.passed
    assert "10.0% of the rows failed in name resolution. Check the resolver" in result.description


def test_success_rate_passes_when_there_are_no_rows():
    assert success_result([], min_success_rate=0.5).passed


def test_readable_names_partition_and_problem_when_one_is_damaged():
    result = readable_result({"00000": [], "00001": ["00001.tar: <5 bytes>"]})
    assert not result.passed
    assert result.metadata["problems"].value == 1
    assert result.description == "* 00001: 00001.tar: &lt;5 bytes&gt;"


def test_readable_passes_when_nothing_is_wrong():
    assert readable_result({"00000": []}).passed


def test_damage_is_found_when_a_shard_is_cut(graph):
    graph.plan()
    graph.make_shards("00000", "00000")
    tar = graph.root / "photos" / "shards" / "00000" / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:-1])
    assert not readable_result(
        {"00000": verify_set(open_store(str(tar.parent)), deep=False)}
    ).passed


def test_run_fails_when_the_blocking_check_does(graph, monkeypatch):
    monkeypatch.setattr(
        "dataset_assets.orchestration.stages.shards.asset.verify_set",
        lambda store, **options: ["00000.tar: cut"],
    )
    graph.plan()
    result = graph.make_shards("00000", "00000")
    assert not result.success
    (check,) = [
        check
        for check in result.get_asset_check_evaluations()
        if check.check_name == "shards_readable"
    ]
    assert not check.passed


def test_run_succeeds_when_only_the_success_rate_is_low(tmp_path, photo_server, instance):
    graph = Graph.make(
        tmp_path,
        photo_server.port,
        instance,
        PHOTOS.replace("samples_per_shard: 5", "samples_per_shard: 5\n    min_success_rate: 0.9"),
    )
    graph.plan()
    result = graph.make_shards("00001", "00001")
    assert result.success
    assert [
        check.check_name for check in result.get_asset_check_evaluations() if not check.passed
    ] == ["success_rate"]
