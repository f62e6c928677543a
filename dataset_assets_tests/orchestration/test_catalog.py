"""Every dataset that is shipped loads, and does no harm without its lists."""

from pathlib import Path

import dagster as dg
import pytest

import dataset_assets.orchestration.catalog
from dataset_assets.demo.lists import PORT, write_lists
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets.demo.shapes import PARTITIONS
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import Environment
from dataset_assets.orchestration.materialize import materialize_dataset
from dataset_assets.orchestration.partitions import range_tags
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.staging.summary import read_staged
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import failure_of

CATALOG = Path(dataset_assets.orchestration.catalog.__file__).parent
DATASETS = sorted(path.parent.name for path in CATALOG.glob("*/defs.yaml"))
#: dataset -> its first asset
STAGED = ("cityscapes", "coco", "demo_shapes", "imagenet", "street_labels")
FIRST = {
    name: "split_archives"
    if name == "driving_frames"
    else "staged"
    if name in STAGED
    else "raw_urls"
    for name in DATASETS
}
ASSETS = {
    "raw_urls": {"url_lists", "raw_urls", "shards"},
    "split_archives": {"source", "split_archives"},
    "staged": {"source", "staged", "loader_preview"},
}


@pytest.fixture(scope="module")
def definitions(tmp_path_factory):
    return build_defs(Environment(root=str(tmp_path_factory.mktemp("data"))))


@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset_has_its_assets_when_loaded(definitions, dataset):
    specs = {
        spec.key.path[-1]: spec
        for spec in definitions.resolve_all_asset_specs()
        if spec.group_name == dataset
    }
    assert specs.keys() >= ASSETS[FIRST[dataset]]
    assert all(
        spec.description and spec.owners and "modality" in spec.tags for spec in specs.values()
    )


@pytest.mark.parametrize(
    "dataset", [name for name in DATASETS if name not in {"coco", "demo_shapes"}]
)  # those are there, on the web and on the photo server
def test_one_clear_error_is_given_when_the_source_is_not_there(
    definitions, instance, dataset, monkeypatch
):
    monkeypatch.delenv("CITYSCAPES_USERNAME", raising=False)
    monkeypatch.delenv("DATASET_ASSETS_CREDENTIALS", raising=False)
    key = dg.AssetKey([dataset, FIRST[dataset]])
    parts = definitions.resolve_assets_def(key).partitions_def if dataset in STAGED else None
    tags = range_tags(*[parts.get_partition_keys()[0]] * 2) if parts else {}
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance, asset_selection=[key], tags=tags, raise_on_error=False
    )
    message = failure_of(result)
    expected = (
        "No file found",
        "does not exist",
        "no recordings",
        "no videos",
        "CITYSCAPES_USERNAME is not set",
        "no such object",
    )
    assert any(words in message for words in expected)
    assert "\n" not in message
    assert instance.get_dynamic_partitions(f"{dataset}__shards") == []


def test_examples_say_what_they_need_when_they_are_not_the_demo(definitions):
    needs = {
        spec.key.path[0]: spec.tags.get("requires")
        for spec in definitions.resolve_all_asset_specs()
    }
    assert {dataset for dataset, need in needs.items() if need == "network"} == set(DATASETS) - {
        "demo",
        "demo_shapes",
        "driving_frames",
        "imagenet",
        "street_labels",
    }


def test_demo_becomes_at_least_eight_partitions_when_planned(tmp_path, instance):
    write_lists(tmp_path / "demo" / "lists")
    job = build_defs(Environment(root=str(tmp_path))).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(["demo", "raw_urls"])]
    ).success
    assert 8 <= len(instance.get_dynamic_partitions("demo__shards")) <= 10


def test_shapes_are_staged_from_the_photo_server_and_keep_their_names(tmp_path, instance):
    definitions = build_defs(Environment(root=str(tmp_path)))
    with PhotoServer(PORT):
        done = materialize_dataset("demo_shapes", instance=instance, definitions=definitions)
    assert done.problems == ()
    for partition, images in PARTITIONS.items():
        store = open_store(str(tmp_path / "demo_shapes" / "staged" / partition))
        assert verify_set(store) == []
        staged = read_staged(store)
        assert (staged.samples, staged.rows, staged.warnings) == (images, images, {})
        assert [each.name for each in staged.classes] == ["circle", "triangle", "square", "star"]
    key = dg.AssetKey(["demo_shapes", "loader_preview"])
    found = instance.get_latest_materialization_event(key).asset_materialization.metadata
    shown = {row.data["class"] for row in found["classes in the batch"].value.records}
    assert {"circle", "square"} <= shown
    assert "person" not in shown
