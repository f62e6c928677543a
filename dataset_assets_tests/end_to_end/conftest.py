"""A gallery: a local server with small photographs, and lists of their urls."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_assets_tests.support.http_server import HttpServer


@cache
def jpeg(number: int) -> bytes:
    """Return a small image for this number, the same every time."""
    random = np.random.default_rng(number)
    height, width = (int(side) for side in random.integers(80, 200, 2))
    coarse = Image.fromarray(random.integers(0, 255, (6, 6, 3), np.uint8))
    out = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


@dataclass
class Gallery:
    server: HttpServer
    folder: Path

    def url(self, number: int) -> str:
        """Return the URL of an image, served from now on."""
        return self.server.add(f"/{number}.jpg", jpeg(number), content_type="image/jpeg")

    def table(
        self, rows: int, *, first: int = 0, missing: frozenset[int] = frozenset()
    ) -> pa.Table:
        """Return urls and captions; those in `missing` answer 404."""
        numbers = range(first, first + rows)
        urls = [self.server.url(f"/gone/{n}.jpg") if n in missing else self.url(n) for n in numbers]
        return pa.table(
            {
                "url": urls,
                "caption": [f"picture {n} – ünïcode" for n in numbers],
                "number": list(numbers),
            }
        )

    def list(self, rows: int, *, name: str = "urls.parquet", **options) -> str:
        """Write such a table; return its path."""
        path = self.folder / name
        pq.write_table(self.table(rows, **options), path)
        return str(path)


@pytest.fixture(autouse=True)
def _loopback_is_allowed(monkeypatch):
    monkeypatch.setenv("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8,::1/128")


@pytest.fixture
def gallery(tmp_path) -> Iterator[Gallery]:
    with HttpServer() as server:
        yield Gallery(server, tmp_path)


@pytest.fixture
def out(gallery):
    return gallery.folder / "out"
