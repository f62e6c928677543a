"""From a split to a dataset that is loaded back, at both kinds of targets."""

import io
import json
from dataclasses import replace

import datasets
import huggingface_hub
import numpy as np
import pytest
from PIL import Image

from dataset_assets.errors import ConfigurationError, HubError, ObjectMissing
from dataset_assets.hub.retry import RetryOptions
from dataset_assets.hub.targets import directory, huggingface
from dataset_assets.pipelines.publish.publish import (
    PublishOptions,
    plan_publication,
    publication_files,
    publish_split,
)
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.publication import verify_publication
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.sources.recordings import SplitSource
from dataset_assets.splits.versions import load_split
from dataset_assets.storage.store import open_store
from dataset_assets_tests.hub.small_publication import REPO, SPLITS, write_recordings
from dataset_assets_tests.support.hub_server import HubServer, in_process

OPTIONS = PublishOptions(license="cc-by-4.0", pretty_name="Small videos", tags=("video",))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    return folder, write_recordings(folder)


@pytest.fixture
def split_store(recordings, tmp_path):
    return _split(recordings, tmp_path / "split")


def _split(recordings, folder, *, seed=42, **archives):
    store = open_store(str(folder))
    source = SplitSource(open_store(str(recordings[0])))
    options = ArchiveOptions(max_archive_bytes=60_000, max_table_bytes=60_000, **archives)
    split_archives(source, store, SplitOptions(seed=seed), options)
    return store


@pytest.fixture(params=["directory", "lfs", "xet"])
def target(request, tmp_path, monkeypatch):
    if request.param == "directory":
        yield directory.HubTarget(str(tmp_path / "published"), REPO)
        return
    with HubServer(tmp_path / "hub", xet=request.param == "xet") as hub:
        in_process(monkeypatch, hub, signed_in=False)
        yield huggingface.HubTarget(REPO, token=hub.token, retry=RetryOptions(first_delay_s=0.01))


def _files(split_store, options=OPTIONS):
    return publication_files(split_store, load_split(split_store), REPO, options)


def _rows(target, revision, cache, **options):
    where = target.load_options(revision)
    return datasets.load_dataset(
        target.load_path(revision), cache_dir=str(cache), **where, **options
    )


def test_rows_are_those_of_the_source_when_published_and_loaded(
    target, split_store, recordings, tmp_path
):
    published = publish_split(split_store, target, OPTIONS)
    assert (published.changed, published.version, published.tag) == (
        True,
        load_split(split_store).version,
        f"v{published.version[:12]}",
    )
    assert verify_publication(target, published, _files(split_store)) == []
    loaded = _rows(target, published.revision, tmp_path / "cache")
    assert {name: rows.num_rows for name, rows in loaded.items()} == SPLITS
    videos = recordings[1]
    for name in SPLITS:
        streamed = list(
            _rows(target, published.revision, tmp_path / "cache", split=name, streaming=True)
        )
        assert [row["key"] for row in streamed] == loaded[name]["key"]
        for row, again in zip(loaded[name], streamed, strict=True):
            expected = [
                np.asarray(Image.open(io.BytesIO(frame))).tolist() for frame in videos[row["key"]]
            ]
            assert [np.asarray(frame).tolist() for frame in row["video"]] == expected
            assert [np.asarray(frame).tolist() for frame in again["video"]] == expected


def test_nothing_changes_when_published_again(target, split_store):
    first = publish_split(split_store, target, OPTIONS)
    second = publish_split(split_store, target, OPTIONS)
    assert (second.changed, second.revision, second.added) == (False, first.revision, 0)
    assert plan_publication(split_store, target, OPTIONS).is_empty


def test_new_rows_are_loaded_when_another_version_is_published(
    target, split_store, recordings, tmp_path
):
    first = publish_split(split_store, target, OPTIONS)
    before = _rows(target, first.revision, tmp_path / "cache")
    _split(recordings, tmp_path / "split", seed=7)
    second = publish_split(split_store, target, OPTIONS)
    after = _rows(target, second.revision, tmp_path / "cache")
    assert second.revision != first.revision
    assert after["test"]["key"] != before["test"]["key"]
    assert verify_publication(target, second, _files(split_store)) == []
    assert _rows(target, first.revision, tmp_path / "fresh")["test"]["key"] == before["test"]["key"]


def test_files_are_card_manifest_script_tables_and_archives_when_listed(split_store):
    files = {file.path: file for file in _files(split_store)}
    manifest = load_split(split_store)
    names = {file.name for file in manifest.files}
    assert files.keys() == {*names, "README.md", "manifest.json", "legacy/load_videos.py"}
    assert SplitManifest.from_json(files["manifest.json"].text.encode()) == manifest
    card = huggingface_hub.DatasetCard(files["README.md"].text).data.to_dict()
    assert (card["license"], card["pretty_name"], card["tags"]) == (
        "cc-by-4.0",
        "Small videos",
        ["video"],
    )
    assert _files(split_store) == list(files.values())


def test_files_are_tables_only_when_archives_are_left_out(split_store):
    files = {file.path: file for file in _files(split_store, replace(OPTIONS, archives=False))}
    assert all(path.startswith("data/") or path in ("README.md", "manifest.json") for path in files)
    assert {file["kind"] for file in json.loads(files["manifest.json"].text)["files"]} == {
        "parquet"
    }


def test_script_is_left_out_when_asked(split_store):
    assert not any(
        file.path.startswith("legacy/")
        for file in _files(split_store, replace(OPTIONS, legacy_script=False))
    )


def test_plan_is_returned_and_nothing_is_written_when_run_dry(split_store, tmp_path):
    target = directory.HubTarget(str(tmp_path / "published"), REPO)
    plan = plan_publication(split_store, target, OPTIONS)
    assert set(plan.added) == {file.path for file in _files(split_store)}
    assert not (tmp_path / "published").exists()


def test_split_is_refused_when_it_is_missing_or_has_no_tables(recordings, tmp_path):
    target = directory.HubTarget(str(tmp_path / "published"), REPO)
    with pytest.raises(ObjectMissing, match="no split"):
        publish_split(open_store(str(tmp_path / "none")), target, OPTIONS)
    with pytest.raises(ConfigurationError, match="no table"):
        publish_split(_split(recordings, tmp_path / "split", tables=False), target, OPTIONS)
    assert target.head() is None


def test_problem_is_named_when_a_publication_is_not_what_was_published(target, split_store):
    published = publish_split(split_store, target, OPTIONS)
    files = _files(split_store)
    other = [
        replace(file, sha256="0" * 64) if file.path.endswith(".tar") else file for file in files
    ]
    assert all(".tar" in problem for problem in verify_publication(target, published, other))
    wrong = load_split(split_store)
    wrong = replace(
        wrong, files=tuple(replace(file, samples=file.samples + 1) for file in wrong.files)
    )
    text = wrong.to_json().decode()
    lying = [replace(file, text=text) if file.path == "manifest.json" else file for file in files]
    target.verify = lambda files, revision: []
    assert "rows, got" in verify_publication(target, published, lying)[0]


def test_problem_is_named_when_datasets_can_not_load_it(split_store, tmp_path):
    class Silent(directory.HubTarget):
        def load_path(self, revision):
            return str(tmp_path / "nothing here")

    target = Silent(str(tmp_path / "published"), REPO)
    published = publish_split(split_store, target, OPTIONS)
    problems = verify_publication(target, published, _files(split_store))
    assert [problem.split(": ")[:3] for problem in problems] == [
        [REPO, f"datasets cannot load {name}", "FileNotFoundError"] for name in SPLITS
    ]


def test_readers_keep_the_old_version_when_publishing_fails(
    recordings, split_store, tmp_path, monkeypatch
):
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub, signed_in=False)
        target = huggingface.HubTarget(
            REPO, token=hub.token, retry=RetryOptions(first_delay_s=0, attempts=2)
        )
        first = publish_split(split_store, target, OPTIONS)
        files = _files(split_store)
        _split(recordings, tmp_path / "split", seed=7)
        hub.fault("POST", "/commit/", 100, status=503)
        with pytest.raises(HubError, match="run again"):
            publish_split(split_store, target, OPTIONS)
        assert target.head() == first.revision
        assert target.verify(files, first.revision) == []


@pytest.mark.parametrize(
    "options",
    [
        {"license": "CC BY"},
        {"license": "mit", "languages": ("English",)},
        {"license": "mit", "tag": "a b"},
    ],
)
def test_options_are_refused_when_they_can_not_work(options):
    with pytest.raises(ConfigurationError):
        PublishOptions(**options)
