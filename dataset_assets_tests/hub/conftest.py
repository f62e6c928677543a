import pytest

from dataset_assets.storage.store import open_store
from dataset_assets_tests.hub.publications import small_publication
from dataset_assets_tests.support.hub_server import HubServer, in_process


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub whose large files go through LFS. The environment and login files have no token."""
    with HubServer(tmp_path / "hub", page_size=50) as server:
        yield in_process(monkeypatch, server, signed_in=False)


@pytest.fixture(params=["lfs", "xet"])
def any_hub(request, tmp_path, monkeypatch):
    """One Hub for each way to upload large files."""
    with HubServer(tmp_path / "hub", page_size=10, xet=request.param == "xet") as server:
        yield in_process(monkeypatch, server, signed_in=False)


@pytest.fixture
def store(tmp_path):
    """The store with the files to publish."""
    return open_store(str(tmp_path / "split"))


@pytest.fixture
def files(store):
    return small_publication(store)
