"""Clients and processes.

`test_a_client_that_crosses_a_fork...` shows the wrong bytes that the other tests must not find.
"""

import multiprocessing
import os
import pickle
import threading
import time
from collections import Counter

import boto3
import pytest
from botocore.config import Config

from dataset_assets.errors import CredentialsRefused
from dataset_assets.storage.s3 import client as _s3_client
from dataset_assets.storage.s3.client import client
from dataset_assets.storage.s3.credentials import S3Credentials
from dataset_assets.storage.stores.s3 import Store
from dataset_assets_tests.support.s3_faults import FaultyS3

OBJECTS = 50
WORKERS = 8
READS = 50  # of each worker: a client that crosses a fork has read wrong bytes by then


def content(number, size):
    return b"%08d" % number * (size // 8)


@pytest.fixture(scope="module")
def server():
    with FaultyS3() as server:
        yield server


def filled(server, size):
    for number in range(OBJECTS):
        server.put(f"data/{number}", content(number, size))
    return size


def read_all(read, size, worker, reads, results):
    """Read `reads` objects in the worker's own order; send how many were right, wrong or failed."""
    counts = Counter()
    for step in range(reads):
        number = (worker * 7 + step * 13) % OBJECTS
        try:
            counts["right" if read(str(number)) == content(number, size) else "wrong"] += 1
        except Exception as exc:
            counts[f"error: {type(exc).__name__}"] += 1
            if counts.total() - counts["right"] >= 5:
                break
    results.put(counts)


class SharedClient:
    """What a program without care does: a client of the parent, used in its children."""

    def __init__(self, credentials):
        keys = {
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
        }
        config = Config(
            s3={"addressing_style": "path"}, read_timeout=2, retries={"total_max_attempts": 1}
        )
        self._client = boto3.client(
            "s3",
            endpoint_url=credentials.endpoint_url,
            region_name="us-east-1",
            config=config,
            **keys,
        )

    def read(self, key):
        return self._client.get_object(Bucket="data", Key=key)["Body"].read()


def run_workers(context, read, size, reads, number=WORKERS):
    results = context.SimpleQueue()
    workers = [
        context.Process(target=read_all, args=(read, size, worker, reads, results))
        for worker in range(number)
    ]
    for worker in workers:
        worker.start()
    counts = Counter()
    for _ in workers:
        counts += results.get()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    return counts


@pytest.mark.parametrize("reads", [READS, pytest.param(1250, marks=pytest.mark.slow)])
def test_no_bytes_are_wrong_when_forked_workers_use_what_the_parent_used(server, reads):
    size = filled(server, 4096)
    store = Store("s3://data", server.credentials)
    assert store.read("0") == content(0, size)
    counts = run_workers(multiprocessing.get_context("fork"), store.read, size, reads)
    assert counts == {"right": WORKERS * reads}
    assert store.read("1") == content(1, size)


def test_a_client_that_crosses_a_fork_does_harm_so_that_the_test_above_can_fail(server):
    size = filled(server, 4096)
    shared = SharedClient(server.credentials)
    assert shared.read("0") == content(0, size)
    counts = Counter()
    for _ in range(5):
        counts += run_workers(multiprocessing.get_context("fork"), shared.read, size, READS)
        if counts["wrong"]:
            return
    pytest.fail(f"the server, or the reading, cannot show the fault: {counts}")


@pytest.mark.slow
def test_no_bytes_are_wrong_when_forked_workers_read_large_objects(server):
    size = filled(server, 300_000)
    store = Store("s3://data", server.credentials)
    store.read("0")
    assert run_workers(
        multiprocessing.get_context("fork"), store.read, size, 10_000 // WORKERS
    ) == {"right": 10_000}


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_no_bytes_are_wrong_when_workers_get_the_store_by_pickle(server, method):
    size = filled(server, 4096)
    store = Store("s3://data", server.credentials)
    store.read("0")
    context = multiprocessing.get_context(method)
    assert run_workers(context, store.read, size, 25, number=2) == {"right": 50}


def test_open_file_goes_on_by_itself_when_the_process_forks(server):
    server.put("data/big", content(1, 4_000_000))
    expected = content(1, 4_000_000)
    store = Store("s3://data", server.credentials)
    with store.open_read("big") as file:
        assert file.read(1000) == expected[:1000]
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.read(reader, 1)
            os._exit(0 if file.read() == expected[1000:] else 1)
        assert file.read(2_000_000) == expected[1000:2_001_000]
        os.write(writer, b"x")
        assert os.waitpid(child, 0) == (child, 0)
        assert file.read() == expected[2_001_000:]


def test_child_gets_a_client_when_a_thread_of_the_parent_holds_the_lock(server):
    credentials = S3Credentials(
        source="lock", endpoint_url=server.url, access_key="AKIALOCK", secret_key="secret"
    )
    with _s3_client._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if client(credentials).meta.service_model.service_name == "s3" else 1)
        end = time.monotonic() + 20
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
            time.sleep(0.01)
        if done == (0, 0):
            os.kill(child, 9)
            os.waitpid(child, 0)
    assert done == (child, 0)


def test_client_is_one_per_process_and_credentials_when_threads_ask(server):
    credentials = S3Credentials(
        source="threads", endpoint_url=server.url, access_key="AKIATHREADS", secret_key="secret"
    )
    found = []
    threads = [threading.Thread(target=lambda: found.append(client(credentials))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert client(server.credentials) is not found[0]


def test_client_is_set_up_for_servers_other_than_aws(server):
    config = client(server.credentials).meta.config
    assert config.s3["addressing_style"] == "path"
    assert config.signature_version == "s3v4"
    assert config.retries == {"mode": "standard", "total_max_attempts": 10}
    assert (config.request_checksum_calculation, config.response_checksum_validation) == (
        "when_required",
        "when_required",
    )
    assert (
        client(S3Credentials(source="aws", region="eu-west-1")).meta.config.s3["addressing_style"]
        == "auto"
    )


def test_missing_credentials_say_where_they_were_looked_for(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_S3"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(
        CredentialsRefused,
        match=r"no usable credentials \(NoCredentialsError; looked for boto3's own chain.*"
        "AWS_ACCESS_KEY_ID",
    ):
        Store("s3://data").read("a")


def test_pickled_store_holds_credentials_and_no_client(server):
    store = Store("s3://data/below", server.credentials)
    store.info("a")
    copy = pickle.loads(pickle.dumps(store))
    assert copy._bucket.credentials == server.credentials
    assert not any(
        "client" in type(value).__module__ and type(value).__name__ == "S3"
        for value in vars(copy._bucket).values()
    )
    assert "faulty-secret-key" not in repr(store) + repr(vars(store)) + repr(vars(store._bucket))
