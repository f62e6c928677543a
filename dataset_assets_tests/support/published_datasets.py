"""Small copies of published datasets, served as by their publishers: one for each source."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset_assets.fetch.session import Session, SessionOptions
from dataset_assets.pipelines.stage.open_staging import open_staging
from dataset_assets.pipelines.stage.stage import StageOptions, StageReport, StoreAccess, stage
from dataset_assets.storage.store import Store
from dataset_assets_tests.support import tiny_cityscapes, tiny_coco, tiny_cvat, tiny_imagenet
from dataset_assets_tests.support.archive_server import ArchiveServer
from dataset_assets_tests.support.cityscapes_site import CityscapesSite

PASSWORD = "a-password-that-nobody-may-see"
SECRETS = {"CITYSCAPES_USERNAME": "me", "CITYSCAPES_PASSWORD": PASSWORD}
SMALL = StageOptions(max_shard_samples=3, workers=2)


@dataclass
class PublishedDataset:
    """A dataset as its publisher offers it."""

    kind: str
    options: dict[str, Any]
    partitions: tuple[str, ...]
    server: ArchiveServer | None = None
    archive: str = ""
    """One that holds images of the first partition."""
    secrets: dict[str, str] = field(default_factory=dict)

    def access(self, store: Store) -> StoreAccess:
        """Return access with the credentials of the dataset and short waits between retries."""
        session = Session(SessionOptions(backoff_s=0.01, max_backoff_s=0.05))
        return StoreAccess(store, secret=self.secrets.get, session=session)

    def stage(
        self,
        store: Store,
        partition: str | None = None,
        options: StageOptions = SMALL,
        **others: Any,
    ) -> StageReport:
        """Stage a partition, the first one by default."""
        return stage(
            open_staging(self.kind, self.options),
            store,
            options,
            partition=partition or self.partitions[0],
            access=self.access(store),
            **others,
        )


@contextmanager
def _coco(folder: Path) -> Iterator[PublishedDataset]:
    tiny_coco.write_coco(folder, images=8, corrupt=True)
    with ArchiveServer(folder) as server:
        options = {
            "folder": server.url().rstrip("/"),
            "annotations": ["instances", "captions", "panoptic", "stuff"],
        }
        partitions = ("train2017", "val2017")
        yield PublishedDataset("coco", options, partitions, server, "train2017.zip")


@contextmanager
def _cityscapes(folder: Path) -> Iterator[PublishedDataset]:
    folder.mkdir()
    tiny_cityscapes.write_cityscapes(folder)
    partitions = ("train", "val", "train_extra")
    with CityscapesSite(folder, SECRETS["CITYSCAPES_USERNAME"], PASSWORD) as site:
        options = {"site": site.base_url, "partitions": list(partitions)}
        archive = "leftImg8bit_trainvaltest.zip"
        yield PublishedDataset("cityscapes", options, partitions, site, archive, SECRETS)


@contextmanager
def _imagenet(folder: Path) -> Iterator[PublishedDataset]:
    folder.mkdir()
    tiny_imagenet.write_imagenet(folder, kind="zip")
    with ArchiveServer(folder) as server:
        options = {"path": server.url("imagenet.zip"), "torchvision_meta": False}
        yield PublishedDataset("imagenet", options, ("train", "val"), server, "imagenet.zip")


@contextmanager
def _cvat(folder: Path) -> Iterator[PublishedDataset]:
    folder.mkdir()
    tiny_cvat.write_images(folder / "task.zip")
    tiny_cvat.write_coco(folder / "coco.zip")
    with ArchiveServer(folder) as server:
        options = {"exports": {"one": server.url("task.zip"), "two": server.url("coco.zip")}}
        yield PublishedDataset("cvat", options, ("one", "two"), server, "task.zip")


#: Name of a staging source -> its dataset, written to a folder and served from there.
PUBLISHERS: dict[str, Callable[[Path], AbstractContextManager[PublishedDataset]]] = {
    "coco": _coco,
    "cityscapes": _cityscapes,
    "imagenet": _imagenet,
    "cvat": _cvat,
}
