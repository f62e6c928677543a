"""The four published datasets in small, served as their publishers do, and the stores that they are staged to."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dataset_assets.fetch.session import Session, SessionOptions
from dataset_assets.pipelines.stage.open_staging import open_staging
from dataset_assets.pipelines.stage.stage import StageOptions, StageReport, StoreAccess, stage
from dataset_assets.storage.embedded_s3 import EmbeddedS3
from dataset_assets.storage.store import Store, open_store
from dataset_assets_tests.support import tiny_cityscapes, tiny_coco, tiny_cvat, tiny_imagenet
from dataset_assets_tests.support.archive_server import ArchiveServer, CityscapesSite
from dataset_assets_tests.support.s3_server import MotoServer

PASSWORD = "a-password-that-nobody-may-see"
SECRETS = {"CITYSCAPES_USERNAME": "me", "CITYSCAPES_PASSWORD": PASSWORD}
SMALL = StageOptions(max_shard_samples=3, workers=2)
BUCKET = "data"
SERVERS = [
    "rclone",
    pytest.param(
        "moto", marks=pytest.mark.skipif(find_spec("moto") is None, reason="moto is not installed")
    ),
]


@dataclass
class Published:
    """A dataset as its publisher offers it."""

    kind: str
    options: dict[str, Any]
    partitions: tuple[str, ...]
    server: ArchiveServer | None = None
    archive: str = ""  # one that holds images of the first partition
    secrets: dict[str, str] = field(default_factory=dict)

    def stage(
        self,
        store: Store,
        partition: str | None = None,
        options: StageOptions = SMALL,
        **others: Any,
    ) -> StageReport:
        """Stage a partition, the first one by default."""
        access = StoreAccess(
            store,
            secret=self.secrets.get,
            session=Session(SessionOptions(backoff_s=0.01, max_backoff_s=0.05)),
        )
        return stage(
            open_staging(self.kind, self.options),
            store,
            options,
            partition=partition or self.partitions[0],
            access=access,
            **others,
        )


@contextmanager
def _coco(folder: Path) -> Iterator[Published]:
    tiny_coco.write_coco(folder, images=8, corrupt=True)
    with ArchiveServer(folder) as server:
        options = {
            "folder": server.url().rstrip("/"),
            "annotations": ["instances", "captions", "panoptic", "stuff"],
        }
        yield Published("coco", options, ("train2017", "val2017"), server, "train2017.zip")


@contextmanager
def _cityscapes(folder: Path) -> Iterator[Published]:
    folder.mkdir()
    tiny_cityscapes.write_cityscapes(folder)
    with CityscapesSite(folder, SECRETS["CITYSCAPES_USERNAME"], PASSWORD) as site:
        options = {"site": site.base_url, "partitions": ["train", "val", "train_extra"]}
        yield Published(
            "cityscapes",
            options,
            ("train", "val", "train_extra"),
            site,
            "leftImg8bit_trainvaltest.zip",
            SECRETS,
        )


@contextmanager
def _imagenet(folder: Path) -> Iterator[Published]:
    folder.mkdir()
    tiny_imagenet.write_imagenet(folder, kind="zip")
    with ArchiveServer(folder) as server:
        yield Published(
            "imagenet",
            {"path": server.url("imagenet.zip"), "torchvision_meta": False},
            ("train", "val"),
            server,
            "imagenet.zip",
        )


@contextmanager
def _cvat(folder: Path) -> Iterator[Published]:
    folder.mkdir()
    tiny_cvat.write_images(folder / "task.zip")
    tiny_cvat.write_coco(folder / "coco.zip")
    with ArchiveServer(folder) as server:
        yield Published(
            "cvat",
            {"exports": {"one": server.url("task.zip"), "two": server.url("coco.zip")}},
            ("one", "two"),
            server,
            "task.zip",
        )


PUBLISHERS: dict[str, Callable[[Path], Any]] = {
    "coco": _coco,
    "cityscapes": _cityscapes,
    "imagenet": _imagenet,
    "cvat": _cvat,
}


@contextmanager
def s3_server(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run an S3 server with an empty bucket; give the environment of its clients, which is set here too."""
    with (
        EmbeddedS3(folder) if name == "rclone" else MotoServer() as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        server.bucket(BUCKET)
        for variable, value in server.environment().items():
            patch.setenv(variable, value)
        yield dict(os.environ)


def folder_and_bucket(folder: Path, path: str) -> tuple[Store, Store]:
    """Return a place in a folder, and the same one in the bucket."""
    return open_store(f"{folder}/{path}"), open_store(f"s3://{BUCKET}/{path}")
