"""What `datasets` writes and reads is read alike: captions, payloads, splits."""

import io
import sys

import datasets
import pytest
from PIL import Image

from dataset_assets.errors import MissingDependency
from dataset_assets.hub.repository_url import repository_url
from dataset_assets.training.layout import SourceOptions
from dataset_assets.training.payloads import SampleReader
from dataset_assets.training.source import open_training_source
from dataset_assets_tests.support.hub_server import HubServer, in_process
from dataset_assets_tests.training.training_sets import (
    CAPTIONS,
    folder,
    payloads,
    webdataset,
    write,
)

TEXTS = list(CAPTIONS.values())


def _stored(medium):
    feature = datasets.Image() if medium == "image" else datasets.Video()
    features = datasets.Features({medium: feature, "prompt": datasets.Value("string")})
    rows = {medium: list(payloads(medium).values()), "prompt": TEXTS}
    return datasets.Dataset.from_dict(rows, features=features)


def _read(source):
    reader = SampleReader()
    return {next(iter(each.captions.values())): reader.read(each) for each in source.samples}


@pytest.mark.parametrize("medium", ["image", "video"])
def test_pushed_to_the_hub(tmp_path, monkeypatch, medium):
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)
        rows = _stored(medium)
        splits = {"train": rows.select(range(3)), "test": rows.select(range(3, 4))}
        datasets.DatasetDict(splits).push_to_hub("org/pushed")
        source = open_training_source("org/pushed")
        assert (source.layout, source.medium) == ("parquet", medium)
        expected = list(zip(TEXTS, payloads(medium).values(), strict=True))
        assert _read(source) == dict(expected[:3])
        source = open_training_source("org/pushed", SourceOptions(split="test"))
        assert _read(source) == dict(expected[3:])


def _decoded(row, column):
    return row[column].convert("RGB").tobytes()


def _pixels(data):
    return Image.open(io.BytesIO(data)).convert("RGB").tobytes()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_image_folders_are_read_alike(tmp_path, suffix):
    url = write(tmp_path / "set", folder("image", suffix))
    cache = str(tmp_path / "cache")
    rows = datasets.load_dataset("imagefolder", data_dir=url, split="train", cache_dir=cache)
    theirs = {row["caption"]: _decoded(row, "image") for row in rows}
    ours = {text: _pixels(data) for text, data in _read(open_training_source(url)).items()}
    assert ours == theirs


def test_tars_are_read_alike(tmp_path):
    url = write(tmp_path / "set", webdataset("image"))
    cache = str(tmp_path / "cache")
    rows = datasets.load_dataset(
        "webdataset", data_dir=url, split="train", streaming=True, cache_dir=cache
    )
    theirs = {row["txt"].strip(): _decoded(row, "jpg") for row in rows}
    ours = {text: _pixels(data) for text, data in _read(open_training_source(url)).items()}
    assert ours == theirs


def test_the_hub_needs_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependency, match=r"pip install 'dataset-assets\[hub\]'"):
        repository_url("org/set")
