import re
import shutil
import traceback

import numpy as np
import pytest

from dataset_assets.errors import AccessDenied, ConfigurationError, HubError, ObjectMissing
from dataset_assets.hub import _published_version
from dataset_assets.hub.loading import load_published, video_dataset
from dataset_assets.hub.retry import RetryOptions
from dataset_assets.hub.targets import huggingface
from dataset_assets.pipelines.publish.publish import PublishOptions, publish_split
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.hub.old_datasets import environment_folder, load_with_old_datasets
from dataset_assets_tests.hub.small_publication import (
    REPO,
    SPLITS,
    assert_rows_are_the_source,
    make_files,
    make_publication,
    pixels_of,
    publish_into,
)
from dataset_assets_tests.support.hub_server import HubServer, in_process

SCRIPT = "legacy/load_videos.py"


@pytest.fixture(scope="module")
def publication(tmp_path_factory):
    return make_publication(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    return make_publication(tmp_path_factory.mktemp("second"), brightness=100)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with HubServer(tmp_path / "server") as server:
        in_process(monkeypatch, server)
        yield server


@pytest.fixture
def impatient(monkeypatch):
    """Wait for nothing between attempts; a few requests wait inside the client."""
    monkeypatch.setattr(
        _published_version, "_RETRY", RetryOptions(attempts=4, sleep=lambda _: None)
    )
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def upload(hub, made):
    """Publish to the Hub, private; return the commit."""
    target = huggingface.HubTarget(REPO, token=hub.token, endpoint=hub.url)
    return publish_split(
        Store(str(made.split_folder)), target, PublishOptions(license="cc-by-4.0")
    ).revision


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("load", [load_published, video_dataset])
def test_rows_are_those_of_the_source_when_a_folder_is_loaded(
    publication, tmp_path, load, streaming
):
    rows = load(str(publication.folder), streaming=streaming, cache_dir=str(tmp_path))
    assert_rows_are_the_source(rows, publication.videos)


def assert_samples_are_the_source(rows_by_split, publication):
    rows = [row for found in rows_by_split.values() for row in found]
    assert {split: len(list(found)) for split, found in rows_by_split.items()} == {
        "train": 3,
        "test": 3,
    }
    assert {row["key"]: row["weight"] for row in rows} == {
        f"s{number}": number / 4 for number in range(6)
    }
    for row in rows:
        if publication.manifest.media == "image":
            assert np.asarray(row["image"]).tolist() == pixels_of(publication.videos[row["key"]])[0]
        else:
            assert (row["file"]["bytes"], row["extension"]) == (
                publication.videos[row["key"]][0],
                "bin",
            )


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("load", [load_published, video_dataset])
@pytest.mark.parametrize("media", ["image", "file"])
def test_rows_are_those_of_the_source_when_they_are_no_videos_and_a_split_is_empty(
    tmp_path, media, load, streaming
):
    made = make_files(tmp_path, media=media)
    assert_samples_are_the_source(
        load(str(made.folder), streaming=streaming, cache_dir=str(tmp_path / "cache")), made
    )


@pytest.mark.parametrize("streaming", [False, True])
def test_a_split_comes_alone_when_it_is_asked_for(publication, tmp_path, streaming):
    rows = load_published(str(publication.folder), "validation", streaming, cache_dir=str(tmp_path))
    assert_rows_are_the_source(
        {"validation": rows},
        {row["key"]: publication.videos[row["key"]] for row in rows},
        {"validation": 4},
    )


def test_expressions_of_splits_work_when_datasets_knows_them(publication, tmp_path):
    for split, count in {"train+test": 16, "train[:3]": 3, "all": 20}.items():
        assert len(load_published(str(publication.folder), split, cache_dir=str(tmp_path))) == count


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_are_the_newest_when_a_version_was_published_in_between(
    publication, second, tmp_path, streaming
):
    folder = tmp_path / "hub"
    shutil.copytree(publication.folder.parent.parent, folder)
    target, cache_dir = str(folder / REPO), str(tmp_path / "cache")
    assert_rows_are_the_source(
        load_published(target, streaming=streaming, cache_dir=cache_dir), publication.videos
    )
    publish_into(folder, second.split_folder)
    assert_rows_are_the_source(
        load_published(target, streaming=streaming, cache_dir=cache_dir), second.videos
    )
    for revision in (f"v{publication.manifest.version[:12]}", publication.snapshot.name):
        rows = load_published(target, streaming=streaming, revision=revision, cache_dir=cache_dir)
        assert_rows_are_the_source(rows, publication.videos)


def test_rows_are_the_newest_when_files_change_in_place_or_folders_have_one_name(
    publication, second, tmp_path
):
    target, cache_dir = tmp_path / "a" / "copy", str(tmp_path / "cache")
    shutil.copytree(publication.snapshot, target)
    assert_rows_are_the_source(load_published(str(target), cache_dir=cache_dir), publication.videos)
    for name in files_below(second.snapshot / "data"):
        shutil.copyfile(second.snapshot / "data" / name, target / "data" / name)
    assert_rows_are_the_source(load_published(str(target), cache_dir=cache_dir), second.videos)
    shutil.copytree(publication.snapshot, tmp_path / "b" / "copy")
    assert_rows_are_the_source(
        load_published(str(tmp_path / "b" / "copy"), cache_dir=cache_dir), publication.videos
    )


def test_load_dataset_itself_reads_the_newest_when_another_version_lies_under_the_same_path(
    publication, second, tmp_path
):
    from datasets import load_dataset

    for made in (publication, second):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(made.snapshot, tmp_path / "copy", copy_function=shutil.copyfile)
        card = tmp_path / "copy" / "README.md"
        card.write_text(
            re.sub(r"download_size: \d+", "download_size: 1", card.read_text())
        )  # as if tables had one size by chance
        assert_rows_are_the_source(
            load_dataset(str(tmp_path / "copy"), cache_dir=str(tmp_path / "cache")), made.videos
        )


def test_missing_rows_are_noticed_when_a_table_is_gone(publication, tmp_path):
    from datasets.exceptions import DatasetsError

    shutil.copytree(publication.snapshot, tmp_path / "copy")
    sorted((tmp_path / "copy" / "data").glob("train-*"))[-1].unlink()
    with pytest.raises((DatasetsError, ValueError)):
        load_published(str(tmp_path / "copy"), cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("load", [load_published, video_dataset])
@pytest.mark.parametrize("streaming", [False, True])
def test_splits_are_listed_when_one_is_asked_for_that_is_not_there(
    publication, tmp_path, load, streaming
):
    with pytest.raises(
        ConfigurationError, match=r"no split 'valid': expected one of train, validation, test$"
    ):
        load(str(publication.folder), "valid", streaming, cache_dir=str(tmp_path))


def test_a_slice_is_refused_when_it_is_streamed(publication, tmp_path):
    with pytest.raises(ConfigurationError, match="a stream has no slices"):
        load_published(
            str(publication.folder), "train[:3]", streaming=True, cache_dir=str(tmp_path)
        )


def test_a_folder_is_refused_when_nothing_is_published_in_it(publication, tmp_path):
    with pytest.raises(ObjectMissing, match="no published version.*publish first"):
        load_published(str(tmp_path))
    (tmp_path / "me" / "videos" / "snapshots").mkdir(parents=True)
    with pytest.raises(ObjectMissing, match="no published version 'main'; publish first"):
        load_published(str(tmp_path / "me" / "videos"))
    with pytest.raises(ObjectMissing, match="published datasets below it: me/videos"):
        load_published(str(publication.folder.parent.parent))
    with pytest.raises(ObjectMissing, match="'v9'; expected one of main, tags/v"):
        load_published(str(publication.folder), revision="v9")
    with pytest.raises(ConfigurationError, match="has no revision 'v9'"):
        load_published(str(publication.snapshot), revision="v9")


@pytest.mark.parametrize("target", ["/nowhere/at/all", "nowhere", "./a/b", "../a", "a/b/c", ""])
def test_a_target_is_refused_when_it_is_neither_a_folder_nor_a_repository(
    target, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        (ObjectMissing, ConfigurationError), match="is not a folder|no published version"
    ):
        load_published(target)


def test_a_folder_is_refused_when_datasets_would_read_its_name_as_a_pattern(publication, tmp_path):
    shutil.copytree(publication.snapshot, tmp_path / "take [1]")
    with pytest.raises(ConfigurationError, match="pattern; rename"):
        load_published(str(tmp_path / "take [1]"))


def test_archives_are_missed_when_a_publication_has_none(publication, tmp_path):
    (tmp_path / "copy" / "data").mkdir(parents=True)
    (tmp_path / "copy" / "README.md").write_text("")
    with pytest.raises(ObjectMissing, match="has no archives.*load_published"):
        video_dataset(str(tmp_path / "copy"), cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("load", [load_published, video_dataset])
def test_rows_are_those_of_the_source_when_the_hub_is_asked(
    publication, hub, tmp_path, load, streaming
):
    sha = upload(hub, publication)
    rows = load(REPO, streaming=streaming, cache_dir=str(tmp_path / "cache"))
    assert_rows_are_the_source(rows, publication.videos)
    revisions = {
        path.partition("/resolve/")[2].partition("/")[0]
        for _, path, _ in hub.log
        if "/resolve/" in path
    }
    assert revisions == {sha}


@pytest.mark.parametrize("media", ["image", "frames"])
def test_the_code_on_the_card_runs_when_it_is_pasted(publication, hub, tmp_path, media):
    made = publication if media == "frames" else make_files(tmp_path, media=media)
    upload(hub, made)
    card = hub.read(REPO, "README.md").decode()
    blocks = [
        block
        for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        if "legacy" not in block
    ]
    names = {}
    for block in blocks:
        exec(block, names)  # of our own card
        if "dataset" in block.partition("=")[0]:
            assert len(list(names["dataset"])) == made.manifest.splits["train"].samples
    assert len(blocks) == {"frames": 3, "image": 5}[media]


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_are_the_newest_or_those_of_the_revision_when_the_head_moved(
    publication, second, hub, tmp_path, streaming
):
    first = upload(hub, publication)
    cache_dir = str(tmp_path / "cache")
    assert_rows_are_the_source(
        load_published(REPO, streaming=streaming, cache_dir=cache_dir), publication.videos
    )
    upload(hub, second)
    assert_rows_are_the_source(
        load_published(f"hf://datasets/{REPO}", streaming=streaming, cache_dir=cache_dir),
        second.videos,
    )
    rows = load_published(REPO, revision=first, streaming=streaming, cache_dir=cache_dir)
    assert_rows_are_the_source(rows, publication.videos)


@pytest.mark.parametrize("load", [load_published, video_dataset])
def test_rows_come_when_the_hub_has_bad_moments(publication, hub, tmp_path, impatient, load):
    upload(hub, publication)
    faults = [
        hub.fault("GET", regex, status=503)
        for regex in ("/api/datasets/", "/data/train", "/archives/train")
    ]
    faults += [
        hub.fault("GET", regex, close=True)
        for regex in ("/api/datasets/", "/data/test", "/archives/test")
    ]
    assert_rows_are_the_source(load(REPO, cache_dir=str(tmp_path / "cache")), publication.videos)
    assert sum(fault.times for fault in faults) == 2  # of tables or of archives


def test_nothing_comes_from_the_cache_when_the_hub_fails(publication, hub, tmp_path, impatient):
    upload(hub, publication)
    load_published(REPO, "test", cache_dir=str(tmp_path / "cache"))
    hub.fault("GET", "/api/datasets/", times=1000, status=503)
    with pytest.raises(HubError, match="503.*not even from a cache"):
        load_published(REPO, "test", cache_dir=str(tmp_path / "cache"))


def test_a_private_repository_asks_for_a_token_when_none_or_a_wrong_one_is_sent(
    publication, hub, tmp_path, monkeypatch
):
    upload(hub, publication)
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(
        ObjectMissing, match=f"{REPO} is not a local folder.*no token was sent: set HF_TOKEN"
    ):
        load_published(REPO, "test", cache_dir=str(tmp_path / "cache"))
    wrong = hub.token[::-1]
    with pytest.raises(AccessDenied, match="rejects the token") as caught:
        load_published(REPO, "test", token=wrong, cache_dir=str(tmp_path / "cache"))
    assert wrong not in "".join(traceback.format_exception(caught.value))


def test_the_token_is_sent_and_kept_nowhere_when_a_private_repository_is_read(
    publication, hub, tmp_path, monkeypatch
):
    upload(hub, publication)
    monkeypatch.setenv("HF_TOKEN", "")
    for streaming in (False, True):
        for load in (load_published, video_dataset):
            rows = load(REPO, "test", streaming, token=hub.token, cache_dir=str(tmp_path / "cache"))
            assert len(list(rows)) == SPLITS["test"]
    assert not hub.leaks
    assert not [path for path, data in files_below(tmp_path).items() if hub.token.encode() in data]


def test_a_repository_is_refused_when_it_or_the_revision_is_not_there(publication, hub, tmp_path):
    with pytest.raises(ObjectMissing, match="me/nothing is not a local folder"):
        load_published("me/nothing")
    upload(hub, publication)
    with pytest.raises(ObjectMissing, match="has no revision 'v9'"):
        load_published(REPO, revision="v9")
    hub.create("me/empty")
    with pytest.raises(ObjectMissing, match="me/empty has no published version"):
        load_published("me/empty")
    with pytest.raises(ConfigurationError, match="expected the name of a repository"):
        load_published("me/a--b")


@pytest.fixture(scope="session")
def old_datasets(request):
    return environment_folder(request.config.cache.mkdir("environments"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("script", [False, True])
def test_old_datasets_read_the_same_rows_when_they_load_a_folder(
    publication, old_datasets, tmp_path, script, streaming
):
    path = publication.snapshot / SCRIPT if script else publication.snapshot
    options = {"trust_remote_code": True} if script else {}
    rows = load_with_old_datasets(old_datasets, tmp_path, str(path), streaming=streaming, **options)
    assert_rows_are_the_source(rows, publication.videos)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("streaming", [False, True])
def test_old_datasets_read_the_same_rows_when_a_script_reads_the_layout_of_the_how_to(
    old_datasets, tmp_path, streaming
):
    made = make_publication(tmp_path, layout="frames", compression="gz")
    options = {"streaming": streaming, "trust_remote_code": True}
    assert_rows_are_the_source(
        load_with_old_datasets(old_datasets, tmp_path, str(made.snapshot / SCRIPT), **options),
        made.videos,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("script", [False, True])
def test_old_datasets_read_the_same_rows_when_they_are_images_and_a_split_is_empty(
    old_datasets, tmp_path, script, streaming
):
    made = make_files(tmp_path, media="image")
    path = made.snapshot / SCRIPT if script else made.snapshot
    options = {"trust_remote_code": True} if script else {}
    assert_samples_are_the_source(
        load_with_old_datasets(old_datasets, tmp_path, str(path), streaming=streaming, **options),
        made,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("script", [False, True])
def test_old_datasets_read_the_same_rows_when_they_ask_the_hub(
    publication, old_datasets, hub, tmp_path, script, streaming
):
    upload(hub, publication)
    options = {"script": SCRIPT, "trust_remote_code": True} if script else {}
    rows = load_with_old_datasets(
        old_datasets, tmp_path, REPO, environment=hub.environment(), streaming=streaming, **options
    )
    assert_rows_are_the_source(rows, publication.videos)
