"""Publishing to a local directory: snapshots that never change, references that switch at once."""

import json
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt
from dataset_assets.hub.targets import directory
from dataset_assets.storage.store import open_store
from dataset_assets_tests.hub.publications import hashes, made, small_publication, stored

REPO = "org/photos"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "published"


@pytest.fixture
def target(root):
    return directory.HubTarget(str(root), REPO)


def _publish(target, files, *, version="0" * 64, tag=""):
    return target.publish(files, version=version, message="Publish", tag=tag)


def _content(target):
    top = target.load_path(target.head())
    return {
        os.path.relpath(os.path.join(folder, name), top)
        for folder, _, names in os.walk(top)
        for name in names
    }


def _names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_snapshot_holds_everything_when_published_first(target, root, files):
    published = _publish(target, files)
    assert (published.target, published.changed, published.added, published.deleted) == (
        "directory",
        True,
        len(files),
        0,
    )
    assert published.bytes_added == sum(file.bytes for file in files)
    assert published.revision == target.head()
    assert (
        published.url
        == target.load_path(published.revision)
        == str(root / REPO / "snapshots" / published.revision)
    )
    assert _content(target) == set(hashes(files))
    assert target.verify(files, published.revision) == []
    assert (
        (root / REPO / "refs/main").read_text()
        == (root / REPO / "refs/tags" / published.tag).read_text()
        == published.revision
    )
    assert target.load_options(published.revision) == {}


def test_nothing_is_written_when_published_again(target, root, files):
    first = _publish(target, files)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    second = _publish(target, list(reversed(files)))
    assert (second.changed, second.added, second.bytes_added) == (False, 0, 0)
    assert (second.revision, second.tag) == (first.revision, first.tag)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before


def test_files_are_links_when_the_disk_allows_it(target, files, store):
    published = _publish(target, files)
    for file in files:
        path = os.path.join(target.load_path(published.revision), file.path)
        assert os.stat(path).st_nlink == (1 if file.text is not None else 2)
    store.delete_tree("")
    assert target.verify(files, published.revision) == []


def test_files_are_copied_when_the_disk_allows_no_links(target, files, monkeypatch):
    monkeypatch.setattr(
        os, "link", lambda *names: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link"))
    )
    published = _publish(target, files)
    assert target.verify(files, published.revision) == []


def test_equal_files_of_the_last_snapshot_are_linked_when_the_store_is_far_away(target):
    store = open_store("memory://directory-test")
    files = small_publication(store)
    first = _publish(target, files)
    store.delete_tree("")
    changed = [made("README.md", "new") if file.path == "README.md" else file for file in files]
    second = _publish(target, changed)
    assert (second.added, second.bytes_added) == (1, 3)
    assert target.verify(changed, second.revision) == []
    assert target.verify(files, first.revision) == []


def test_snapshots_stay_as_they_are_when_others_follow(target, files, store):
    first = _publish(target, files)
    other = small_publication(store, seed=1)
    second = _publish(target, other[1:], version="1" * 64)
    assert (second.changed, second.deleted) == (True, 1)
    assert target.verify(files, first.revision) == []
    assert target.verify(other[1:], second.revision) == []
    assert _content(target) == set(hashes(other[1:]))


def test_earlier_snapshot_is_pointed_to_when_published_again(target, files, store):
    first = _publish(target, files)
    _publish(target, small_publication(store, seed=1), version="1" * 64)
    small_publication(store)
    again = _publish(target, files)
    assert (again.revision, again.changed, again.tag) == (first.revision, True, first.tag)
    assert target.head() == first.revision


def test_plan_says_what_would_change_when_asked_without_publishing(target, root, files):
    assert len(target.plan(files).added) == len(files)
    assert not root.exists()
    _publish(target, files)
    assert target.plan(files).is_empty
    plan = target.plan([made(files[0].path, "changed"), made("notes.md", "x"), *files[2:]])
    assert (plan.added, plan.changed, plan.deleted) == (
        ("notes.md",),
        (files[0].path,),
        (files[1].path,),
    )


def test_old_snapshots_go_with_their_tags_when_there_are_too_many(root, files, store):
    target = directory.HubTarget(str(root), REPO, keep_snapshots=2)
    published = [
        _publish(target, small_publication(store, seed=seed), version=f"{seed}" * 64)
        for seed in range(4)
    ]
    kept = sorted(one.revision for one in published[2:])
    assert _names(root / REPO / "snapshots") == kept
    assert _names(root / REPO / "refs/tags") == sorted(one.tag for one in published[2:])
    assert target.head() == published[3].revision


def test_published_snapshot_stays_when_it_is_the_oldest(root, files, store):
    target = directory.HubTarget(str(root), REPO, keep_snapshots=1)
    first = _publish(target, files)
    directory.HubTarget(str(root), REPO, keep_snapshots=5).publish(
        small_publication(store, seed=1), version="1" * 64, message="Publish"
    )
    small_publication(store)
    _publish(target, files)
    assert _names(root / REPO / "snapshots") == [first.revision]


def test_tag_never_moves_when_it_names_something_else(target, files, store):
    first = _publish(target, files, tag="v1")
    assert _publish(target, files, tag="v1").tag == "v1"
    with pytest.raises(ConfigurationError, match="'v1' names"):
        _publish(target, small_publication(store, seed=1), tag="v1")
    assert target.head() == first.revision


@pytest.mark.parametrize("linked", [True, False])
def test_nothing_becomes_visible_when_a_file_has_changed_since_its_split(
    target, root, files, store, monkeypatch, linked
):
    first = _publish(target, files)
    if not linked:
        monkeypatch.setattr(
            os,
            "link",
            lambda *names: (_ for _ in ()).throw(OSError(18, "Invalid cross-device link")),
        )
    wanted = [*files, stored(store, "data/more.parquet", b"as recorded")]
    store.write("data/more.parquet", b"as changed!")
    with pytest.raises(ShardCorrupt, match=r"data/more\.parquet"):
        _publish(target, wanted)
    with pytest.raises(ObjectMissing):
        _publish(target, [*wanted[:-1], made_elsewhere(store)])
    assert target.head() == first.revision
    assert _names(root / REPO / "snapshots") == [first.revision]
    assert _names(root / REPO) == [".lock", "records", "refs", "snapshots"]


def made_elsewhere(store):
    file = stored(store, "data/gone.parquet", b"gone")
    store.delete("data/gone.parquet")
    return file


def test_snapshot_is_made_again_when_somebody_has_damaged_it(target, files):
    published = _publish(target, files)
    os.unlink(os.path.join(target.load_path(published.revision), files[0].path))
    assert [files[0].path in problem for problem in target.verify(files, published.revision)] == [
        True
    ]
    assert _publish(target, files).changed is False
    assert target.verify(files, published.revision) == []


def test_difference_is_found_when_bytes_are_wrong(target, files):
    published = _publish(target, files)
    path = os.path.join(target.load_path(published.revision), files[0].path)
    os.unlink(path)
    with open(path, "wb") as file:
        file.write(b"x" * files[0].bytes)
    assert target.verify(files, published.revision) == [f"{path}: differs from what was published"]


PUBLISH_IN_A_PROCESS = """
    import json, os, signal, sys
    from dataset_assets.hub.targets import directory
    from dataset_assets.records.publications import PublishFile

    name = sys.argv[3]
    def die(*args, **options):
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(directory.HubTarget, name, die)
    files = [PublishFile(**file) for file in json.load(open(sys.argv[1]))]
    target = directory.HubTarget(sys.argv[2], "org/photos")
    target.publish(files, version="1" * 64, message="Publish")
"""


@pytest.mark.parametrize(
    "killed_in", ["_write_record", "_tag", "_prune", "_is_complete", "_known_files"]
)
def test_readers_get_one_whole_snapshot_when_the_writer_is_killed(
    target, root, files, store, tmp_path, killed_in
):
    first = _publish(target, files)
    wanted = small_publication(store, seed=1)
    (tmp_path / "files.json").write_text(json.dumps([asdict(file) for file in wanted]))
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(PUBLISH_IN_A_PROCESS),
        str(tmp_path / "files.json"),
        str(root),
        killed_in,
    ]
    assert subprocess.run(command, check=False, timeout=100).returncode == -9
    head = target.head()
    assert (head == first.revision) == (killed_in != "_prune")
    assert target.verify(files if head == first.revision else wanted, head) == []

    published = _publish(target, wanted, version="1" * 64)
    assert target.verify(wanted, published.revision) == []
    assert published.revision == target.head()
    assert _names(root / REPO) == [".lock", "records", "refs", "snapshots"]


def test_one_whole_snapshot_counts_when_many_writers_publish_at_once(root, tmp_path):
    publications = [
        small_publication(open_store(str(tmp_path / f"split-{seed}")), seed=seed)
        for seed in range(4)
    ] * 3

    def publish(files):
        return directory.HubTarget(str(root), REPO, keep_snapshots=9).publish(
            files, version=files[-1].sha256, message="Publish"
        )

    with ThreadPoolExecutor(12) as writers:
        done = list(writers.map(publish, publications))
    assert len({one.revision for one in done}) == 4
    target = directory.HubTarget(str(root), REPO)
    for one, files in zip(done, publications, strict=True):
        assert target.verify(files, one.revision) == []
    assert target.head() in {one.revision for one in done}
    assert _names(root / REPO) == [".lock", "records", "refs", "snapshots"]


def test_published_file_is_read_when_opened(target, files):
    published = _publish(target, files)
    with target.open_read("README.md", published.revision) as file:
        assert file.read().decode() == next(one.text for one in files if one.path == "README.md")
    with pytest.raises(ObjectMissing):
        target.open_read("none.md", published.revision)
    with pytest.raises(ConfigurationError):
        target.open_read("x", "../..")


@pytest.mark.parametrize("root", ["s3://bucket/x", "memory://x", "a[b]", "a*", "a?", "a::b"])
def test_root_is_refused_when_datasets_can_not_read_from_it(root):
    with pytest.raises(ConfigurationError, match="root: expected a local path"):
        directory.HubTarget(root, REPO)


def test_options_are_refused_when_they_can_not_work(tmp_path, files):
    with pytest.raises(ConfigurationError, match="keep_snapshots"):
        directory.HubTarget(str(tmp_path), REPO, keep_snapshots=0)
    with pytest.raises(ConfigurationError, match="not a repository"):
        directory.HubTarget(str(tmp_path), "../photos")
    with pytest.raises(ConfigurationError, match=r"photos\.py"):
        _publish(directory.HubTarget(str(tmp_path), REPO), [*files, made("photos.py", "x")])
