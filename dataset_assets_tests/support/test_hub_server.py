"""The Hub of the tests against the real clients."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    hf_hub_download,
    snapshot_download,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx

from dataset_assets_tests.support.hub_client import REPO, fill
from dataset_assets_tests.support.hub_server import HubServer, in_process


def write_tables(folder, rows: int = 10):
    (folder / "data").mkdir(parents=True)
    for index in range(2):
        table = pa.table(
            {
                "id": list(range(index * rows, (index + 1) * rows)),
                "noise": [os.urandom(50) for _ in range(rows)],
            }
        )
        pq.write_table(table, folder / "data" / f"train-0000{index}-of-00002.parquet")
    (folder / "README.md").write_text(
        "---\nlicense: mit\nconfigs:\n- config_name: default\n"
        "  data_files: data/train-*.parquet\n---\n# Numbers\n"
    )
    return folder


def digests(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_folder_comes_back_when_uploaded(hub, api, tmp_path):
    source = write_tables(tmp_path / "source")
    api.create_repo(REPO, repo_type="dataset")
    api.upload_folder(repo_id=REPO, repo_type="dataset", folder_path=source)
    assert {
        path: digest for path, digest in hub.files(REPO).items() if path != ".gitattributes"
    } == digests(source)
    assert (bool(hub.count("PUT", "/lfs/")), bool(hub.count("GET", "/xet-write-token/"))) == (
        not hub.xet,
        hub.xet,
    )
    hub.forget()
    snapshot_download(
        REPO,
        repo_type="dataset",
        token=hub.token,
        local_dir=tmp_path / "back",
        allow_patterns=["data/*", "README.md"],
    )
    assert {
        path: digest
        for path, digest in digests(tmp_path / "back").items()
        if not path.startswith(".cache")
    } == digests(source)
    assert bool(hub.count("GET", "/resolve/.*parquet")) != hub.xet
    assert bool(hub.count("GET", "/xet-read-token/")) == hub.xet


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "prepared"])
def test_dataset_loads_at_a_commit_when_published(hub, api, tmp_path, streaming):
    api.create_repo(REPO, repo_type="dataset", private=True)
    api.upload_folder(
        repo_id=REPO, repo_type="dataset", folder_path=write_tables(tmp_path / "source")
    )
    oid = hub.commits(REPO)[0].oid
    rows = datasets.load_dataset(
        REPO,
        split="train",
        revision=oid,
        streaming=streaming,
        token=hub.token,
        cache_dir=str(tmp_path / "cache"),
    )
    assert [row["id"] for row in rows] == list(range(20))


def test_file_system_lists_and_reads_ranges(hub, api):
    data = os.urandom(5000)
    fill(api, {"data/a.parquet": data, "data/b/c.txt": b"hello"})
    files = HfFileSystem(endpoint=hub.url, token=hub.token)
    assert sorted(files.find(f"datasets/{REPO}/data")) == [
        f"datasets/{REPO}/data/a.parquet",
        f"datasets/{REPO}/data/b/c.txt",
    ]
    with files.open(f"datasets/{REPO}/data/a.parquet", block_size=100) as file:
        file.seek(4321)
        assert file.read(100) == data[4321:4421]
    assert files.cat_file(f"datasets/{REPO}/data/a.parquet", start=-10) == data[-10:]


def test_content_is_sent_once_when_preuploaded(hub, api, tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(os.urandom(3000))
    api.create_repo(REPO, repo_type="dataset")
    api.preupload_lfs_files(REPO, [CommitOperationAdd("a.parquet", path)], repo_type="dataset")
    assert len(hub.commits(REPO)) == 1
    hub.forget()
    api.create_commit(
        REPO, [CommitOperationAdd("a.parquet", path)], commit_message="one", repo_type="dataset"
    )
    assert hub.count("PUT", "") == 0
    assert hub.read(REPO, "a.parquet") == path.read_bytes()


def test_nothing_is_committed_when_nothing_changed(hub, api, tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(os.urandom(3000))
    first = fill(api, {"a.txt": b"x", "a.parquet": path})
    again = fill(api, {"a.txt": b"x", "a.parquet": path})
    assert again.oid == first.oid
    assert [commit.title for commit in hub.commits(REPO)] == ["Publish", "initial commit"]


def test_listing_is_whole_when_it_has_many_pages(hub, api):
    oid = fill(
        api, {f"data/{i}/part.parquet": b"%d" % i for i in range(5)} | {"README.md": b"# x\n"}
    ).oid
    hub.forget()
    listed = {
        item.path: item
        for item in api.list_repo_tree(
            REPO, recursive=True, repo_type="dataset", revision=oid, expand=True
        )
    }
    assert hub.count("GET", "/tree/") == 5  # 13 entries
    assert sorted(listed) == sorted(
        [
            ".gitattributes",
            "README.md",
            "data",
            *(f"data/{i}{end}" for i in range(5) for end in ("", "/part.parquet")),
        ]
    )
    assert listed["data/3/part.parquet"].lfs.sha256 == hashlib.sha256(b"3").hexdigest()
    assert listed["README.md"].blob_id == hashlib.sha1(b"blob 4\0# x\n").hexdigest()
    assert [item.path for item in api.list_repo_tree(REPO, "data", repo_type="dataset")] == [
        f"data/{i}" for i in range(5)
    ]
    assert [
        item.path
        for item in api.get_paths_info(REPO, ["data/1", "README.md", "none"], repo_type="dataset")
    ] == ["data/1", "README.md"]
    assert len(api.list_repo_commits(REPO, repo_type="dataset")) == 2
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(REPO, "nothing", repo_type="dataset"))


def test_info_names_head_and_files(lfs_hub, api):
    oid = fill(api, {"a.parquet": b"abc", "b.txt": b"de"}).oid
    info = api.repo_info(REPO, repo_type="dataset", files_metadata=True)
    assert (info.sha, info.private) == (oid, False)
    assert {
        file.rfilename: (file.size, file.lfs and file.lfs.sha256)
        for file in info.siblings
        if file.rfilename != ".gitattributes"
    } == {
        "a.parquet": (3, hashlib.sha256(b"abc").hexdigest()),
        "b.txt": (2, None),
    }
    with pytest.raises(RevisionNotFoundError):
        api.repo_info(REPO, repo_type="dataset", revision="none")


def test_refs_are_made_and_unmade(lfs_hub, api):
    oid = fill(api, {"a.txt": b"1"}).oid
    api.create_tag(REPO, tag="v1.0", revision=oid, repo_type="dataset")
    api.create_branch(REPO, branch="staging/x", repo_type="dataset")
    api.create_commit(
        REPO,
        [CommitOperationAdd("a.txt", b"2")],
        commit_message="two",
        repo_type="dataset",
        revision="staging/x",
    )
    assert (
        lfs_hub.read(REPO, "a.txt"),
        lfs_hub.read(REPO, "a.txt", "staging/x"),
        lfs_hub.tags(REPO),
    ) == (b"1", b"2", {"v1.0": oid})
    refs = api.list_repo_refs(REPO, repo_type="dataset")
    assert ([tag.name for tag in refs.tags], sorted(branch.name for branch in refs.branches)) == (
        ["v1.0"],
        ["main", "staging/x"],
    )
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag(REPO, tag="v1.0", repo_type="dataset")
    api.create_tag(REPO, tag="v1.0", repo_type="dataset", exist_ok=True)
    api.delete_tag(REPO, tag="v1.0", repo_type="dataset")
    api.delete_branch(REPO, branch="staging/x", repo_type="dataset")
    assert (lfs_hub.tags(REPO), list(lfs_hub.branches(REPO))) == ({}, ["main"])


def test_files_and_folders_are_deleted(lfs_hub, api):
    fill(api, {"data/a.parquet": b"a", "data/b.parquet": b"b", "c.txt": b"c", "d.txt": b"d"})
    deletions = [CommitOperationDelete("data/"), CommitOperationDelete("c.txt")]
    api.create_commit(REPO, deletions, commit_message="prune", repo_type="dataset")
    assert list(lfs_hub.files(REPO)) == [".gitattributes", "d.txt"]


def test_commit_is_refused_when_its_parent_is_stale(lfs_hub, api):
    old = fill(api, {"a.txt": b"1"}).oid
    lfs_hub.write(REPO, {"other.txt": b"x"})
    with pytest.raises(HfHubHTTPError, match="(?s)412.*A commit has happened since"):
        fill(api, {"a.txt": b"2"}, parent_commit=old)
    assert lfs_hub.read(REPO, "a.txt") == b"1"


def test_large_file_goes_in_parts(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub", multipart_over=1 << 20) as server:
        in_process(monkeypatch, server)
        data = os.urandom((5 << 20) + 1)
        fill(
            HfApi(endpoint=server.url, token=server.token),
            {"a.parquet": data, "b.parquet": b"small"},
        )
        assert server.read(REPO, "a.parquet") == data
        assert (
            server.count("PUT", "/part/"),
            server.count("POST", "/complete"),
            server.count("POST", "/verify"),
        ) == (2, 1, 2)


def test_private_repository_is_hidden_when_not_signed_in(hub, api, tmp_path):
    fill(api, {"a.parquet": b"abc"}, private=True)
    assert hub.repositories() == {REPO: True}
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=hub.url, token=False).repo_info(REPO, repo_type="dataset")
    with pytest.raises(datasets.exceptions.DatasetNotFoundError):
        datasets.load_dataset(REPO, token=False)
    assert (
        Path(hf_hub_download(REPO, "a.parquet", repo_type="dataset", token=hub.token)).read_bytes()
        == b"abc"
    )


@pytest.mark.parametrize(("token", "status"), [("hf_bad", 401), ("hf_read", 403)])
def test_writing_is_refused_when_the_token_is_not_good(lfs_hub, token, status):
    api = HfApi(endpoint=lfs_hub.url, token=token)
    with pytest.raises(HfHubHTTPError) as refused:
        api.create_repo(REPO, repo_type="dataset")
    assert refused.value.response.status_code == status
    assert lfs_hub.repositories() == {}


def test_log_keeps_no_token_but_knows_of_it(lfs_hub, api):
    fill(api, {"a.parquet": b"abc"})
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=lfs_hub.url, token=False).repo_info("org/none", repo_type="dataset")
    assert lfs_hub.token not in str(lfs_hub.seen)
    assert lfs_hub.count("POST", "/commit/", signed=True) == 1
    assert [one.path for one in lfs_hub.seen if not one.signed] == [
        f"/lfs/{hashlib.sha256(b'abc').hexdigest()}",
        "/api/datasets/org/none",
    ]
    assert lfs_hub.leaks == []


def test_leak_is_seen_when_a_token_is_published(lfs_hub, api):
    fill(api, {"a.txt": b"x"})
    api.create_tag(REPO, tag="v1", tag_message=f"with {lfs_hub.token}", repo_type="dataset")
    assert lfs_hub.leaks == [f"POST /api/datasets/{REPO}/tag/main: body"]


PUBLISH = """
import sys
from huggingface_hub import HfApi
from datasets import load_dataset
api = HfApi()
api.create_repo("org/vids", repo_type="dataset")
commit = api.upload_folder(repo_id="org/vids", repo_type="dataset", folder_path=sys.argv[1])
rows = load_dataset("org/vids", split="train", streaming=True, revision=commit.oid)
print(sum(1 for row in rows))
"""


def test_other_process_publishes_when_given_the_environment(tmp_path):
    source = write_tables(tmp_path / "source")
    with HubServer(tmp_path / "hub", xet=True) as server:
        done = subprocess.run(
            [sys.executable, "-c", PUBLISH, str(source)],
            env=os.environ | server.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout.split()) == (0, ["20"]), done.stderr
        assert len(server.files(REPO)) == 4


def test_bug_in_the_hub_is_not_taken_for_an_answer(tmp_path):
    def ask_too_much():
        with HubServer(tmp_path / "hub") as server:
            server.create(REPO)
            assert (
                httpx.get(f"{server.url}/api/datasets/{REPO}/tree/main?cursor=x").status_code == 500
            )

    with pytest.raises(AssertionError, match="invalid literal for int"):
        ask_too_much()


def test_client_is_nobody_when_not_signed_in(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody")
    with HubServer(tmp_path / "hub") as server:
        in_process(monkeypatch, server, signed_in=False)
        server.create(REPO)
        HfApi().repo_info(REPO, repo_type="dataset")
        assert [one.signed for one in server.seen] == [False]
