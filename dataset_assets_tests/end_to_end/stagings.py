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
def s3_server(name: str, folder: Path) -> Iterator[dict[str, str]]:
    """Run an S3 server with an empty bucket.

    Yields the environment of its clients, which is set in this process too.
    """
    with (
        EmbeddedS3(folder) if name == "rclone" else MotoServer() as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        server.bucket(BUCKET)
        for variable, value in server.environment().items():
            patch.setenv(variable, value)
        yield dict(os.environ)


def folder_and_bucket(folder: Path, path: str) -> tuple[Store, Store]:
    """Return a place in a folder, and the same place in the bucket."""
    return open_store(f"{folder}/{path}"), open_store(f"s3://{BUCKET}/{path}")
