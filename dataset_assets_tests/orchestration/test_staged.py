"""`staged` and `loader_preview` in the graph: partitions, metadata, checks, refusals."""

import shutil

import cv2
import dagster as dg
import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.commits import read_manifest
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import Graph, failure_of
from dataset_assets_tests.orchestration.yaml_datasets import load, write_dataset
from dataset_assets_tests.support.cityscapes_site import CityscapesSite
from dataset_assets_tests.support.tiny_cityscapes import write_cityscapes
from dataset_assets_tests.support.tiny_coco import write_coco
from dataset_assets_tests.support.tiny_imagenet import write_imagenet

COCO = """
type: dataset_assets.Dataset
attributes:
  description: Objects.
  license: cc-by-4.0
  source: {coco: {folder: archives}}
  staged: {max_shard_samples: 5, min_success_rate: 0.9}
  loader_preview: {batch_size: 4, height: 96, width: 96}
  splits: {train: 0.5, test: 0.5}
  hub: {repo: me/objects}
  automation: {enabled: true, watch_every_s: 30, step_retries: 0}
"""
CITYSCAPES = """
type: dataset_assets.Dataset
attributes:
  source: {{cityscapes: {{partitions: [val], site: "{site}"}}}}
  loader_preview: {{batch_size: 2, height: 32, width: 64}}
  automation: {{step_retries: 0}}
"""
IMAGENET = """
type: dataset_assets.Dataset
attributes:
  source: {imagenet: {path: archives, partitions: [val]}}
  loader_preview: {batch_size: 4, height: 32, width: 32}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """COCO, staged, with everything that is made of it; tests only look at it."""
    folder = tmp_path_factory.mktemp("staged")
    write_coco(folder / "data" / "archives")
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph.make(folder, 0, instance, COCO, {})
        graph.runs += [
            graph.stage("train2017"),
            graph.stage("val2017"),
            graph.run("loader_preview"),
            graph.run("split_archives"),
        ]
        yield graph


def store_of(graph, *folders):
    return open_store(str(graph.root.joinpath("photos", *folders)))


def metadata_of(graph, stage, partition=None):
    return {
        name: value.value
        for name, value in graph.materialization(stage, partition).metadata.items()
    }


def test_every_partition_is_a_shard_set_when_staged(made):
    assert all(run.success for run in made.runs)
    for partition in ("train2017", "val2017"):
        assert verify_set(store_of(made, "staged", partition)) == []


def test_classes_terms_and_images_are_shown_when_staged(made):
    found = metadata_of(made, "staged", "train2017")
    manifest = read_manifest(store_of(made, "staged", "train2017"))
    assert (found["dagster/partition_row_count"], found["samples"]) == (
        manifest.rows,
        manifest.successes,
    )
    classes = [row.data for row in found["classes"].records]
    assert classes[0]["pixels"] >= classes[1]["pixels"] > 0
    assert {"class", "label", "images", "share"} <= classes[0].keys()
    assert "CC BY" in found["license"]
    assert found["samples seen"].startswith("![samples](data:image/jpeg;base64,")
    sheet = cv2.imdecode(
        np.frombuffer(store_of(made, "staged", "train2017").read("contact_sheet.jpg"), np.uint8),
        cv2.IMREAD_COLOR,
    )
    assert min(sheet.shape[:2]) > 100
    assert all(
        len(dg.serialize_value(event)) < 30_000 for run in made.runs for event in run.all_events
    )


def test_checks_pass_when_labels_and_images_are_sound(made):
    checks = made.checks(made.runs[0])
    assert {name: check.passed for name, check in checks.items()} == {
        "staged_complete": True,
        "staged_labels": True,
        "staged_images": True,
    }
    assert checks["staged_complete"].description.startswith(
        f"{read_manifest(store_of(made, 'staged', 'train2017')).rows:,} images"
    )


def test_a_batch_is_drawn_when_previewed(made):
    found = metadata_of(made, "loader_preview")
    assert found["inputs"] == "(4, 3, 96, 96) float32"
    assert found["labels"] == "(4, 96, 96) uint8"
    assert found["batch"].startswith("![samples](data:image/jpeg;base64,")
    assert found["loader"]["samples"] == 4
    assert sum(row.data["count"] for row in found["classes in the batch"].records) == 4 * 96 * 96
    drawing = cv2.imdecode(
        np.frombuffer(store_of(made, "loader_preview").read("batch.jpg"), np.uint8),
        cv2.IMREAD_COLOR,
    )
    assert drawing.shape[1] > drawing.shape[0]  # four pairs in a row


def test_splits_are_made_of_all_partitions_when_asked_for(made):
    rows = sum(
        read_manifest(store_of(made, "staged", name)).successes for name in ("train2017", "val2017")
    )
    assert metadata_of(made, "split_archives")["dagster/row_count"] == rows


def test_nothing_is_written_when_staged_again(made):
    before = {
        path: path.stat().st_mtime_ns for path in (made.root / "photos" / "staged").rglob("*.tar")
    }
    assert made.stage("val2017").success
    assert {
        path: path.stat().st_mtime_ns for path in (made.root / "photos" / "staged").rglob("*.tar")
    } == before
    assert metadata_of(made, "staged", "val2017")["shards made"] == 0


def test_partitions_are_the_parts_when_loaded(made):
    staged = made.definitions.get_assets_def(["photos", "staged"])
    assert staged.partitions_def.get_partition_keys() == ["train2017", "val2017"]
    assert made.definitions.get_assets_def(["photos", "split_archives"]).dependency_keys == {
        dg.AssetKey(["photos", "staged"])
    }


def test_one_line_says_what_to_materialize_when_nothing_is_staged(tmp_path, instance):
    write_coco(tmp_path / "data" / "archives")
    graph = Graph.make(tmp_path, 0, instance, COCO, {})
    for stage in ("loader_preview", "split_archives"):
        assert "of photos/staged are missing: materialize them first" in failure_of(
            graph.run(stage)
        )


def test_images_that_can_not_be_decoded_are_a_warning_when_too_many(tmp_path, instance):
    write_coco(tmp_path / "data" / "archives", corrupt=True)
    graph = Graph.make(tmp_path, 0, instance, COCO.replace("0.9", "1.0"), {})
    run = graph.stage("train2017")
    assert run.success
    check = graph.checks(run)["staged_images"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert [
        row.data["cause"] for row in metadata_of(graph, "staged", "train2017")["causes"].records
    ] == ["decode_error"]


def test_cityscapes_is_staged_after_a_login_when_the_variables_are_set(
    tmp_path, instance, monkeypatch, capfd
):
    monkeypatch.setenv("CITYSCAPES_USERNAME", "someone")
    monkeypatch.setenv("CITYSCAPES_PASSWORD", "canary-pass")
    with CityscapesSite(write_cityscapes(tmp_path / "site"), "someone", "canary-pass") as site:
        graph = Graph.make(tmp_path, 0, instance, CITYSCAPES.format(site=site.base_url), {})
        runs = [graph.stage("val"), graph.run("loader_preview")]
        assert all(run.success for run in runs)
        monkeypatch.setenv("CITYSCAPES_PASSWORD", "wrong-canary")
        shutil.rmtree(graph.root / "photos" / "staged")
        message = failure_of(refused := graph.stage("val"))
    assert "does not take the user name and password" in message
    assert "\n" not in message
    said = "".join(
        dg.serialize_value(event) for run in [*runs, refused] for event in run.all_events
    ) + "".join(capfd.readouterr())
    stored = b"".join(path.read_bytes() for path in graph.root.rglob("*") if path.is_file())
    assert "canary" not in said
    assert b"canary" not in stored
    assert metadata_of(graph, "staged", "val")["redistributable"] is False


def test_imagenet_is_previewed_with_names_of_classes_when_staged(tmp_path, instance):
    write_imagenet(tmp_path / "data" / "archives")
    graph = Graph.make(tmp_path, 0, instance, IMAGENET, {})
    assert graph.stage("val").success
    assert graph.run("loader_preview").success
    found = metadata_of(graph, "loader_preview")
    assert found["inputs"] == "(4, 3, 32, 32) float32"
    assert {row.data["class"] for row in found["classes in the batch"].records} <= {
        "tench",
        "goldfish",
        "great white shark",
    }


def test_a_changed_archive_is_staged_again_when_the_sensor_has_seen_it_twice(tmp_path, instance):
    write_coco(tmp_path / "data" / "archives")
    definitions = Graph.make(tmp_path, 0, instance, COCO, {}).definitions
    sensor = definitions.resolve_sensor_def("photos__new_archives")
    cursor, requests = None, []
    for _ in range(3):
        with dg.build_sensor_context(
            instance, cursor=cursor, resources=definitions.resources
        ) as context:
            result = sensor(context)
        cursor = getattr(result, "cursor", cursor)
        requests.append(
            [request.partition_key for request in getattr(result, "run_requests", None) or []]
        )
    assert requests == [[], ["train2017", "val2017"], []]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  source: {coco: {partitions: [train2018]}}", "partitions: expected some of train2017"),
        ("  source: {coco: {archive: {}}}", "unknown key 'archive'"),
        (
            "  source: {cityscapes: {}}\n  hub: {repo: me/x, license: other}\n  splits: {}",
            "cityscapes must not be published",
        ),
        (
            "  source: {coco: {}}\n  loader_preview: {partition: test2017}",
            "partition: expected one of train2017, val2017",
        ),
        (
            "  source: {coco: {}}\n  staged: {layout: objects}\n  splits: {}",
            "expected no `splits` with the layout `objects`",
        ),
        ("  source: {urls: {path: x}}\n  staged: {}", "expected no `staged` with `source.urls`"),
        ("  source: {cvat: {exports: {}}}", "exports: expected a zip for each partition"),
        ("  source: {imagenet: {partitions: [val]}}", "path"),
    ],
)
def test_one_line_names_the_key_when_a_yaml_is_wrong(tmp_path, text, message):
    write_dataset(tmp_path, "wrong", f"type: dataset_assets.Dataset\nattributes:\n{text}\n")
    with pytest.raises(ConfigurationError, match="defs.yaml:") as caught:
        load(tmp_path)
    assert message in str(caught.value)
