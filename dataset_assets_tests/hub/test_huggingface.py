"""Publishing to a Hub that works: what is sent, what is kept, what is refused."""

from dataclasses import replace

import pytest

from dataset_assets.errors import ConfigurationError, MissingDependency, ObjectMissing, ShardCorrupt
from dataset_assets.hub._limits import HubLimits
from dataset_assets.hub.retry import RetryOptions
from dataset_assets.hub.targets import huggingface
from dataset_assets.storage.store import open_store
from dataset_assets_tests.hub.publications import hashes, made, small_publication, stored

REPO = "org/photos"
VERSION = "0123456789abcdef" * 4


def _target(hub, **options):
    return huggingface.HubTarget(
        REPO, token=hub.token, retry=RetryOptions(first_delay_s=0.01), **options
    )


def _publish(hub, files, *, version=VERSION, tag="", **options):
    return _target(hub, **options).publish(files, version=version, message="Publish", tag=tag)


def _titles(hub):
    return [commit.title for commit in hub.commits(REPO)]


def _ours(hub, revision="main"):
    return {
        path: digest
        for path, digest in hub.files(REPO, revision).items()
        if path != ".gitattributes"
    }


def test_one_commit_holds_everything_when_published_first(any_hub, files):
    published = _publish(any_hub, files)
    assert (published.changed, published.added, published.deleted) == (True, len(files), 0)
    assert published.bytes_added == sum(file.bytes for file in files)
    assert _ours(any_hub) == hashes(files)
    assert _titles(any_hub) == ["Publish", "initial commit"]
    assert published.revision == any_hub.commits(REPO)[0].oid == _target(any_hub).head()
    assert published.url == f"{any_hub.url}/datasets/{REPO}/commit/{published.revision}"
    assert any_hub.tags(REPO) == {"v0123456789ab": published.revision}
    assert any_hub.repositories() == {REPO: True}
    assert any_hub.leaks == []


def test_nothing_is_sent_when_published_again(any_hub, files):
    first = _publish(any_hub, files)
    any_hub.forget()
    second = _publish(any_hub, files)
    assert (second.changed, second.added, second.deleted, second.bytes_added) == (False, 0, 0, 0)
    assert (second.revision, second.tag) == (first.revision, first.tag)
    assert any_hub.count("PUT", "") == 0
    assert any_hub.count("POST", "/commit/|/preupload/|/lfs/|/tag/") == 0
    assert any_hub.count("GET", "xet-write-token") == 0


def test_one_commit_holds_everything_when_there_are_300_files(hub, store):
    many = small_publication(store, tables=100)
    assert len(many) > 300
    assert _publish(hub, many).added == len(many)
    assert _titles(hub) == ["Publish", "initial commit"]
    fewer = small_publication(store, tables=1)
    published = _publish(hub, fewer, version="f" * 64)
    assert published.deleted == 300
    assert _ours(hub) == hashes(fewer)


def test_only_the_changed_file_is_sent_when_one_changes(any_hub, files, store):
    _publish(any_hub, files)
    any_hub.forget()
    changed = [stored(store, files[0].path, b"new"), *files[1:]]
    published = _publish(any_hub, changed, version="f" * 64)
    assert (published.changed, published.added, published.deleted) == (True, 1, 0)
    assert any_hub.count("PUT", "") == (0 if any_hub.xet else 1)
    assert _ours(any_hub) == hashes(changed)


def test_files_of_others_stay_when_ours_are_deleted(hub, store):
    before = small_publication(store, tables=2)
    _publish(hub, before)
    others = {
        "notes.md": b"mine",
        "data/mine.parquet": b"x",
        "archives/mine.tar": b"x",
        "legacy/load_mine.py": b"x",
    }
    hub.write(REPO, others)
    after = small_publication(store, tables=1)
    published = _publish(hub, after, version="f" * 64)
    assert published.deleted == len(hashes(before).keys() - hashes(after).keys()) == 6
    assert _ours(hub).keys() == {*hashes(after), *others}


@pytest.mark.parametrize("manifest", [b"[1]", b"{}", b"not json", b'{"files": [1]}'])
def test_nothing_is_deleted_when_the_manifest_is_somebody_elses(hub, files, manifest):
    _publish(hub, files)
    hub.write(REPO, {"manifest.json": manifest, "data/mine.parquet": b"x"})
    published = _publish(hub, files)
    assert (published.added, published.deleted) == (1, 0)
    assert _ours(hub).keys() == {*hashes(files), "data/mine.parquet"}


def test_plan_says_what_would_change_when_asked_without_publishing(hub, files, store):
    before = _target(hub).plan(files)
    assert (len(before.added), before.bytes_added, before.is_empty) == (
        len(files),
        sum(file.bytes for file in files),
        False,
    )
    assert hub.repositories() == {}
    _publish(hub, files)
    hub.forget()
    changed = [stored(store, files[0].path, b"new"), made("data/more.parquet", "x"), *files[2:]]
    plan = _target(hub).plan(changed)
    assert (plan.added, plan.changed, plan.deleted) == (
        ("data/more.parquet",),
        (files[0].path,),
        (files[1].path,),
    )
    assert (len(plan.unchanged), plan.bytes_added) == (len(files) - 2, 4)
    assert hub.count("POST|PUT|DELETE", "") == 0
    assert _target(hub).plan(files).is_empty


def test_nothing_is_there_when_nothing_was_published(hub):
    assert _target(hub).head() is None


def test_content_is_sent_when_its_store_is_not_a_local_folder(any_hub):
    store = open_store("memory://publish-test")
    files = [*small_publication(store), stored(store, "data/large.parquet", b"\0" * 10_000_001)]
    _publish(any_hub, files)
    assert _ours(any_hub) == hashes(files)
    store.delete_tree("")


@pytest.mark.parametrize("path", ["data/train-00000-of-00003.parquet", "data/labels.json"])
def test_nothing_becomes_visible_when_a_file_has_changed_since_its_split(
    any_hub, files, store, path
):
    wanted = [file for file in files if file.path != path] + [stored(store, path, b"{'a': 1}")]
    store.write(path, b"{'a': 2}")
    with pytest.raises(ShardCorrupt, match=path):
        _publish(any_hub, wanted)
    assert _titles(any_hub) == ["initial commit"]


def test_nothing_becomes_visible_when_a_file_is_gone(hub, files, store):
    store.delete(files[0].path)
    with pytest.raises(ObjectMissing, match=files[0].path):
        _publish(hub, files)
    assert _titles(hub) == ["initial commit"]


def test_missing_file_is_named_when_opened(hub, files):
    published = _publish(hub, files)
    with pytest.raises(ObjectMissing, match=r"opening none\.txt"):
        _target(hub).open_read("none.txt", published.revision)


def test_revision_is_pinned_when_loaded(hub, files):
    published = _publish(hub, files)
    assert _target(hub).load_path(published.revision) == REPO
    assert _target(hub).load_options(published.revision) == {
        "revision": published.revision,
        "token": hub.token,
    }
    with _target(hub).open_read(files[0].path, published.revision) as file:
        assert len(file.read()) == files[0].bytes
    assert _target(hub).verify(files, published.revision) == []
    wrong = [replace(files[0], sha256="0" * 64), made("data/none.parquet", "x"), *files[1:]]
    problems = _target(hub).verify(wrong, published.revision)
    assert [problem.split()[1] for problem in problems] == ["data/none.parquet", files[0].path]


def test_branch_is_made_when_another_revision_is_asked_for(hub, files):
    published = _publish(hub, files, revision="next")
    assert hub.branches(REPO)["next"] == published.revision != hub.branches(REPO)["main"]
    assert _publish(hub, files, revision="next").changed is False


def test_tag_never_moves_when_it_names_something_else(hub, files, store):
    first = _publish(hub, files, tag="v1")
    assert _publish(hub, files, tag="v1").tag == "v1"
    changed = small_publication(store, seed=1)
    with pytest.raises(ConfigurationError, match="'v1' names"):
        _publish(hub, changed, tag="v1")
    assert hub.tags(REPO) == {"v1": first.revision}
    assert hub.commits(REPO)[0].oid == first.revision
    assert _publish(hub, changed, tag="v2").tag == "v2"


def test_version_keeps_its_first_tag_when_only_the_card_changes(hub, files):
    first = _publish(hub, files)
    card = made("README.md", "---\nlicense: mit\n---\n# Another card\n")
    second = _publish(hub, [file for file in files if file.path != card.path] + [card])
    assert (second.changed, second.added, second.tag) == (True, 1, "")
    assert hub.tags(REPO) == {first.tag: first.revision}


def test_script_of_the_repository_is_refused_when_published_or_there(hub, files):
    with pytest.raises(ConfigurationError, match=r"photos\.py makes the repository unloadable"):
        _publish(hub, [*files, made("photos.py", "x")])
    assert hub.repositories() == {}
    _publish(hub, files)
    hub.write(REPO, {"photos.py": b"x"})
    with pytest.raises(ConfigurationError, match=r"has a file photos\.py"):
        _publish(hub, files)


def test_private_publication_is_refused_when_the_repository_is_public(hub, files):
    hub.create(REPO, private=False)
    with pytest.raises(ConfigurationError, match="is public"):
        _publish(hub, files)
    assert _titles(hub) == ["initial commit"]
    assert _publish(hub, files, private=False).changed


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (HubLimits(max_file_bytes=2999), "2,999 bytes, got 3,000;"),
        (HubLimits(max_files_per_commit=5), "files that change in one commit, got"),
        (HubLimits(max_files_per_folder=5), "files in data, got 9;"),
        (HubLimits(max_files=10), "files in the repository, got"),
    ],
)
def test_nothing_is_sent_when_the_hub_would_not_take_it(hub, files, limits, said):
    with pytest.raises(ConfigurationError, match=said):
        _publish(hub, files, limits=limits)
    assert hub.count("PUT", "") == 0


@pytest.mark.parametrize(
    "repo",
    [
        "photos",
        "org/a--b",
        "org/..",
        "org/a.git",
        "../photos",
        "org/photos/more",
        "org/" + "x" * 96,
        "org/-a",
    ],
)
def test_repository_is_refused_when_the_hub_would_not_take_its_name(repo):
    with pytest.raises(ConfigurationError, match="not a repository"):
        huggingface.HubTarget(repo, token=None)


def test_extra_is_named_when_the_client_is_not_installed(monkeypatch):
    monkeypatch.setattr(huggingface, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"dataset-assets\[hub\]"):
        huggingface.HubTarget(REPO, token=None)


@pytest.mark.parametrize(
    "path", ["../up", "/root", "data//x", "data/./x", "a\\b", ".git/config", "new\nline"]
)
def test_path_is_refused_when_it_leaves_the_repository(hub, files, path):
    with pytest.raises(ConfigurationError, match="not a path in a repository"):
        _publish(hub, [*files, made(path, "x")])


def test_files_are_refused_when_there_are_none_or_two_of_one_path(hub, files):
    with pytest.raises(ConfigurationError, match="nothing to publish"):
        _publish(hub, [])
    with pytest.raises(ConfigurationError, match="published twice"):
        _publish(hub, [*files, files[0]])
