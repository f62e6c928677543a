"""What every publishing target guarantees. New files in `hub/targets/` are tested too."""

import io

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, ObjectMissing, UnknownName
from dataset_assets.hub.target import TargetOptions, is_remote, open_target
from dataset_assets.storage.store import open_store
from dataset_assets_tests.hub.publications import made, small_publication, stored
from dataset_assets_tests.support.hub_server import HubServer, in_process

REPO = "org/photos"
VERSION = "0123456789abcdef" * 4


@pytest.fixture(params=registry.names("hub_target"))
def kind(request):
    return request.param


@pytest.fixture
def options(kind, tmp_path, monkeypatch):
    """Options for a target of this kind; a remote one is served by the Hub of the tests."""
    if not is_remote(kind):
        yield TargetOptions(root=str(tmp_path / "published"))
        return
    with HubServer(tmp_path / "hub") as server:
        in_process(monkeypatch, server, signed_in=False)
        yield TargetOptions(root=str(tmp_path / "published"), token=server.token)


@pytest.fixture
def target(kind, options):
    return open_target(kind, REPO, options)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "split"))


@pytest.fixture
def files(store):
    return small_publication(store)


def publish(target, files, **options):
    return target.publish(files, version=options.pop("version", VERSION), message="m", **options)


def test_target_has_the_name_of_its_file(target, kind):
    assert (target.kind, target.repo, target.is_remote) == (kind, REPO, is_remote(kind))


def test_token_is_not_shown(target, options):
    if options.token:
        assert options.token not in repr(target) + repr(options) + str(vars(target))


def test_nothing_is_there_before_publishing(target, files):
    assert target.head() is None
    plan = target.plan(files)
    assert plan.added == tuple(sorted(file.path for file in files))
    assert plan.bytes_added == sum(file.bytes for file in files)
    assert target.head() is None


def test_publication_is_what_was_given(target, files):
    result = publish(target, files)
    assert (result.target, result.repo, result.version) == (target.kind, REPO, VERSION)
    assert (result.changed, result.added, result.deleted) == (True, len(files), 0)
    assert result.tag == f"v{VERSION[:12]}"
    assert target.head() == result.revision
    assert target.verify(files, result.revision) == []
    card = next(file for file in files if file.path == "README.md")
    with target.open_read(card.path, result.revision) as opened:
        assert opened.read() == card.text.encode()


def test_publishing_again_changes_nothing(target, kind, options, files):
    first = publish(target, files)
    assert target.plan(files).is_empty
    again = publish(open_target(kind, REPO, options), files)
    assert (again.changed, again.added, again.deleted, again.bytes_added) == (False, 0, 0, 0)
    assert (again.revision, again.tag) == (first.revision, first.tag)


def test_new_version_replaces_the_old_one_and_keeps_its_revision(target, files, store):
    first = publish(target, files)
    changed = [
        made(file.path, f"{file.text}.") if file.text is not None else file for file in files[1:]
    ]
    plan = target.plan(changed)
    assert plan.changed == ("README.md", "manifest.json")
    assert plan.deleted == (files[0].path,)
    second = publish(target, changed, version="1" * 64)
    assert (second.changed, second.added, second.deleted) == (True, 2, 1)
    assert target.head() == second.revision != first.revision
    assert target.verify(changed, second.revision) == []
    assert target.verify(files, first.revision) == []


def test_difference_is_listed(target, files, store):
    revision = publish(target, files).revision
    extra = [*files[1:], made("more.txt", "x"), made("README.md", "other")]
    extra = [file for file in extra if file is not files[-2]]
    found = target.verify(extra, revision)
    assert len(found) == 2
    assert any("more.txt" in problem for problem in found)
    assert any("README.md" in problem for problem in found)


def test_missing_file_is_an_error_that_names_it(target, files):
    revision = publish(target, files).revision
    with pytest.raises(ObjectMissing, match=r"none\.txt"):
        target.open_read("none.txt", revision).close()


def test_tag_never_moves(target, files):
    first = publish(target, files, tag="v1")
    other = [*files, made("more.txt", "x")]
    with pytest.raises(ConfigurationError, match="'v1' names"):
        publish(target, other, tag="v1")
    assert target.head() == first.revision
    assert publish(target, files, tag="v1").tag == "v1"


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (made("photos.py", "x"), "unloadable"),
        (made("../x", "x"), "not a path"),
        (made("README.md", "x"), "published twice"),
    ],
)
def test_files_that_would_break_the_repository_are_refused(target, files, extra, said):
    with pytest.raises(ConfigurationError, match=said):
        publish(target, [*files, extra])
    with pytest.raises(ConfigurationError, match="nothing to publish"):
        publish(target, [])


def test_published_tables_load(target, store):
    table = io.BytesIO()
    pq.write_table(pa.table({"number": [1, 2, 3]}), table)
    files = [
        stored(store, "data/train-00000-of-00001.parquet", table.getvalue()),
        made("README.md", "---\nlicense: mit\n---\n"),
    ]
    revision = publish(target, files).revision
    rows = datasets.load_dataset(
        target.load_path(revision),
        split="train",
        streaming=True,
        **target.load_options(revision),
    )
    assert [row["number"] for row in rows] == [1, 2, 3]


def test_invalid_names_are_refused(kind, options):
    with pytest.raises(ConfigurationError, match="not a repository"):
        open_target(kind, "../photos", options)
    with pytest.raises(UnknownName, match=f"did you mean '{kind}'"):
        open_target(kind[:-1], REPO, options)
