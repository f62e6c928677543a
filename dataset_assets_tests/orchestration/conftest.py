import logging

import dagster as dg
import pytest

from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets_tests.orchestration.graphs import Graph


@pytest.fixture(autouse=True)
def _without_debug_lines(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture(scope="package")
def photo_server():
    with PhotoServer(port=0) as server:
        yield server


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def graph(tmp_path, photo_server, instance):
    """The dataset, before its first run."""
    return Graph.make(tmp_path, photo_server.port, instance)


@pytest.fixture(scope="module")
def made(tmp_path_factory, photo_server):
    """The dataset, planned and made in one run; tests only look at it."""
    with dg.DagsterInstance.ephemeral() as instance:
        graph = Graph.make(tmp_path_factory.mktemp("made"), photo_server.port, instance)
        graph.runs += [graph.plan(), graph.make_shards("00000", "00003")]
        yield graph
