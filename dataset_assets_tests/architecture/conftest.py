"""The folder that examples of the documentation run in."""

import json
import os
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataset_assets import Connect, download, publish, split
from dataset_assets.demo.lists import url_table
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets_tests.loaders.paired_images import CLASSES, DESCRIPTION, write_pairs
from dataset_assets_tests.loaders.staged_datasets import (
    stage_cityscapes,
    stage_coco,
    stage_imagenet,
)
from dataset_assets_tests.pipelines.sources import write_recordings
from dataset_assets_tests.support.s3_server import ACCESS_KEY, SECRET_KEY
from dataset_assets_tests.support.tiny_coco import write_coco

ROOT = Path(__file__).parents[2]
LIST_ROWS = slice(100, 220)  # after the slow ones
BUCKET = "imgml"
CREDENTIALS = """\
s3:
- name: store
  type: trainer
  address: {address}
  access key: {access_key}
  secret key: {secret_key}
  tls: false
  cert verify: false
  cert path: null
  sets:
    dataset: {{"bucket": "imgml", "prefix": "data", "dataset_filter": ""}}
"""


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
        "HOME": str(example_folder),
        "DAGSTER_HOME": str(example_folder / "dagster_home"),
        "DATASET_ASSETS_ROOT": str(example_folder / "data"),
        "DATASET_ASSETS_CATALOG": str(example_folder / "catalog"),
        "DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
        "HF_HOME": str(example_folder / "huggingface"),
    }


@pytest.fixture(scope="session")
def example_datasets(tmp_path_factory, photo_server, moto):
    """What examples start from, made once: shards, splits, publications, and datasets on S3."""
    folder = tmp_path_factory.mktemp("examples")
    urls = url_table(port=photo_server.port)[LIST_ROWS]
    download(
        urls,
        caption_col="caption",
        image_size=64,
        resize_mode="center_crop",
        output_format="webdataset",
        output_folder=str(folder / "shards"),
        distributor="serial",
        allow_private_networks=True,
    )
    split(str(folder / "shards"), str(folder / "splits"), group_by="sample")
    write_recordings(folder / "recordings", 6)
    split(str(folder / "recordings"), str(folder / "video-splits"), layout="frames")
    for source, repo in (("splits", "me/photos"), ("video-splits", "me/videos")):
        publish(str(folder / source), repo, root=str(folder / "published"), license="mit")
    moto.bucket(BUCKET)
    credentials = CREDENTIALS.format(
        address=moto.url.removeprefix("http://"), access_key=ACCESS_KEY, secret_key=SECRET_KEY
    )
    (folder / "creds.yaml").write_text(credentials)
    bucket = Connect(str(folder / "creds.yaml"))[0].store(BUCKET)
    for stage_one in (stage_coco, stage_cityscapes, stage_imagenet):
        archives = tmp_path_factory.mktemp("archives")
        stage_one(archives, bucket)
    write_pairs(bucket.child("data/lit"))
    bucket.write("data/lit/dataset.json", json.dumps(DESCRIPTION).encode())
    bucket.write("data/lit/classes.json", json.dumps(CLASSES).encode())
    return folder
