"""What every layout promises: images and videos, in every kind of place, give the same samples.

A new one in `dataset_assets/training/layouts/` is tested once `LAYOUTS` writes it.
"""

from uuid import uuid4

import pytest

from dataset_assets import registry
from dataset_assets.storage.store import open_store
from dataset_assets.training.payloads import SampleReader
from dataset_assets.training.source import open_training_source
from dataset_assets_tests.support.hub_server import HubServer, in_process
from dataset_assets_tests.training.training_sets import (
    CAPTIONS,
    LAYOUTS,
    layout_files,
    payloads,
    write,
)


def _local(tmp_path, files):
    return write(tmp_path / "set", files)


def _filled(url, files):
    store = open_store(url)
    for key, data in files.items():
        store.write(key, data)
    return url


@pytest.fixture(params=["local", "memory", "s3", "hub"])
def place(request, tmp_path, monkeypatch):
    """Return a function that puts files somewhere and returns the URL."""
    if request.param == "local":
        yield lambda files: _local(tmp_path, files)
    elif request.param == "memory":
        yield lambda files: _filled(f"memory://{uuid4().hex}/set", files)
    elif request.param == "s3":
        server = request.getfixturevalue("moto")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        yield lambda files: _filled(f"s3://{server.bucket(uuid4().hex)}/set", files)
    else:
        with HubServer(tmp_path / "hub") as hub:
            in_process(monkeypatch, hub)
            yield lambda files: _published(hub, files)


def _published(hub, files):
    hub.create("org/set")
    hub.write("org/set", {**files, "README.md": b"# A set"})
    return "org/set"


def test_layouts_are_those_of_the_examples():
    assert set(registry.names("training_layout")) == set(LAYOUTS)


@pytest.mark.parametrize("medium", ["image", "video"])
@pytest.mark.parametrize("layout", registry.names("training_layout"))
def test_same_samples(place, layout, medium):
    source = open_training_source(place(layout_files(layout, medium)))
    assert (source.layout, source.medium) == (layout, medium)
    assert source.because
    assert source.skipped == {}
    reader = SampleReader()
    found = {}
    for sample in source.samples:
        data = reader.read(sample)
        with reader.open(sample) as opened:
            opened.seek(1)
            assert opened.read(9) == data[1:10]
        assert sample.medium == medium
        found[next(iter(sample.captions.values()))] = data
    expected = dict(zip(CAPTIONS.values(), payloads(medium).values(), strict=True))
    assert found == expected
    assert len({sample.key for sample in source.samples}) == len(CAPTIONS)
