"""The pipelines on S3: what they make is what they make in a folder."""

import hashlib
import json
import subprocess
import sys

import pytest

from dataset_assets import download
from dataset_assets.pipelines.split.open_source import open_source
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.versions import load_split
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.downloads import PARQUET


@pytest.fixture(params=["moto", "rclone"])
def place(request, monkeypatch, tmp_path):
    """A url in a bucket of its own, that this process and its children can use."""
    server = request.getfixturevalue(request.param)
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    bucket = server.bucket(f"end-to-end-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}")
    return f"s3://{bucket}/data"


def data_of(url):
    """Return the hash of every object but records and manifests, which hold times."""
    store = open_store(url)
    return {
        info.key: hashlib.sha256(store.read(info.key)).hexdigest()
        for info in store.list()
        if not info.key.endswith(".json")
    }


def test_download_makes_the_same_shards_and_fetches_nothing_twice(gallery, place):
    source, folder = gallery.list(25), str(gallery.folder / "out")
    options = {**PARQUET, "number_sample_per_shard": 10, "image_size": 64}
    assert download(source, output_folder=folder, **options).successes == 25
    assert download(source, output_folder=place, **options).successes == 25
    assert data_of(place) == data_of(folder)
    assert {key for key in data_of(place) if key.endswith(".tar")} == {
        "00000.tar",
        "00001.tar",
        "00002.tar",
    }
    gallery.server.forget()
    open_store(place).delete("00001_stats.json")
    download(source, output_folder=place, **options)
    assert sum(path.endswith(".jpg") for path in gallery.server.hits) == 10
    assert data_of(place) == data_of(folder)


def test_worker_processes_find_the_credentials_by_themselves(gallery, place):
    options = {
        **PARQUET,
        "number_sample_per_shard": 10,
        "distributor": "multiprocessing",
        "processes_count": 2,
    }
    arguments = json.dumps({"url_list": gallery.list(25), "output_folder": place, **options})
    program = f"import dataset_assets, json; dataset_assets.download(**json.loads({arguments!r}))"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert (
        download(
            gallery.list(25),
            output_folder=str(gallery.folder / "out"),
            **options | {"distributor": "serial"},
        ).successes
        == 25
    )
    assert data_of(place) == data_of(str(gallery.folder / "out"))


def test_split_is_the_same_when_source_and_target_are_on_s3(gallery, place):
    options = {**PARQUET, "number_sample_per_shard": 10, "image_size": 64}
    archives = ArchiveOptions(max_archive_bytes=20_000)
    here, there = str(gallery.folder / "out"), f"{place}/shards"
    for url in (here, there):
        download(gallery.list(30), output_folder=url, **options)
    expected = split_archives(
        open_source("auto", here), open_store(str(gallery.folder / "split")), archives=archives
    )
    target = open_store(f"{place}/split")
    assert (
        split_archives(open_source("auto", there), target, archives=archives).to_json()
        == expected.to_json()
    )
    assert split_archives(open_source("auto", there), target, archives=archives) == load_split(
        target
    )
    assert data_of(target.url) == data_of(str(gallery.folder / "split"))
    assert verify_split(target) == []
