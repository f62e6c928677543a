"""A stage of the graph from another distribution: its keys, assets and errors are like ours."""

import json

import dagster as dg
import pytest

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.stage import in_order
from dataset_assets.orchestration.components.model import load_stages
from dataset_assets.orchestration.materialize import materialize_dataset
from dataset_assets_tests.orchestration.graphs import PHOTOS, Graph
from dataset_assets_tests.orchestration.yaml_datasets import load, write_dataset
from dataset_assets_tests.support.distribution import write_distribution

SECTION = '''
"""`fingerprints:` of a defs.yaml."""

from pydantic import Field

from dataset_assets.orchestration.common.section import Section


class Embeddings(Section):
    """Encoders, by name."""

    encoders: list[str]
    """One asset for each."""
    samples: int = Field(default=3, ge=1)
'''

ASSET = '''
"""`<dataset>/fingerprints/<encoder>`: as many bytes of each sample as the YAML says."""

import dagster as dg

from dataset_assets.orchestration.common.failures import as_failure
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.pipelines.verify.shards import read_manifest
from outside_stage.section import Embeddings


def build(spec, upstream):
    section = spec.section(Embeddings)
    assets = [embedding(spec, upstream, encoder, section.samples) for encoder in section.encoders]
    return dg.Definitions(assets=assets)


def embedding(spec, upstream, encoder, samples):
    mapping = dg.AllPartitionMapping()

    @dg.asset(
        key=spec.key("fingerprints", encoder),
        deps=[dg.AssetDep(spec.key(upstream.name), partition_mapping=mapping)],
        io_manager_key="io_manager",
        group_name=spec.name,
    )
    def embed(storage: StorageResource) -> list[int]:
        with as_failure():
            sets = upstream.shard_sets(spec, storage)
            return [samples, *(read_manifest(store).successes for store in sets)]

    return embed
'''

STAGE = '''
"""The stage `fingerprints`."""

from dataset_assets.orchestration.common.stage import Stage
from outside_stage.asset import build
from outside_stage.section import Embeddings


def problems(spec):
    section = spec.find(Embeddings)
    if section is not None and not section.encoders:
        yield "fingerprints", section, "encoders: expected at least one, got none"


STAGE = Stage(
    name="fingerprints",
    key="fingerprints",
    section=Embeddings,
    after=("shards", "staged"),
    refusal="expected no `{key}` with `source.{kind}`: there are no shards",
    build=build,
    problems=problems,
)
'''


@pytest.fixture(autouse=True)
def _stage_from_outside(tmp_path, monkeypatch):
    folder = tmp_path / "distribution"
    modules = {
        "outside_stage.__init__": STAGE,
        "outside_stage.section": SECTION,
        "outside_stage.asset": ASSET,
    }
    folder.mkdir()
    write_distribution(folder, "outside", modules, {"stage": {"fingerprints": "outside_stage"}})
    monkeypatch.syspath_prepend(folder)
    registry._outside.cache_clear()
    yield
    monkeypatch.undo()
    registry._outside.cache_clear()


def test_assets_of_the_stage_are_made_when_a_dataset_has_its_key(tmp_path, photo_server, instance):
    text = PHOTOS + "  fingerprints: {encoders: [small, large], samples: 5}\n"
    graph = Graph.make(tmp_path, photo_server.port, instance, text)
    keys = {spec.key.to_user_string() for spec in graph.definitions.resolve_all_asset_specs()}
    assert {"photos/fingerprints/small", "photos/fingerprints/large"} <= keys
    done = materialize_dataset("photos", instance=instance, definitions=graph.definitions)
    assert done.success, done.problems
    for encoder in ("small", "large"):
        file = graph.root / "photos" / "fingerprints" / encoder / "value.json"
        samples, *successes = json.loads(file.read_text())
        assert samples == 5
        assert len(successes) == len(graph.keys) == 4


def test_datasets_without_its_key_are_as_before(tmp_path):
    specs = load(tmp_path).resolve_all_asset_specs()
    assert not [spec.key for spec in specs if "fingerprints" in spec.key.path]


def test_missing_shards_are_one_line_when_materialized_too_early(tmp_path, photo_server, instance):
    text = PHOTOS + "  fingerprints: {encoders: [small]}\n"
    graph = Graph.make(tmp_path, photo_server.port, instance, text)
    job = graph.definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(["photos", "fingerprints", "small"])],
        raise_on_error=False,
    )
    (event,) = [event for event in result.all_events if event.is_step_failure]
    message = event.step_failure_data.user_failure_data.description
    assert message == "there is no plan yet: materialize photos/raw_urls, then photos/shards"


@pytest.mark.parametrize(
    ("source", "section", "expected"),
    [
        (
            "urls: {path: x}",
            "{encoders: []}",
            "attributes.fingerprints: encoders: expected at least",
        ),
        ("urls: {path: x}", "{encoder: []}", "unknown key 'encoder': .* did you mean 'encoders'"),
        ("urls: {path: x}", "{}", "attributes.fingerprints.encoders: Field required"),
        ("files: {path: x}", "{encoders: [a]}", "expected no `fingerprints` with `source.files`: "),
    ],
)
def test_mistake_is_named_with_file_and_line_when_the_key_is_wrong(
    tmp_path, source, section, expected
):
    text = f"""
        type: dataset_assets.Dataset
        attributes:
          source: {{{source}}}
          fingerprints: {section}
          splits: {{}}
    """
    if source.startswith("urls"):
        text = text.replace("splits: {}", "")
    file = write_dataset(tmp_path / "catalog", "wrong", text)
    with pytest.raises(ConfigurationError, match=rf"^{file}:4: .*{expected}"):
        load(tmp_path / "catalog")


def test_its_key_comes_after_those_it_reads(tmp_path):
    names = [stage.name for stage in load_stages()]
    assert names.index("fingerprints") > max(names.index("shards"), names.index("staged"))


def test_stages_are_refused_when_they_wait_for_each_other():
    stages = [stage for stage in load_stages() if stage.name != "raw_urls"]
    with pytest.raises(ConfigurationError, match=r"shards.*: expected `after` to name known"):
        in_order(stages)
