"""Plug-ins as another distribution has them: the source of one module for each role."""

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
