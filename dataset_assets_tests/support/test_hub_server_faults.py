"""Faults of the Hub of the tests, as the real client sees them."""

import hashlib

import pytest
from huggingface_hub.errors import (
    HfHubHTTPError,
)
from huggingface_hub.utils import httpx

from dataset_assets_tests.support.hub_client import REPO, fill, read_into


def test_commit_is_there_when_only_its_answer_was_lost(lfs_hub, api):
    api.create_repo(REPO, repo_type="dataset")
    fault = lfs_hub.fault("POST", "/commit/", after=True)
    with pytest.raises(httpx.TransportError):
        fill(api, {"a.txt": b"x"})
    assert (fault.times, lfs_hub.read(REPO, "a.txt"), lfs_hub.log[-1]) == (
        0,
        b"x",
        ("POST", f"/api/datasets/{REPO}/commit/main", 0),
    )


@pytest.mark.parametrize(
    ("how", "error"), [({"status": 503}, HfHubHTTPError), ({"close": True}, httpx.TransportError)]
)
def test_commit_is_not_there_when_it_was_refused(lfs_hub, api, how, error):
    api.create_repo(REPO, repo_type="dataset")
    lfs_hub.fault("POST", "/commit/", **how)
    with pytest.raises(error):
        fill(api, {"a.txt": b"x"})
    assert len(lfs_hub.commits(REPO)) == 1


def test_client_tries_again_when_an_upload_fails_once(lfs_hub, api):
    lfs_hub.fault("PUT", "/lfs/", status=429, headers={"Retry-After": "0"})
    fill(api, {"a.parquet": b"abc"})
    assert [status for method, path, status in lfs_hub.log if method == "PUT"] == [429, 200]


@pytest.mark.parametrize("fin", [True, False], ids=["closed", "reset"])
def test_client_has_a_part_when_an_answer_is_cut(lfs_hub, api, fin):
    fill(api, {"a.parquet": b"x" * 100_000})
    lfs_hub.fault("GET", "/resolve/", cut_after=70_000, fin=fin)
    got = bytearray()
    with pytest.raises(httpx.RemoteProtocolError if fin else httpx.ReadError):
        read_into(got, f"{lfs_hub.url}/datasets/{REPO}/resolve/main/a.parquet")
    assert len(got) == 70_000
    rest = httpx.get(
        f"{lfs_hub.url}/datasets/{REPO}/resolve/main/a.parquet", headers={"Range": "bytes=70000-"}
    )
    assert (rest.status_code, len(rest.content), rest.headers["Content-Range"]) == (
        206,
        30_000,
        "bytes 70000-99999/100000",
    )
    past = httpx.get(
        f"{lfs_hub.url}/datasets/{REPO}/resolve/main/a.parquet", headers={"Range": "bytes=100000-"}
    )
    assert past.status_code == 416


def test_client_gives_up_when_the_hub_stalls(lfs_hub):
    lfs_hub.fault("GET", "/whoami", delay_s=60)
    with pytest.raises(httpx.TimeoutException):
        httpx.get(lfs_hub.url + "/api/whoami-v2", timeout=0.1)


def test_other_writer_comes_first_when_a_fault_acts(lfs_hub, api):
    head = fill(api, {"a.txt": b"1"}).oid
    lfs_hub.fault("POST", "/commit/", action=lambda: lfs_hub.write(REPO, {"other.txt": b"x"}))
    with pytest.raises(HfHubHTTPError, match="412"):
        fill(api, {"a.txt": b"2"}, parent_commit=head)
    assert [commit.title for commit in lfs_hub.commits(REPO)] == [
        "Someone else",
        "Publish",
        "initial commit",
    ]


def test_hash_is_another_when_a_file_was_tampered_with(lfs_hub, api):
    oid = fill(api, {"a.parquet": b"abc"}).oid
    lfs_hub.tamper(REPO, "a.parquet", b"abd")
    assert api.repo_info(REPO, repo_type="dataset").sha == oid
    (info,) = api.get_paths_info(REPO, ["a.parquet"], repo_type="dataset", revision=oid)
    assert info.lfs.sha256 == hashlib.sha256(b"abd").hexdigest()
