"""The stores that published datasets are staged to: a folder, and S3 servers with a bucket."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from dataset_assets.storage.embedded_s3 import EmbeddedS3
from dataset_assets.storage.store import Store, open_store
from dataset_assets_tests.support.s3_server import MotoServer

BUCKET = "data"
SERVERS = [
    "rclone",
    pytest.param(
        "moto", marks=pytest.mark.skipif(find_spec("moto") is None, reason="moto is not installed")
    ),
]


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """Run the embedded S3 server with an empty bucket; see `clients_of`."""
    with EmbeddedS3(folder) as server, clients_of(server) as environment:
        yield environment


@contextmanager
def clients_of(server: EmbeddedS3 | MotoServer) -> Iterator[dict[str, str]]:
    """Make the bucket; yield the environment of clients, which is set in this process too."""
    server.bucket(BUCKET)
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in server.environment().items():
            patch.setenv(variable, value)
        yield dict(os.environ)


def folder_and_bucket(folder: Path, path: str) -> tuple[Store, Store]:
    """Return a place in a folder, and the same place in the bucket."""
    return open_store(f"{folder}/{path}"), open_store(f"s3://{BUCKET}/{path}")
