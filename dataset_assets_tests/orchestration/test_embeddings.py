"""`embeddings` in the graph: an asset per encoder, partitions of the shards, checks, refusals."""

import dagster as dg
import pytest

from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import open_store
from dataset_assets_tests.orchestration.graphs import LISTS, PHOTOS, Graph, failure_of
from dataset_assets_tests.orchestration.yaml_datasets import load, write_dataset
from dataset_assets_tests.support.tiny_coco import write_coco

TWO_ENCODERS = (
    PHOTOS
    + """
  embeddings:
    perceptual: {batch_size: 4, processes: 1}
    efficientnet_lite0: {device: cpu, processes: 1}
"""
)
STAGED = """
type: dataset_assets.Dataset
attributes:
  source:
    coco: {folder: archives, annotations: [instances]}
  embeddings: {perceptual: {processes: 1}}
"""


def set_of(graph, encoder, partition):
    return open_store(str(graph.root / "photos" / "embeddings" / encoder / partition))


def load_text(folder, text):
    write_dataset(folder / "catalog", "photos", text)
    return load(folder / "catalog", folder / "data")


@pytest.fixture
def graph(tmp_path, photo_server, instance):
    return Graph.make(tmp_path, photo_server.port, instance, TWO_ENCODERS, LISTS)


def test_every_partition_of_the_shards_is_encoded_by_every_encoder(graph):
    assert graph.plan().success
    first, last = graph.keys[:2]
    assert graph.make_shards(first, last).success
    for encoder in ("perceptual", "efficientnet_lite0"):
        run = graph.embed(encoder, first, last)
        assert run.success
        passed = {name: check.passed for name, check in graph.checks(run).items()}
        assert passed == {"embeddings_sound": True, "embeddings_complete": True}
        for partition in (first, last):
            store = set_of(graph, encoder, partition)
            assert verify_set(store) == []
            assert len(EmbeddingSet(store)) > 0
    found = graph.materialization("embeddings/perceptual", first).metadata
    assert found["samples"].value == len(EmbeddingSet(set_of(graph, "perceptual", first)))
    assert found["success rate"].value == 1.0
    assert found["encoder"].value["encoder"] == "perceptual"
    assert found["near-duplicate groups"].value >= 0
    assert graph.embed("perceptual", first, last).success
    again = graph.materialization("embeddings/perceptual", first).metadata
    assert (again["shards computed"].value, again["shards kept"].value) == (0, 1)


def test_shards_that_are_missing_are_named(graph):
    assert graph.plan().success
    run = graph.embed("perceptual", "00000", "00000")
    assert not run.success
    message = "partition 00000 of photos/shards is missing: materialize it first"
    assert message in failure_of(run)


def test_staged_partitions_are_encoded(tmp_path, instance):
    write_coco(tmp_path / "data" / "archives")
    graph = Graph.make(tmp_path, 0, instance, STAGED, {})
    assert graph.stage("val2017").success
    assert graph.embed("perceptual", "val2017", "val2017").success
    assert len(EmbeddingSet(set_of(graph, "perceptual", "val2017"))) == 4


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("embeddings: {}", "expected at least one encoder of"),
        ("embeddings: {perceptul: {}}", "unknown key 'perceptul'.*perceptual"),
        ("embeddings: {perceptual: {batch_size: 0}}", "batch_size: expected"),
        ("embeddings: {efficientnet_lite0: {nomalize: true}}", "unknown key 'nomalize'"),
    ],
)
def test_a_wrong_section_is_refused_with_its_line(tmp_path, section, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_text(tmp_path, f"{PHOTOS}\n  {section}\n")
    assert "defs.yaml:" in str(caught.value)


def test_embeddings_of_a_folder_of_recordings_are_refused(tmp_path):
    text = (
        "type: dataset_assets.Dataset\nattributes:\n  source: {recordings: {path: drives}}\n"
        "  splits: {}\n  embeddings: {perceptual: {}}\n"
    )
    with pytest.raises(ConfigurationError, match="only shards are encoded"):
        load_text(tmp_path, text)


def test_keys_have_the_encoder_as_last_part(graph):
    keys = {
        key.to_user_string() for key in graph.definitions.resolve_asset_graph().get_all_asset_keys()
    }
    assert {"photos/embeddings/perceptual", "photos/embeddings/efficientnet_lite0"} <= keys
    asset = graph.definitions.resolve_assets_def(
        dg.AssetKey(["photos", "embeddings", "perceptual"])
    )
    assert asset.partitions_def.name == "photos__shards"
