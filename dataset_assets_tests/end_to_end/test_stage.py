"""All sources staged end to end: to a folder and to S3, and over connections that break."""

import logging
import os
from pathlib import Path

import pytest

from dataset_assets.errors import LoginRefused, NotRedistributable
from dataset_assets.hub.targets import directory
from dataset_assets.pipelines.publish.publish import PublishOptions, plan_publication, publish_split
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.sources import shards
from dataset_assets.splits.versions import load_split
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.stagings import (
    SERVERS,
    clients_of,
    folder_and_bucket,
    s3_server,
)
from dataset_assets_tests.pipelines.zip_source import contents
from dataset_assets_tests.support.published_datasets import PASSWORD, PUBLISHERS, SMALL


@pytest.fixture(params=PUBLISHERS)
def published(request, tmp_path):
    with PUBLISHERS[request.param](tmp_path / "published") as found:
        yield found


@pytest.mark.parametrize("server", SERVERS)
def test_manifests_on_a_folder_and_on_s3_are_equal(tmp_path, request, published, server):
    with clients_of(request.getfixturevalue(server)):
        for partition in published.partitions:
            stores = folder_and_bucket(tmp_path / "out", f"{published.kind}/staged/{partition}")
            for store in stores:
                report = published.stage(store, partition)
                assert report.manifest.successes > 0
                assert verify_set(store) == []
            first, second = (contents(store) for store in stores)
            assert first == second
            assert published.stage(stores[1], partition).made == 0


def test_nothing_changes_when_connections_break(tmp_path, published):
    clean, cut = (open_store(str(tmp_path / name)) for name in ("clean", "cut"))
    published.stage(clean)
    for offset in (700, 2000, 3500):
        published.server.cut_after(published.archive, offset, times=2)
    published.server.status(published.archive, 503, times=2)
    published.server.corrupt(published.archive, 400)  # of the header of a member, or its data
    published.stage(cut)
    assert contents(cut) == contents(clean)


def disk_in_use(store) -> int:
    """Return the bytes of uncommitted files, and of deleted ones that this process has open."""
    staged = (
        sum(path.stat().st_size for path in Path(store.url).glob("_tmp/*"))
        if Path(store.url).is_dir()
        else 0
    )
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if str(descriptor.readlink()).endswith("(deleted)"):
                staged += os.stat(descriptor).st_size
        except FileNotFoundError:
            continue
    return staged


@pytest.mark.parametrize("where", [0, 1], ids=["folder", "s3"])
def test_disk_in_use_stays_under_a_shard_and_a_member(tmp_path, published, where):
    with s3_server(tmp_path / "s3"):
        store = folder_and_bucket(tmp_path / "out", "staged/train")[where]
        used = []
        before = disk_in_use(store)
        manifest = published.stage(
            store, progress=lambda done, total: used.append(disk_in_use(store) - before)
        ).manifest
    shard = max(sum(file.bytes for file in record.files) for record in manifest.shards)
    member = max((file.bytes for file in manifest.extra_files), default=0)
    assert len(used) == manifest.rows
    assert max(used) <= shard + member


def test_a_wrong_password_is_one_clear_error_without_it(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with PUBLISHERS["cityscapes"](tmp_path / "published") as published:
        published.secrets = {**published.secrets, "CITYSCAPES_PASSWORD": "wrong-" + PASSWORD}
        with pytest.raises(LoginRefused) as refused:
            published.stage(open_store(str(tmp_path / "out")))
    assert PASSWORD not in f"{refused.value} {refused.getrepr(showlocals=False)} {caplog.text}"
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def test_data_whose_license_forbids_it_is_not_published(tmp_path, published):
    store, split = open_store(str(tmp_path / "staged")), open_store(str(tmp_path / "split"))
    published.stage(store, options=SMALL)
    source = shards.SplitSource([store])
    split_archives(source, split, SplitOptions(ratios={"train": 0.5, "test": 0.5}))
    target = directory.HubTarget(str(tmp_path / "hub"), "me/data")
    if published.kind in ("cityscapes", "imagenet"):
        assert load_split(split).options["redistributable"] is False
        for publish_or_plan in (plan_publication, publish_split):
            with pytest.raises(NotRedistributable, match=r"license|terms"):
                publish_or_plan(split, target, PublishOptions(license="other"))
        assert not (tmp_path / "hub").exists()
    else:
        assert "redistributable" not in load_split(split).options
        assert publish_split(split, target, PublishOptions(license="other")).changed
        assert not {
            name
            for name in load_split(split).columns
            if name.endswith(("_offset", "_bytes")) and name != "archive_offset"
        }
