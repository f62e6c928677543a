"""Slots in Dagster's pools when runs are killed: freed at the next start, and waits are said."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest

from dataset_assets.orchestration.materialize import materialize_dataset
from dataset_assets.orchestration.pool_waits import say_waits
from dataset_assets.orchestration.run_locks import end_dead_runs, hold_run
from dataset_assets_tests.orchestration.graphs import PHOTOS, Graph

_POOL = "downloads"
_SLOW = PHOTOS.replace("timeout_s: 2", "timeout_s: 200")
_SCRIPT = """
from dataset_assets.orchestration.materialize import materialize_dataset
materialize_dataset("photos")
"""
_DAGSTER = ["-m", "dagster", "asset", "materialize", "-m", "dataset_assets.definitions"]
_DAGSTER += ["--select", "photos/shards", "--partition", "00000"]


@pytest.fixture
def home(tmp_path):
    """A DAGSTER_HOME with pools of one slot."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\nconcurrency: {pools: {granularity: op, default_limit: 1}}\n"
    )
    return folder


@pytest.fixture
def instance(home):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


def _holders(instance):
    return instance.event_log_storage.get_concurrency_info(_POOL).active_run_ids


def _kill_a_run(tmp_path, instance, command):
    """Start a run in a process of its own, and kill it when it has a slot."""
    variables = {
        "DATASET_ASSETS_ROOT": str(tmp_path / "data"),
        "DATASET_ASSETS_CATALOG": str(tmp_path / "catalog"),
        "DAGSTER_HOME": instance.root_directory,
    }
    process = subprocess.Popen(
        [sys.executable, *command],
        env=os.environ | variables,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 90
    try:
        while not _holders(instance):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return _holders(instance)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("command", [["-c", _SCRIPT], _DAGSTER], ids=["script", "dagster"])
def test_slot_of_a_killed_run_is_free_when_the_next_run_starts(tmp_path, instance, command):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        graph = Graph.make(tmp_path, port, instance, _SLOW, {"a": ["photos"] * 2})
        graph.plan()
        (killed,) = _kill_a_run(tmp_path, instance, command)
    done = materialize_dataset("photos", instance=instance, definitions=graph.definitions)
    assert done.success
    assert _holders(instance) == set()
    assert instance.get_run_by_id(killed).status == dg.DagsterRunStatus.CANCELED


def _take_slot(instance, status=dg.DagsterRunStatus.STARTED):
    run = instance.create_run_for_job(_job, status=status)
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default(_POOL)
    storage.claim_concurrency_slot(_POOL, run.run_id, "nothing")
    return run.run_id


@dg.job
def _job():
    pass


def test_slot_of_a_run_with_a_process_or_an_unknown_one_is_kept(instance):
    run = _take_slot(instance)
    assert end_dead_runs(instance) == []
    with hold_run(instance, run), hold_run(instance, run):
        assert end_dead_runs(instance) == []
    assert _holders(instance) == {run}
    assert end_dead_runs(instance) == [run]
    assert _holders(instance) == set()
    assert list((Path(instance.root_directory) / "dataset_assets_runs").iterdir()) == []


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS])
def test_slot_of_a_run_that_has_ended_is_free_and_its_status_is_kept(instance, status):
    run = _take_slot(instance, status)
    assert end_dead_runs(instance) == []
    assert _holders(instance) == set()
    assert instance.get_run_by_id(run).status == status


def test_wait_says_for_what_and_ends_when_the_holder_is_killed(instance):
    run = _take_slot(instance)
    waiting = instance.create_run_for_job(_job).run_id
    storage = instance.event_log_storage
    assert not storage.claim_concurrency_slot(_POOL, waiting, "photos__shards").is_claimed
    said = []
    with say_waits(instance, waiting, said.append, quiet_s=0.4):
        with hold_run(instance, run):
            _wait_until(lambda: said)
        _wait_until(lambda: waiting in storage.get_concurrency_info(_POOL).assigned_run_ids)
    (line,) = said
    assert line.startswith("photos__shards has waited ")
    assert f"pool {_POOL}, where 1 of 1 are taken: nothing of run {run}, STARTED" in line


def test_nothing_is_said_when_the_run_has_its_slot(instance):
    run = _take_slot(instance)
    said = []
    with say_waits(instance, run, said.append, quiet_s=0.2), hold_run(instance, run):
        time.sleep(0.6)
    assert said == []


def _wait_until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
