"""The graph with its root in a bucket: assets and IO managers work as in a folder."""

import dagster as dg
import pytest

from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import Environment
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import (
    LISTS,
    PUBLISHED,
    Graph,
    failure_of,
    write_list,
)
from dataset_assets_tests.orchestration.test_staged import COCO
from dataset_assets_tests.orchestration.yaml_datasets import write_dataset
from dataset_assets_tests.support.s3_server import SECRET_KEY, MotoServer
from dataset_assets_tests.support.tiny_coco import write_coco

ROOT = "s3://imgml/data"


@pytest.fixture(scope="module")
def s3():
    with MotoServer() as server:
        server.bucket("imgml")
        yield server


@pytest.fixture
def on_s3(s3, monkeypatch):
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    yield s3
    open_store(ROOT).delete_tree("")


def graph_at(folder, root, instance, text):
    write_dataset(folder / "catalog", "photos", text)
    return Graph(
        folder / "data",
        0,
        instance,
        build_defs(Environment(root=root, catalog=(folder / "catalog",))),
    )


def objects_below(url, stage):
    store = open_store(url).child("photos").child(stage)
    return {
        info.key: store.read(info.key)
        for info in store.list()
        if not info.key.endswith(("_stats.json", "contact_sheet.jpg"))
    }


def test_staged_data_is_the_same_as_in_a_folder_when_the_root_is_a_bucket(tmp_path, on_s3):
    write_coco(tmp_path / "archives")
    text = COCO.replace("folder: archives", f"folder: {tmp_path / 'archives'}")
    for root in (ROOT, str(tmp_path / "data")):
        with dg.DagsterInstance.ephemeral() as instance:
            graph = graph_at(tmp_path, root, instance, text)
            runs = [
                graph.stage("train2017"),
                graph.stage("val2017"),
                graph.run("loader_preview"),
                graph.run("split_archives"),
            ]
            assert all(run.success for run in runs), [
                failure_of(run) for run in runs if not run.success
            ]
            abilities = graph.materialization("staged", "train2017").metadata.get("store can")
            assert (abilities.value["conditional_writes"] if abilities else None) is (
                True if root == ROOT else None
            )
    for stage in ("staged", "split_archives", "loader_preview"):
        found = objects_below(ROOT, stage)
        assert found == objects_below(str(tmp_path / "data"), stage)
        assert found
    assert verify_set(open_store(ROOT).child("photos/staged/train2017")) == []
    assert verify_split(open_store(ROOT).child("photos/split_archives")) == []


def test_urls_become_a_publication_when_the_root_is_a_bucket(tmp_path, on_s3, photo_server):
    lists = tmp_path / "lists"
    for name, kinds in LISTS.items():
        write_list(lists, name, kinds, photo_server.port)
    text = PUBLISHED.replace("path: lists/*.parquet", f"path: {lists}/*.parquet").replace(
        "repo: me/photos,", f"repo: me/photos, root: {tmp_path / 'hub'},"
    )
    with dg.DagsterInstance.ephemeral() as instance:
        graph = graph_at(tmp_path, ROOT, instance, text)
        runs = [
            graph.plan(),
            graph.make_shards("00000", "00001"),
            graph.make_shards("00002", "00003"),
        ]
        runs += [graph.run("split_archives"), graph.run("hub_upload")]
        assert all(run.success for run in runs), [
            failure_of(run) for run in runs if not run.success
        ]
    assert verify_set(open_store(ROOT).child("photos/shards/00000")) == []
    assert (tmp_path / "hub" / "me" / "photos").is_dir()


def test_the_secret_key_is_shown_and_stored_nowhere_when_steps_succeed_and_fail(
    tmp_path, on_s3, instance, capfd
):
    write_coco(tmp_path / "archives")
    text = COCO.replace("folder: archives", f"folder: {tmp_path / 'archives'}")
    graph = graph_at(tmp_path, ROOT, instance, text)
    runs = [
        graph.stage("val2017"),
        graph_at(tmp_path, "s3://nowhere/data", instance, text).stage("val2017"),
    ]
    assert [run.success for run in runs] == [True, False]
    said = "".join(dg.serialize_value(event) for run in runs for event in run.all_events) + "".join(
        capfd.readouterr()
    )
    stored = b"".join(open_store(ROOT).read(info.key) for info in open_store(ROOT).list())
    assert SECRET_KEY not in said
    assert SECRET_KEY.encode() not in stored
    assert len(stored) > 1000


def test_one_line_names_the_bucket_when_it_is_missing(tmp_path, on_s3, instance):
    write_coco(tmp_path / "archives")
    text = COCO.replace("folder: archives", f"folder: {tmp_path / 'archives'}")
    message = failure_of(graph_at(tmp_path, "s3://nowhere/data", instance, text).stage("val2017"))
    assert "nowhere" in message
    assert "\n" not in message
    assert on_s3.credentials.secret_key not in message
