"""Plug-ins of another distribution, one module each, used end to end by name."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from dataset_assets import registry
from dataset_assets_tests.end_to_end.conftest import jpeg
from dataset_assets_tests.end_to_end.outside_plug_ins import PLUG_INS
from dataset_assets_tests.orchestration.yaml_datasets import write_dataset
from dataset_assets_tests.support.distribution import write_distribution

ROOT = Path(__file__).parents[2]

DOWNLOAD_SCRIPT = """
import json
import sys

from dataset_assets import download

report = download(**json.loads(sys.argv[1]))
print(json.dumps([report.made, report.skipped, report.manifest.successes]))
"""

#: Without a guard of `__main__`: workers must not run it again.
STAGE_SCRIPT = """
import json
import sys

from dataset_assets import split, stage
from dataset_assets.hub.target import TargetOptions, open_target
from dataset_assets.pipelines.publish.publish import PublishOptions, publish_split
from dataset_assets.pipelines.stage.open_staging import open_staging
from dataset_assets.storage.store import open_store

folder = json.loads(sys.argv[1])["folder"]
source = open_staging("album", {"url": "shelf://archives/album.zip"})
report = stage(source, open_store("shelf://staged"), partition="all")
manifest = split(
    "shelf://photos", "shelf://split", kind="objects", ratios={"train": 0.5, "test": 0.5}
)
target = open_target("mirror", "me/photos", TargetOptions(root=folder))
options = PublishOptions(license="cc0-1.0")
published = publish_split(open_store("shelf://split"), target, options)
print(json.dumps([report.dataset.samples, manifest.samples, published.target, published.changed]))
"""

EMBED_SCRIPT = """
import json
import sys

from dataset_assets import EmbeddingSet, embed
from dataset_assets.pipelines.embed.options import EmbedOptions

if __name__ == "__main__":
    scale = json.loads(sys.argv[1])["scale"]
    options = EmbedOptions(processes_count=2)
    report = embed(
        "shelf://out", "shelf://vectors", "brightness", {"scale": scale}, options=options
    )
    found = EmbeddingSet("shelf://vectors")
    print(json.dumps([report.made, report.kept, len(found), float(found.take([0])[0, 0])]))
"""

TRAINING_SCRIPT = """
import json

from dataset_assets import open_training_set, training_set

summary = training_set("shelf://photos", "shelf://set", image_resolution_buckets=[[32, 32]])
samples = open_training_set("shelf://set")
captions = [samples[position]["caption"] for position in range(len(samples))]
print(json.dumps([summary.layout, captions]))
"""

GRAPH_SCRIPT = """
import json
import sys
from pathlib import Path

import dagster as dg

from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import Environment
from dataset_assets.orchestration.materialize import materialize_dataset

folder = Path(json.loads(sys.argv[1])["folder"])
definitions = build_defs(Environment(root=str(folder / "data"), catalog=(folder / "catalog",)))
with dg.DagsterInstance.ephemeral() as instance:
    result = materialize_dataset("photos", instance=instance, definitions=definitions)
    event = instance.get_latest_materialization_event(dg.AssetKey(["photos", "census"]))
print(json.dumps([list(result.problems), event.asset_materialization.metadata["counted"].value]))
"""

DATASET = """
type: dataset_assets.Dataset
attributes:
  source:
    urls: {path: lists/*.txt}
  shards:
    samples_per_shard: 2
    distributor: serial
    processes: 1
    image: {size: 32}
    allow_private_networks: [127.0.0.0/8, "::1/128"]
  census: {suffix: .tar}
"""


@pytest.fixture
def shelf(tmp_path):
    """The folder of the store `shelf`."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path, shelf, warm_python):
    """Return a function that runs a script where the outside distribution is installed."""
    sources = {f"outside.{name}": code for each in PLUG_INS.values() for name, code in each.items()}
    entries = {
        role: {name: f"outside.{name}" for name in plug_ins} for role, plug_ins in PLUG_INS.items()
    }
    write_distribution(tmp_path / "site", "outside", sources, entries)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'site'}",
        "SHELF": str(shelf),
    }

    def run(script, **arguments):
        path = tmp_path / "site" / "script.py"  # so that the distribution is found
        path.write_text(script)
        result = warm_python.run(path, json.dumps(arguments), env=environment)
        assert result.returncode == 0, result.stdout
        return json.loads(result.stdout.splitlines()[-1])

    return run


def write_list(path, urls):
    path.write_text("".join(f"{url}|caption {n}\n" for n, url in enumerate(urls)))


def names(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )


def shard_files(*shards):
    return [f"{shard}{end}" for shard in shards for end in (".lines", ".parquet", "_stats.json")]


DOWNLOAD = {
    "url_list": "shelf://lists/urls.pipes",
    "output_folder": "shelf://out",
    "input_format": "pipes",
    "output_format": "lines",
    "caption_col": "caption",
    "number_sample_per_shard": 3,
    "distributor": "multiprocessing",
    "processes_count": 2,
    "image_size": 32,
}


def test_download_uses_formats_and_a_store_from_outside(run, gallery, shelf):
    (shelf / "lists").mkdir()
    urls = [gallery.url(number) for number in range(7)]
    write_list(shelf / "lists" / "urls.pipes", [*urls, gallery.server.url("/7.jpg")])
    assert run(DOWNLOAD_SCRIPT, **DOWNLOAD) == [3, 0, 7]
    assert names(shelf / "out") == shard_files("00000", "00001", "00002")

    # The rows of a shard are read back, merged with what is fetched now, and written again.
    gallery.url(7)
    assert run(DOWNLOAD_SCRIPT, **DOWNLOAD, retry_failed=["http_not_found"]) == [1, 2, 8]
    samples = (shelf / "out" / "00002.lines").read_text().splitlines()
    assert [json.loads(line)["key"] for line in samples] == ["000020", "000021"]

    # Overwriting deletes the files of the old set, also those that the new set does not replace.
    (shelf / "out" / "notes.lines").write_text("not of the set")
    write_list(shelf / "lists" / "urls.pipes", urls[:2])
    assert run(DOWNLOAD_SCRIPT, **DOWNLOAD, incremental_mode="overwrite") == [1, 0, 2]
    assert names(shelf / "out") == [*shard_files("00000"), "notes.lines"]
    assert run(
        DOWNLOAD_SCRIPT, **DOWNLOAD | {"output_format": "files"}, incremental_mode="overwrite"
    ) == [1, 0, 2]
    assert not (shelf / "out" / "00000.lines").exists()


def test_embeddings_use_an_encoder_from_outside(run, gallery, shelf):
    (shelf / "lists").mkdir()
    write_list(shelf / "lists" / "urls.pipes", [gallery.url(number) for number in range(4)])
    settings = {**DOWNLOAD, "output_format": "webdataset"}
    run(DOWNLOAD_SCRIPT, **settings)
    made, kept, count, first = run(EMBED_SCRIPT, scale=1.0)
    assert (made, kept, count) == (made, 0, 4)
    assert run(EMBED_SCRIPT, scale=1.0) == [0, made, 4, first]
    assert run(EMBED_SCRIPT, scale=2.0) == [made, 0, 4, pytest.approx(2 * first)]


def test_training_sets_use_a_layout_from_outside(run, shelf):
    (shelf / "photos").mkdir()
    for number, name in enumerate(("a_goat", "two_red_cars")):
        (shelf / "photos" / f"{name}.jpg").write_bytes(jpeg(number))
    assert run(TRAINING_SCRIPT) == ["titles", ["a goat", "two red cars"]]


def test_staging_split_and_publication_use_sources_and_a_target_from_outside(run, shelf, tmp_path):
    images = {f"photo{number}.jpg": jpeg(number) for number in range(6)}
    for folder in ("photos", "archives"):
        (shelf / folder).mkdir()
    with zipfile.ZipFile(shelf / "archives" / "album.zip", "w") as album:
        for name, data in images.items():
            album.writestr(name, data)
            (shelf / "photos" / name).write_bytes(data)
    folder = tmp_path / "published"
    assert run(STAGE_SCRIPT, folder=str(folder)) == [6, 6, "mirror", True]
    assert "staged.json" in names(shelf / "staged")
    assert [name for name in names(folder / "me" / "photos") if name.endswith("/README.md")]
    assert run(STAGE_SCRIPT, folder=str(folder)) == [6, 6, "mirror", False]


def test_graph_has_a_stage_from_outside(run, gallery, tmp_path):
    write_dataset(tmp_path / "catalog", "photos", DATASET)
    lists = tmp_path / "data" / "lists"
    lists.mkdir(parents=True)
    (lists / "a.txt").write_text("".join(f"{gallery.url(number)}\n" for number in range(5)))
    assert run(GRAPH_SCRIPT, folder=str(tmp_path)) == [[], 3]


def test_every_role_has_a_plug_in_here():
    assert set(PLUG_INS) >= set(registry.ROLES) - {"distributor"}
