"""The folder that examples of the documentation run in."""

import os
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataset_assets.demo.lists import url_table
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets_tests.support.tiny_coco import write_coco

ROOT = Path(__file__).parents[2]
LIST_ROWS = slice(100, 220)  # after the slow ones


@pytest.fixture(scope="session")
def photo_server():
    """The photo server of the demo, on a free port."""
    with PhotoServer(port=0) as running:
        yield running


@pytest.fixture
def example_folder(tmp_path, photo_server):
    """A folder with `urls.parquet`, `lists/`, a tiny COCO in `archives/`, and `workspace.yaml`."""
    rows = url_table(port=photo_server.port)[LIST_ROWS]
    pq.write_table(rows, tmp_path / "urls.parquet")
    for name in ("lists", "dagster_home"):
        (tmp_path / name).mkdir()
    shutil.copy(tmp_path / "urls.parquet", tmp_path / "lists")
    shutil.copy(ROOT / "dagster.yaml", tmp_path / "dagster_home")
    shutil.copy(ROOT / "workspace.yaml", tmp_path)
    write_coco(tmp_path / "archives")
    return tmp_path


@pytest.fixture
def example_environment(example_folder):
    """The environment of examples: the programs are on the path, all data stays in the folder."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(example_folder / "dagster_home"),
        "DATASET_ASSETS_ROOT": str(example_folder / "data"),
        "DATASET_ASSETS_CATALOG": str(example_folder / "catalog"),
        "DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
        "HF_HOME": str(example_folder / "huggingface"),
    }
