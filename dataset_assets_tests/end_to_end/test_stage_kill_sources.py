"""SIGKILL at random moments while each of the published datasets is staged.

The clean run after them ends with the bytes of an uninterrupted run.
"""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.stagings import folder_and_bucket, s3_server
from dataset_assets_tests.pipelines.zip_source import contents
from dataset_assets_tests.support.published_datasets import PUBLISHERS, PublishedDataset

ROOT = Path(__file__).parents[2]
KILLS = 6
#: After each image, so that there is time for the kill.
PAUSE_S = 0.02


def stage_slowly(text):
    """Stage as the JSON says. The killed process runs this."""
    said = json.loads(text)
    published = PublishedDataset(
        said["kind"], said["options"], (said["partition"],), secrets=said["secrets"]
    )
    published.stage(open_store(said["out"]), progress=lambda *_: time.sleep(PAUSE_S))


def start(published, out, environment):
    said = {
        "kind": published.kind,
        "options": published.options,
        "partition": published.partitions[0],
        "secrets": published.secrets,
        "out": out,
    }
    script = f"import sys; from {__name__} import stage_slowly; stage_slowly(sys.stdin.read())"
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    run.stdin.write(json.dumps(said).encode())
    run.stdin.close()
    return run


def wait_for_output(store, run):
    """Wait until a run has written something, or has ended."""
    before = len(list(store.list()))
    while run.poll() is None and len(list(store.list())) == before:
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("where", [0, 1], ids=["folder", "s3"])
@pytest.mark.parametrize("kind", PUBLISHERS)
def test_kills_at_random_moments_change_nothing_for_any_source(tmp_path, kind, where):
    moments = random.Random(f"{kind} {where}")
    with (
        s3_server(tmp_path / "s3") as environment,
        PUBLISHERS[kind](tmp_path / "published") as published,
    ):
        clean, store = (
            open_store(str(tmp_path / "clean")),
            folder_and_bucket(tmp_path, f"{kind}/staged/part")[where],
        )
        published.stage(clean)
        killed = 0
        while killed < KILLS:
            run = start(published, store.url, environment)
            wait_for_output(store, run)
            time.sleep(moments.uniform(0.0, 0.2))
            run.send_signal(signal.SIGKILL)
            said = run.stderr.read().decode()
            assert run.wait(60) in (0, -signal.SIGKILL), said
            killed += run.returncode != 0
            if run.returncode == 0:
                store.delete_tree("")
        run = start(published, store.url, environment)
        assert run.wait(60) == 0, run.stderr.read().decode()
        assert contents(store) == contents(clean)
        assert verify_set(store) == []
