"""Plug-ins of another distribution, one module each, used end to end by name."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from dataset_assets import registry
from dataset_assets_tests.end_to_end.conftest import jpeg
from dataset_assets_tests.orchestration.yaml_datasets import write_dataset
from dataset_assets_tests.support.distribution import write_distribution

ROOT = Path(__file__).parents[2]

#: A list format: url, "|" and a caption on each line.
PIPES = """
import pyarrow as pa


class Reader:
    def __init__(self, options):
        self._columns = options.columns

    def read(self, file):
        with file.open() as stored:
            rows = [line.decode().rstrip("\\n").split("|") for line in stored]
        table = pa.table({"url": [row[0] for row in rows], "caption": [row[1] for row in rows]})
        yield table.select(self._columns)
"""

#: An output format: one JSON object with the payload in hexadecimal on each line.
LINES = """
import json

from dataset_assets.records.shards import ShardFile
from dataset_assets.shards.sidecar import Sidecar
from dataset_assets.shards.writer import StoredSample


class Writer:
    sidecar = True
    suffix = ".lines"

    def __init__(self, store, options):
        self._staged = store.stage(options.name + self.suffix)
        self._sidecar = Sidecar(store, options)

    def write(self, row):
        if row.payload is not None:
            sample = {"key": row.key, "extension": row.extension, "payload": row.payload.hex()}
            self._staged.write(json.dumps(sample).encode() + b"\\n")
        self._sidecar.add(row)

    def close(self):
        self._staged.close()
        self._sidecar.close()

    def commit(self):
        self.close()
        self._staged.commit()
        file = ShardFile(self._staged.key, self._staged.bytes, self._staged.sha256)
        return file, self._sidecar.commit()

    def discard(self):
        self._staged.discard()
        self._sidecar.discard()

    @staticmethod
    def samples(store, file):
        with store.open_read(file.name) as stored:
            for line in stored:
                sample = json.loads(line)
                payload = bytes.fromhex(sample["payload"])
                yield StoredSample(sample["key"], sample["extension"], payload, None)
"""

#: A store: `shelf://folder` is a folder below the one that the environment names.
SHELF = """
import os
from pathlib import Path

from dataset_assets.storage.stores import local


class Store(local.Store):
    def __init__(self, url):
        super().__init__(str(Path(os.environ["SHELF"], url.removeprefix("shelf://"))))
        self.url = url

    def child(self, prefix):
        return Store(f"{self.url}/{prefix}")
"""

#: A staging source: the .jpg files of a zip, without labels.
ALBUM = """
import hashlib
import zipfile
from dataclasses import dataclass

from dataset_assets.records.staged import License, StagedSample, StageItem


@dataclass(frozen=True)
class AlbumOptions:
    url: str


class Source:
    kind = "album"
    options_class = AlbumOptions
    partitions = ("all",)
    license = License("CC0", "https://example.org/license", redistributable=True)

    def __init__(self, options):
        self._options = options

    def open(self, partition, access):
        return Partition(partition, access.open(self._options.url))


class Partition:
    columns = {"position": "int32"}
    parts = ()
    classes = ()
    warnings = {}

    def __init__(self, name, file):
        self.name = name
        self._zip = zipfile.ZipFile(file)
        self._members = self._zip.infolist()
        self.count = len(self._members)
        entries = repr([(each.filename, each.CRC) for each in self._members])
        self.fingerprint = hashlib.sha256(entries.encode()).hexdigest()
        self.archives = {"album.zip": self.fingerprint}

    def read_items(self, start):
        for index, member in enumerate(self._members[start:], start):
            data = self._zip.read(member)
            yield StageItem(index, member.filename, "album.zip", member.header_offset, data)

    def make_sample(self, item):
        key = item.path.removesuffix(".jpg")
        return StagedSample(key, "jpg", item.payload, {"position": item.index})

    def make_objects(self, item):
        yield item.path, item.payload

    def verify_archives(self):
        pass

    def close(self):
        self._zip.close()
"""

#: A split source: every object of a store is a sample.
OBJECTS = """
import hashlib

from dataset_assets.records.splits import SourceSample


class SplitSource:
    kind = "objects"
    options_class = None
    detection_rank = 100
    media = "image"
    columns = {}
    restriction = None

    def __init__(self, store):
        self._store = store
        self._infos = list(store.list())
        listed = repr([(info.key, info.bytes) for info in self._infos])
        self.fingerprint = hashlib.sha256(listed.encode()).hexdigest()

    @staticmethod
    def detect(store):
        return False

    @classmethod
    def open(cls, stores, options):
        return cls(stores[0])

    def samples(self):
        keys = [info.key.removesuffix(".jpg") for info in self._infos]
        sizes = [info.bytes for info in self._infos]
        return [
            SourceSample(key, key, size, ("jpg",), {}) for key, size in zip(keys, sizes)
        ]

    def read(self, sample):
        return [self._store.read(f"{sample.key}.jpg")]
"""

#: A hub target: another name for the local one.
MIRROR = """
from dataset_assets.hub.targets import directory


class HubTarget(directory.HubTarget):
    kind = "mirror"
"""

#: A stage of the graph: `census:` in a `defs.yaml` counts the tars of the shards.
CENSUS = '''
import dagster as dg

from dataset_assets.orchestration.common.section import Section
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.resources.storage import StorageResource


class Census(Section):
    """How to count."""

    suffix: str
    """Suffix of the files to count."""


def build(spec, upstream):
    @dg.asset(key=spec.key("census"), deps=[spec.key(upstream.name)], group_name=spec.name)
    def census(storage: StorageResource) -> dg.MaterializeResult[None]:
        files = storage.store(spec.name, upstream.name).list()
        suffix = spec.section(Census).suffix
        count = sum(info.key.endswith(suffix) for info in files)
        return dg.MaterializeResult(metadata={"counted": count})

    return dg.Definitions(assets=[census])


STAGE = Stage(name="census", key="census", section=Census, after=("shards",), build=build)
'''

#: An encoder: the mean of the bytes of a sample, scaled.
BRIGHTNESS = """
from dataclasses import dataclass

import numpy as np

from dataset_assets.embeddings.encoder import Field, Prepared


@dataclass(frozen=True, kw_only=True)
class BrightnessOptions:
    scale: float = 1.0


class Encoder:
    options_class = BrightnessOptions
    medium = "image"
    device = "cpu"
    fields = {"embedding": Field("F32", (1,))}

    def __init__(self, options):
        self._scale = options.scale

    def identity(self):
        return {"encoder": "brightness", "scale": self._scale}

    def prepare(self, payload, caption):
        return Prepared(np.frombuffer(payload, np.uint8).mean())

    def encode(self, batch):
        return {"embedding": np.array([[each.data * self._scale] for each in batch], np.float32)}
"""

#: A layout of training sets: the name of an image is its caption.
TITLES = """
from dataset_assets.training.layout import Claim, file_sample
from dataset_assets.training.media import stem_of


class Layout:
    is_exclusive = False

    @staticmethod
    def claim(place):
        titled = [key for key in place.files if "_" in key and key.endswith(".jpg")]
        return Claim("names with underscores", frozenset(titled)) if titled else None

    @staticmethod
    def samples(place, options, left_out):
        for key in sorted(place.files):
            stem = stem_of(key)
            yield file_sample(place, key, stem, {"caption": stem.replace("_", " ")})
"""

PLUG_INS = {
    "input_format": {"pipes": PIPES},
    "output_format": {"lines": LINES},
    "store": {"shelf": SHELF},
    "staging_source": {"album": ALBUM},
    "split_source": {"objects": OBJECTS},
    "hub_target": {"mirror": MIRROR},
    "encoder": {"brightness": BRIGHTNESS},
    "training_layout": {"titles": TITLES},
    "stage": {"census": CENSUS},
}

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
