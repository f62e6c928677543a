"""Every input row is accounted for, whatever the answers: once, in its place, as a sample or with a
cause."""

import io
import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.pipelines.download.download_shards import download_shards
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.pipelines.download.plan_urls import plan_urls
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import ShardTask
from dataset_assets.shards.commits import read_manifest
from dataset_assets.storage.store import open_store
from dataset_assets.urls.lists import ListOptions
from dataset_assets_tests.end_to_end.conftest import jpeg
from dataset_assets_tests.support.http_server import HttpServer

#: What comes of an answer, by the path it is served under; None: a sample.
PATHS = {
    "/ok.jpg": None,
    "/other.jpg": None,
    "/moved": None,
    "/status/404": Cause.HTTP_NOT_FOUND,
    "/status/403": Cause.HTTP_FORBIDDEN,
    "/status/418": Cause.HTTP_CLIENT_ERROR,
    "/status/503": Cause.HTTP_SERVER_ERROR,
    "/page.html": Cause.NOT_IMAGE,
    "/half.jpg": Cause.DECODE_ERROR,
    "/small.jpg": Cause.IMAGE_TOO_SMALL,
    "/no.jpg": Cause.OPT_OUT,
    "/large.jpg": Cause.TOO_LARGE,
    "/fault/empty_body": Cause.EMPTY_BODY,
    "/fault/truncated": Cause.INCOMPLETE_BODY,
    "/fault/gzip_bomb": Cause.TOO_LARGE,
    "/fault/loop": Cause.TOO_MANY_REDIRECTS,
    "/fault/to_file": Cause.BLOCKED_SCHEME,
    "/fault/to_metadata": Cause.BLOCKED_ADDRESS,
}
URLS = {
    "": Cause.INVALID_URL,
    "no url": Cause.INVALID_URL,
    "ftp://127.0.0.1/a": Cause.BLOCKED_SCHEME,
    "http://127.0.0.1:25/a": Cause.BLOCKED_PORT,
    "http://169.254.169.254/a": Cause.BLOCKED_ADDRESS,
}
MAX_BYTES = 60_000


@dataclass(frozen=True)
class Mix:
    """A list, and how it is downloaded."""

    answers: list[str]
    samples_per_shard: int
    connections: int
    codec_threads: int
    reorder_bytes: int
    output_format: str


mixes = st.builds(
    Mix,
    answers=st.lists(st.sampled_from([*PATHS, *URLS]), min_size=1, max_size=24),
    samples_per_shard=st.integers(1, 9),
    connections=st.sampled_from([1, 3, 64]),
    codec_threads=st.sampled_from([0, 2]),
    reorder_bytes=st.sampled_from([0, 1 << 20]),  # 0: every early row is spilled
    output_format=st.sampled_from(["webdataset", "files", "parquet", "tfrecord", "dummy"]),
)


@pytest.fixture(scope="module")
def server():
    with HttpServer() as server:
        server.add("/ok.jpg", jpeg(1), content_type="image/jpeg")
        server.add("/other.jpg", jpeg(2), content_type="image/jpeg", delay_s=0.01)
        server.add("/moved", status=302, headers=[("Location", "/ok.jpg")])
        server.add("/page.html", b"<html>sorry</html>", content_type="text/html")
        server.add("/half.jpg", jpeg(3)[: len(jpeg(3)) // 2], content_type="image/jpeg")
        server.add("/small.jpg", small(), content_type="image/jpeg")
        server.add(
            "/no.jpg", jpeg(1), content_type="image/jpeg", headers=[("X-Robots-Tag", "noai")]
        )
        server.add("/large.jpg", jpeg(1) + bytes(MAX_BYTES), content_type="image/jpeg")
        yield server


def small() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (5, 9)).save(out, "JPEG")
    return out.getvalue()


def run(server, mix, folder):
    """Plan and download; return the results."""
    urls = [server.url(answer) if answer in PATHS else answer for answer in mix.answers]
    table = pa.table(
        {
            "url": urls,
            "caption": [f"caption {row}" for row in range(len(urls))],
            "number": range(len(urls)),
        }
    )
    plan_store, out = open_store(str(folder / "plan")), folder / "out"
    lists = ListOptions(caption_col="caption", save_additional_columns=("number",))
    plan = plan_urls(table, plan_store, lists, samples_per_shard=mix.samples_per_shard)
    fetch = FetchOptions(
        max_connections=mix.connections,
        timeout_s=5,
        max_bytes=MAX_BYTES,
        max_redirects=3,
        backoff_s=0.001,
        max_backoff_s=0.002,
        allow_private_networks=("127.0.0.0/8",),
    )
    options = DownloadOptions(
        image=ImageOptions(image_size=32, min_image_size=10),
        fetch=fetch,
        output_format=mix.output_format,
        samples_per_shard=mix.samples_per_shard,
        distributor="serial",
        codec_threads=mix.codec_threads,
        reorder_bytes=mix.reorder_bytes,
    )
    tasks = [ShardTask(shard, str(out)) for shard in range(plan.shard_count)]
    return list(download_shards(plan, plan_store, tasks, options))


def check(server, mix):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server.forget()
        results = run(server, mix, folder)
        assert [result.error for result in results] == [None] * len(results)
        records = sorted((result.record for result in results), key=lambda record: record.shard_id)
        assert [record.shard_id for record in records] == list(
            range(-(-len(mix.answers) // mix.samples_per_shard))
        )
        assert sum(record.requests for record in records) == server.requests
        for record in records:
            first = record.shard_id * mix.samples_per_shard
            check_shard(
                folder / "out",
                record,
                mix,
                range(first, min(first + mix.samples_per_shard, len(mix.answers))),
            )
        manifest = read_manifest(open_store(str(folder / "out")))
        causes = Counter(str(cause) for answer in mix.answers if (cause := expected(answer)))
        assert (manifest.rows, manifest.successes) == (
            len(mix.answers),
            len(mix.answers) - causes.total(),
        )
        assert manifest.causes == causes
        assert verify_set(open_store(str(folder / "out"))) == []
        server.forget()
        assert all(result.skipped for result in run(server, mix, folder))
        assert server.requests == 0


def expected(answer):
    return PATHS[answer] if answer in PATHS else URLS[answer]


def check_shard(out, record, mix, numbers):
    """Compare a shard with the answers to its rows."""
    causes = [expected(mix.answers[number]) for number in numbers]
    failed = [cause for cause in causes if cause is not None]
    statuses = Counter(cause.status for cause in failed)
    assert record.count == len(numbers)
    assert record.successes == len(numbers) - len(failed)
    assert record.causes == Counter(failed)
    assert (record.failed_to_download, record.failed_to_resize) == (
        statuses["failed_to_download"],
        statuses["failed_to_resize"],
    )
    assert sum(record.status_dict.values()) == len(numbers)
    assert record.status_dict.get("success", 0) == record.successes
    if mix.output_format == "dummy":
        return
    rows = pq.read_table(out / f"{record.name}.parquet").to_pylist()
    assert [row["number"] for row in rows] == list(numbers)
    assert [row["cause"] for row in rows] == causes
    assert Counter(row["error_message"] or "success" for row in rows) == record.status_dict
    assert [row["status"] for row in rows] == [
        "success" if cause is None else cause.status for cause in causes
    ]
    keys = [row["key"] for row in rows if row["cause"] is None]
    assert [row["sha256"] is not None for row in rows] == [cause is None for cause in causes]
    members = [f"{key}.{extension}" for key in keys for extension in ("jpg", "json", "txt")]
    if mix.output_format == "webdataset":
        with tarfile.open(out / f"{record.name}.tar") as tar:
            assert tar.getnames() == members
    elif mix.output_format == "files":
        assert sorted(path.name for path in out.glob(f"{record.name}/*")) == members
    elif mix.output_format == "parquet":
        assert [row["key"] for row in rows if row["jpg"] is not None] == keys


@given(mixes)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_row_is_counted_once_when_answers_are_mixed(server, mix):
    check(server, mix)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@given(mixes)
@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_row_is_counted_once_when_answers_are_mixed_at_length(server, mix):
    check(server, mix)


@pytest.mark.parametrize("output_format", ["webdataset", "files", "parquet", "tfrecord", "dummy"])
@pytest.mark.parametrize("codec_threads", [0, 2])
def test_every_row_is_counted_once_when_all_answers_come_at_the_same_time(
    server, output_format, codec_threads
):
    check(server, Mix([*PATHS, *URLS] * 3, 50, 64, codec_threads, 0, output_format))
