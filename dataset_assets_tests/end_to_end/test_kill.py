"""SIGKILL at random moments, then one clean run.

Nothing is lost or fetched twice, and the bytes are those of an uninterrupted run.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.commits import list_records, read_manifest
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.downloads import files, sidecar

SHARDS, ROWS_PER_SHARD = 20, 25
ROWS = SHARDS * ROWS_PER_SHARD
MISSING = frozenset({7, 120, 333, 499})


def start(source: str, out: Path) -> subprocess.Popen:
    """Start a download in a process group of its own."""
    script = (
        "import signal\n"
        "from dataset_assets import download\n"
        # Processes that a shell starts in the background ignore SIGINT.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"download({source!r}, output_folder={str(out)!r}, input_format='parquet',\n"
        "         caption_col='caption', save_additional_columns=['number'],\n"
        f"         number_sample_per_shard={ROWS_PER_SHARD}, output_format='webdataset',\n"
        "         image_size=64, processes_count=2, thread_count=2)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def committed_urls(out: Path) -> set[str]:
    """Return the paths of all urls in committed shards."""
    return {
        f"/{row['url'].split('/', 3)[3]}"
        for record in list_records(open_store(str(out)))
        for row in sidecar(out, record.name)
    }


def slow_down(gallery, delay_s=0.02) -> None:
    """Make every answer take a moment, so that a download takes seconds."""
    for route in gallery.server.routes.values():
        route.delay_s = delay_s


@pytest.mark.parametrize("kills", [5, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.timeout(400)
def test_kills_at_random_moments_lose_nothing_and_repeat_nothing(gallery, kills):
    source = gallery.list(ROWS, missing=MISSING)
    clean, out = gallery.folder / "clean", gallery.folder / "out"
    started = time.monotonic()
    assert start(source, clean).wait(120) == 0
    slow_down(gallery)
    moments = random.Random(2026)
    span = time.monotonic() - started + ROWS * 0.02 / 4
    killed = Counter()
    while killed["in time"] < kills and killed["tries"] < 4 * kills:
        killed["tries"] += 1
        done = committed_urls(out) if out.exists() else set()
        gallery.server.forget()
        run = start(source, out)
        with_group = moments.random() < 0.7
        time.sleep(moments.uniform(0.3, 0.5 + span / 3))
        if run.poll() is None:
            killed["in time"] += 1
            os.killpg(run.pid, signal.SIGKILL) if with_group else run.kill()
        run.wait(30)
        again = done & set(gallery.server.hits)
        assert not again, f"fetched again although committed: {sorted(again)[:5]}"
        if len(list_records(open_store(str(out)))) == SHARDS:  # it is complete too soon: start over
            wait_for_orphans(run.pid)
            subprocess.run(["rm", "-r", str(out)], check=True)
    assert killed["in time"] == kills
    wait_for_orphans(run.pid)
    done = committed_urls(out) if out.exists() else set()
    gallery.server.forget()
    assert start(source, out).wait(120) == 0
    assert not done & set(gallery.server.hits)
    assert sum(gallery.server.hits.values()) == ROWS - len(done)
    assert files(out) == files(clean)
    store = open_store(str(out))
    assert verify_set(store) == []
    manifest = read_manifest(store)
    assert (manifest.rows, manifest.successes, manifest.causes) == (
        ROWS,
        ROWS - len(MISSING),
        {"http_not_found": len(MISSING)},
    )
    numbers = [row["number"] for record in list_records(store) for row in sidecar(out, record.name)]
    assert numbers == list(range(ROWS))


def wait_for_orphans(group: int) -> None:
    """Workers whose parent was killed end by themselves."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"processes of the killed run are still there after 10 s: group {group}")


def test_an_interrupted_run_stops_soon_and_leaves_no_open_shard(gallery):
    source = gallery.list(200)
    slow_down(
        gallery, 9
    )  # no answer comes before the run is interrupted, however busy this machine is
    out = gallery.folder / "out"
    run = start(source, out)
    deadline = time.monotonic() + 30
    while not gallery.server.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)  # what Ctrl-C does
    stopping = time.monotonic()
    assert run.wait(20) != 0
    assert time.monotonic() - stopping < 5
    wait_for_orphans(run.pid)
    assert not [path for path in out.glob("_tmp/*") if path.is_file()]
    slow_down(gallery, 0)
    assert start(source, out).wait(60) == 0
    assert verify_set(open_store(str(out))) == []
