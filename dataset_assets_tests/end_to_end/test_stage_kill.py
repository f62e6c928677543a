"""SIGKILL at random moments while COCO is staged over HTTP, then one clean run.

The result has the bytes of an uninterrupted run, and nothing is downloaded twice.
"""

import json
import os
import random
import re
import signal
import time
import zipfile

import pytest

from dataset_assets.fetch.ranges import RangeOptions
from dataset_assets.pipelines.stage.open_staging import open_staging
from dataset_assets.pipelines.stage.stage import StageOptions, StoreAccess, stage
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.commits import list_records
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.stagings import folder_and_bucket, s3_server
from dataset_assets_tests.pipelines.zip_source import contents
from dataset_assets_tests.support.archive_server import ArchiveServer
from dataset_assets_tests.support.tiny_coco import write_coco

IMAGES, PER_SHARD = 200, 10
ARCHIVE, ANNOTATIONS = "train2017.zip", "annotations_trainval2017.zip"
BYTES_PER_S = 3_000_000
#: Read at the start of an archive to learn its size and kind.
PROBE = 1 << 16
#: Read of an archive to know its members.
DIRECTORY = 2 * PROBE + 1000
#: Bytes after each image, so that images are most of the archive.
PADDING = 40_000
#: A gap up to this size is read rather than skipped with a new request.
GAP = (1 << 20) + PROBE
#: Never read on where a new request would do: what is downloaded is what is needed.
RANGES = RangeOptions(first_bytes=PROBE, buffer_bytes=PROBE, skip_bytes=0)


def stage_coco(server_url, out):
    source = open_staging("coco", {"folder": server_url, "partitions": ["train2017"]})
    store = open_store(out)
    options, access = (
        StageOptions(max_shard_samples=PER_SHARD, workers=2),
        StoreAccess(store, ranges=RANGES),
    )
    return stage(source, store, options, partition="train2017", access=access)


def publish_coco(folder):
    """Write the archives, with large images."""
    write_coco(folder, images=IMAGES)
    with (
        zipfile.ZipFile(folder / ARCHIVE) as small,
        zipfile.ZipFile(folder / "large.zip", "w") as large,
    ):
        for info in small.infolist():
            large.writestr(
                zipfile.ZipInfo(info.filename),
                b"" if info.is_dir() else small.read(info) + bytes(PADDING),
            )
    (folder / "large.zip").replace(folder / ARCHIVE)


def start(python, server, out, environment):
    """Stage in another process."""
    script = f"from {__name__} import stage_coco; stage_coco({server.url().rstrip('/')!r}, {out!r})"
    return python.start("-c", script, env=environment)


def members(archive):
    """Return the offset of each image, in archive order, and that of the directory."""
    with zipfile.ZipFile(archive) as opened:
        infos = sorted(
            (info for info in opened.infolist() if not info.is_dir()),
            key=lambda info: info.header_offset,
        )
        starts = [info.header_offset for info in infos]
        return starts, opened.start_dir


def read_again(server, done_rows):
    """List the requested ranges that have images of earlier runs."""
    starts, directory = members(server.folder / ARCHIVE)
    first = starts[done_rows] if done_rows < len(starts) else directory
    found = []
    for text in server.ranges(ARCHIVE):
        begin, end = re.fullmatch(r"bytes=(\d+)-(\d*)", text or "bytes=0-").groups()
        if int(begin) < first - GAP and not (begin == "0" and end and int(end) < PROBE):
            found.append(text)
    return found


def wait_for_shards(store, run, count):
    """Wait until so many shards are committed, or the run has ended."""
    deadline = time.monotonic() + 60
    while len(list_records(store)) < count and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def all_kept(store):
    kept = store.size("annotations/kept.json") and json.loads(store.read("annotations/kept.json"))
    return bool(kept) and len(kept) == 3  # instances, captions, key points


@pytest.mark.parametrize("where", [0, 1], ids=["folder", "s3"])
@pytest.mark.parametrize("kills", [4, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(
    tmp_path, warm_python, kills, where
):
    publish_coco(tmp_path / "published")
    moments = random.Random(2026 + where)
    with (
        s3_server(tmp_path / "s3") as environment,
        ArchiveServer(tmp_path / "published") as server,
    ):
        clean = open_store(str(tmp_path / "clean"))
        stage_coco(server.url().rstrip("/"), clean.url)
        store = folder_and_bucket(tmp_path, "coco/staged/train2017")[where]
        server.slow(ARCHIVE, BYTES_PER_S)
        killed, most_done = 0, 0
        while killed < kills:
            server.forget()
            done = sum(record.count for record in list_records(store))
            kept, most_done = all_kept(store), max(most_done, done)
            run = start(warm_python, server, store.url, environment)
            wait_for_shards(store, run, len(list_records(store)) + moments.choice((0, 1, 1, 4)))
            time.sleep(moments.uniform(0.0, 0.5))
            if run.poll() is None:
                os.kill(run.pid, signal.SIGKILL)
                killed += 1
            assert run.wait(60) in (0, -signal.SIGKILL), run.output()
            assert read_again(server, done) == []
            assert not kept or server.bytes_sent(ANNOTATIONS) <= DIRECTORY
            if run.returncode == 0:
                store.delete_tree("")
        server.heal()
        server.forget()
        done = sum(record.count for record in list_records(store))
        run = start(warm_python, server, store.url, environment)
        assert run.wait(60) == 0, run.output()
        assert read_again(server, done) == []
        starts, _ = members(server.folder / ARCHIVE)
        size = (server.folder / ARCHIVE).stat().st_size
        assert most_done > 0
        assert server.bytes_sent(ARCHIVE) <= GAP + 3 * PROBE + size - (
            starts[done] if done < IMAGES else size
        )
        assert contents(store) == contents(clean)
        assert verify_set(store) == []
        assert list((tmp_path / "coco").rglob("_*")) == []
