"""A backfill by a real daemon and web server writes the same bytes as a run in this process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import dagster as dg
import pytest

from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets_tests.end_to_end.test_graph_cli import LISTS, ROOT
from dataset_assets_tests.orchestration.graphs import PHOTOS, Graph, files_of
from dataset_assets_tests.orchestration.yaml_datasets import load

TEXT = PHOTOS.replace("distributor: serial", "distributor: multiprocessing")
TIMEOUT_S = 240
_LAUNCH = """
mutation Launch($parameters: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $parameters) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
_STATUS = """
query Status($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""


@contextmanager
def dagster_dev(folder):
    """Run `dagster dev` with the datasets of a folder; yield a function that asks its GraphQL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DATASET_ASSETS_CATALOG": str(folder / "catalog"),
        "DATASET_ASSETS_ROOT": str(folder / "data"),
    }
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-w",
        "workspace.yaml",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored in the background of a shell, and Dagster would ignore SIGTERM with it
    with (folder / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def ask(query, **variables):
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    try:
        yield ask
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(condition):
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            found = condition()
        except OSError:  # not up yet
            found = None
        if found:
            return found
        time.sleep(1)
    raise TimeoutError(condition)


@pytest.mark.slow
@pytest.mark.timeout(3 * TIMEOUT_S)
def test_shards_have_the_same_bytes_when_a_backfill_makes_them(tmp_path):
    with PhotoServer(port=0) as server, dg.DagsterInstance.ephemeral() as instance:
        expected = Graph.make(tmp_path / "expected", server.port, instance, PHOTOS, LISTS)
        expected.plan()
        assert expected.make_shards(expected.keys[0], expected.keys[-1]).success

        (tmp_path / "backfill").mkdir()
        Graph.make(tmp_path / "backfill", server.port, instance, TEXT, expected.root / "lists")
        with dagster_dev(tmp_path / "backfill") as ask:
            _wait(lambda: ask("{ version }"))
            with dg.DagsterInstance.from_config(str(tmp_path / "backfill" / "dagster")) as recorded:
                _plan(recorded, tmp_path / "backfill")
                keys = recorded.get_dynamic_partitions("photos__shards")
                selection = {
                    "assetSelection": [{"path": ["photos", "shards"]}],
                    "partitionNames": keys,
                }
                launched = ask(_LAUNCH, parameters=selection)["launchPartitionBackfill"]
                assert launched["__typename"] == "LaunchBackfillSuccess", launched
                status = _wait(lambda: _finished(ask(_STATUS, id=launched["backfillId"])))
                assert status == "COMPLETED_SUCCESS", (
                    tmp_path / "backfill" / "dev.log"
                ).read_text()
                runs = recorded.get_runs(
                    dg.RunsFilter(tags={"dagster/backfill": launched["backfillId"]})
                )
                assert len(runs) == 2  # two partitions to a run
                assert recorded.get_materialized_partitions(
                    dg.AssetKey(["photos", "shards"])
                ) == set(keys)
    made = files_of(tmp_path / "backfill" / "data" / "photos" / "shards")
    assert made == files_of(expected.root / "photos" / "shards")


def _finished(answer):
    status = answer["partitionBackfillOrError"]["status"]
    return status if status.startswith(("COMPLETED", "FAILED", "CANCELED")) else None


def _plan(recorded, folder):
    job = load(folder / "catalog", folder / "data").resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(
        instance=recorded, asset_selection=[dg.AssetKey(["photos", "raw_urls"])]
    ).success
