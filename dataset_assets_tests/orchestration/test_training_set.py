"""`training_set` in the graph: from splits, shards or a staged part, with a page and a check."""

import dagster as dg
import pytest

from dataset_assets import open_training_set
from dataset_assets.errors import ConfigurationError
from dataset_assets_tests.orchestration.graphs import LISTS, PHOTOS, Graph, failure_of
from dataset_assets_tests.orchestration.yaml_datasets import load, write_dataset
from dataset_assets_tests.support.tiny_coco import write_coco

SECTION = """
  training_set:
    buckets: [[64, 64], [48, 64]]
    reshape_mode: center_crop
    captions: {id_token: TOK}
"""
STAGED = """
type: dataset_assets.Dataset
attributes:
  source: {coco: {folder: archives, annotations: [instances, captions]}}
  training_set: {partition: val2017, buckets: [[64, 64]]}
"""


def opened(graph):
    return open_training_set(str(graph.root / "photos" / "training_set"))


def page_of(graph):
    return {
        name: value.value for name, value in graph.materialization("training_set").metadata.items()
    }


def test_shards_of_all_partitions_become_one_set(tmp_path, photo_server, instance):
    graph = Graph.make(tmp_path, photo_server.port, instance, PHOTOS + SECTION, LISTS)
    assert graph.plan().success
    run = graph.run("training_set")
    assert not run.success
    assert "materialize them first" in failure_of(run)
    assert graph.make_shards("00000", "00003").success
    run = graph.run("training_set")
    assert run.success
    samples = opened(graph)
    page = page_of(graph)
    assert page["dagster/row_count"] == len(samples) > 8
    assert samples[0]["caption"].startswith("TOK ")
    assert samples[0]["image"].shape in {(3, 64, 64), (3, 48, 64)}
    assert sum(row.data["samples"] for row in page["buckets"].records) == len(samples)
    assert page["samples seen"].startswith("![samples](data:image/jpeg;base64,")
    assert page["captioned samples"].records[0].data["caption"]
    assert graph.checks(run)["training_set_usable"].passed
    again = graph.run("training_set")
    assert again.success


def test_the_split_train_is_read_where_there_are_splits(tmp_path, photo_server, instance):
    text = PHOTOS + "\n  splits: {train: 0.6, test: 0.4}\n" + SECTION
    graph = Graph.make(tmp_path, photo_server.port, instance, text, LISTS)
    key = dg.AssetKey(["photos", "training_set"])
    asset_graph = graph.definitions.resolve_asset_graph()
    assert asset_graph.get(key).parent_keys == {dg.AssetKey(["photos", "split_archives"])}
    assert graph.plan().success
    assert graph.make_shards("00000", "00003").success
    assert graph.run("split_archives").success
    assert graph.run("training_set").success
    counts = graph.materialization("split_archives").metadata["dagster/row_count"].value
    assert 0 < len(opened(graph)) < counts


def test_a_staged_part_is_read(tmp_path, instance):
    write_coco(tmp_path / "data" / "archives")
    graph = Graph.make(tmp_path, 0, instance, STAGED, {})
    assert graph.stage("val2017").success
    assert graph.run("training_set").success
    assert len(opened(graph)) == 4


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("training_set: {buckets: [[64]]}", "training_set"),
        ("training_set: {reshape_mode: squash}", "reshape_mode: expected one of"),
        ("training_set: {bucket: [[64, 64]]}", "unknown key 'bucket'.*buckets"),
        ("training_set: {captions: {caption_dropout_p: 2}}", "caption_dropout_p: expected"),
        ("training_set: {partition: train}", "partition: expected none"),
    ],
)
def test_a_wrong_section_is_refused_with_its_line(tmp_path, section, message):
    write_dataset(tmp_path / "catalog", "photos", f"{PHOTOS}\n  {section}\n")
    with pytest.raises(ConfigurationError, match=message) as caught:
        load(tmp_path / "catalog", tmp_path / "data")
    assert "defs.yaml:" in str(caught.value)
