"""Hubs for the tests of the Hub of the tests, and the real client of one."""

import pytest
from huggingface_hub import HfApi

from dataset_assets_tests.support.hub_server import HubServer, in_process


@pytest.fixture(params=["lfs", "xet"])
def hub(request, tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub", xet=request.param == "xet", page_size=3) as server:
        yield in_process(monkeypatch, server)


@pytest.fixture
def lfs_hub(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub", page_size=3) as server:
        yield in_process(monkeypatch, server)


@pytest.fixture
def api(request):
    server = request.getfixturevalue("hub" if "hub" in request.fixturenames else "lfs_hub")
    return HfApi(endpoint=server.url, token=server.token)
