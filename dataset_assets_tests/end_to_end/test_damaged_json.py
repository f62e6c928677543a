"""Every kind of stored JSON, damaged in many ways: its readers name the file, or take it as it is.

The files are those of real small sets. A mutation may leave a record that is valid (another text
in place of a text); then a reader may go on. What it may never do is end with an error that is not
one of this package.
"""

import copy
import json
import os
import shutil
from random import Random

import pytest

import dataset_assets
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.hub.target import TargetOptions, open_target
from dataset_assets.loaders.labels.class_dictionary import ClassDictionary
from dataset_assets.loaders.mlx.options import StreamOptions
from dataset_assets.loaders.mlx.tars import open_tars
from dataset_assets.loaders.samples.shard_rows import ShardRows
from dataset_assets.orchestration.partitions import extend_partitioning, load_partitioning
from dataset_assets.pipelines.download.plan_parts import read_shard
from dataset_assets.pipelines.download.plan_urls import load_plan, plan_urls
from dataset_assets.pipelines.publish.publish import PublishOptions, publish_split
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.stage.access import StoreAccess
from dataset_assets.splits.sources import shards
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.staging.summary import read_staged
from dataset_assets.storage.credentials_file import read_credentials_file
from dataset_assets.storage.stores.local import Store
from dataset_assets.urls.lists import ListOptions
from dataset_assets_tests.hub.publications import small_publication
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set
from dataset_assets_tests.pipelines.sources import SMALL, make_images

DEEP = 100_000
#: Of each kind of file; the first ones are always the same.
MUTATIONS = 20
FIRST = 11


def replacements(value):
    """Values that may stand in place of one, of its own type and of others."""
    other = [None, True, -1, 0, 1.5, 2**63, 10**400, "", "../x", "a/b\0", "\ud800", "x" * 5000]
    other += [[], {}, [value], {"a": value}, [[[value]]], float("nan"), 1e999]
    return [each for each in other if type(each) is not type(value) or each != value]


def places(value, path=()):
    """Yield the paths to all values of a document; of long lists, to the first two items."""
    yield path
    items = ()
    if isinstance(value, dict):
        items = list(value.items())[:20]
    elif isinstance(value, list):
        items = list(enumerate(value))[:2]
    for key, child in items:
        yield from places(child, (*path, key))


def changed(document, path, change):
    """Return a copy of a document in which `change(container, key)` was called at a path."""
    holder = [copy.deepcopy(document)]
    place = holder
    for key in (0, *path)[:-1]:
        place = place[key]
    change(place, (0, *path)[-1])
    return holder[0] if holder else None


def put(value):
    return lambda container, key: container.__setitem__(key, value)


def rename(container, key):
    container[f"{key}?"] = container.pop(key)


def mutations(data: bytes):
    """Yield the damaged forms of a JSON file."""
    document = json.loads(data)
    yield b""
    yield data[: len(data) // 2]
    yield data[:-1]
    yield b"[" * DEEP
    yield b'{"a":' * DEEP
    yield b"\x00" * len(data)
    yield b"\xff\xfe" + data.decode().encode("utf-16-le")
    yield data.decode().encode("utf-32")
    yield data.replace(b'"', b'"\xe9', 1)
    yield data + b"}"
    yield b"<html>not found</html>"
    nested = 0
    for _ in range(300):
        nested = [nested]
    for path in places(document):
        value = document
        for key in path:
            value = value[key]
        for new in [*replacements(value), nested]:
            yield json.dumps(changed(document, path, put(new))).encode()
        if path:
            yield json.dumps(changed(document, path, lambda into, key: into.pop(key))).encode()
        if path and isinstance(path[-1], str):
            yield json.dumps(changed(document, path, rename)).encode()


class Case:
    """A folder with one kind of file, and the public readers of that file."""

    def __init__(self, file, *readers):
        self.file = file
        self.readers = readers


def shard_set(tmp_path, file):
    store = Store(str(tmp_path / "set"))
    write_set(store, SetSpec(counts=(2, 3), failed=1, images=True))
    readers = (
        lambda: dataset_assets.verify(store.url),
        lambda: read_staged(store),
        lambda: [ShardRows(store).read(index) for index in range(4)],
        lambda: shards.SplitSource.open([store]).samples(),
        lambda: open_tars(store, None, StreamOptions(batch_size=1, label_key=None)),
    )
    return Case(tmp_path / "set" / file, *readers)


def split(tmp_path, file):
    store = Store(str(tmp_path / "split"))
    manifest = split_archives(make_images(8), store, archives=SMALL)
    folder = version_store(store, manifest)
    name = next(file.name for file in manifest.files if file.kind == "tar")
    path = {
        "current": tmp_path / "split" / "current.json",
        "manifest": tmp_path / "split" / "versions" / manifest.version / "manifest.json",
        "record": folder.root / "_records" / f"{name}.json",
    }[file]
    published = tmp_path / "published"

    def publish():
        shutil.rmtree(published, ignore_errors=True)
        target = open_target("directory", "me/photos", TargetOptions(root=str(published)))
        publish_split(store, target, PublishOptions(license="mit"))

    readers = (
        lambda: dataset_assets.verify(store.url),
        lambda: load_split(store),
        lambda: open_tars(store, "train", StreamOptions(batch_size=1, label_key=None)),
        publish,
        lambda: split_archives(make_images(8), store, archives=SMALL),
    )
    return Case(path, *readers)


def publication(tmp_path, file):
    store = Store(str(tmp_path / "source"))
    files = small_publication(store, tables=1)
    target = open_target("directory", "me/photos", TargetOptions(root=str(tmp_path / "hub")))
    target.publish(files, version="1" * 64, message="")
    folder = tmp_path / "hub" / "me" / "photos"
    return Case(
        folder / "records" / f"{target.head()}.json",
        lambda: target.plan(files),
        lambda: target.publish(files, version="1" * 64, message=""),
    )


def published_manifest(tmp_path, file):
    store = Store(str(tmp_path / "split"))
    split_archives(make_images(8), store, archives=SMALL)
    target = open_target("directory", "me/photos", TargetOptions(root=str(tmp_path / "hub")))
    publish_split(store, target, PublishOptions(license="mit"))
    folder = tmp_path / "hub" / "me" / "photos"
    copied = tmp_path / "copy"
    shutil.copytree(folder / "snapshots" / target.head(), copied)
    return Case(
        copied / "manifest.json",
        lambda: dataset_assets.video_dataset(
            str(copied), "train", streaming=True, cache_dir=str(tmp_path / "cache")
        ),
    )


def plan(tmp_path, file):
    tmp_path.mkdir(parents=True)
    (tmp_path / "urls.txt").write_text("".join(f"http://a.test/{i}.jpg\n" for i in range(7)))
    store = Store(str(tmp_path / "plan"))
    source = str(tmp_path / "urls.txt")
    made = plan_urls(source, store, ListOptions(), samples_per_shard=3)
    extend_partitioning(store, made, None)

    def read():
        known = load_plan(store)
        for part in known.parts:
            read_shard(store, known, part.first_shard)

    readers = (
        read,
        lambda: load_partitioning(store),
        lambda: plan_urls(source, store, ListOptions(), samples_per_shard=3),
        lambda: extend_partitioning(store, made, None),
    )
    return Case(tmp_path / "plan" / file, *readers)


def kept(tmp_path, file):
    store = Store(str(tmp_path / "partition"))
    record = {"a.json": {"bytes": 2, "sha256": "0" * 64, "digest": "d"}}
    store.write("annotations/kept.json", json.dumps(record).encode())
    return Case(
        tmp_path / "partition" / "annotations" / "kept.json",
        lambda: StoreAccess(store).kept_files(),
    )


def credentials(tmp_path, file):
    tmp_path.mkdir(parents=True)
    path = tmp_path / "creds.json"
    entry = {
        "name": "store",
        "type": "trainer",
        "address": "127.0.0.1:9000",
        "access key": "a",
        "secret key": "s",
        "tls": False,
        "cert verify": False,
        "cert path": None,
        "sets": {"dataset": {"bucket": "mllib", "prefix": "data"}},
    }
    path.write_text(json.dumps({"s3": [entry]}))
    return Case(path, lambda: read_credentials_file(path))


def classes(tmp_path, file):
    tmp_path.mkdir(parents=True)
    path = tmp_path / "classes.json"
    entry = {
        "id": 1,
        "name": "car",
        "category": "vehicle",
        "trainId": 0,
        "color": [1, 2, 3],
        "display": True,
    }
    document = {"classes": 1, "ignore": 255, "background": 255, "objects": [entry]}
    path.write_text(json.dumps(document))
    return Case(path, lambda: ClassDictionary.load(path))


KINDS = {
    "manifest of shards": (shard_set, "manifest.json"),
    "commit record": (shard_set, "00000_stats.json"),
    "staged.json": (shard_set, "staged.json"),
    "manifest of a split": (split, "manifest"),
    "pointer of a split": (split, "current"),
    "record of an archive": (split, "record"),
    "record of a snapshot": (publication, ""),
    "published manifest": (published_manifest, ""),
    "plan": (plan, "plan.json"),
    "partitions": (plan, "partitions.json"),
    "seen lists": (plan, "seen.json"),
    "kept files": (kept, ""),
    "credentials": (credentials, ""),
    "class dictionary": (classes, ""),
}


def chosen(data):
    """Return the mutations to test: those of the bytes, and some of those of the values."""
    found = list(mutations(data))
    rest = Random(data).sample(found[FIRST:], min(MUTATIONS, len(found) - FIRST))
    return [*found[:FIRST], *rest]


def names_a_file(message, folder):
    """Tell whether a message names a file: the damaged one, or what its values are about."""
    return any(
        (path.name if path.is_file() else str(path)) in message for path in folder.rglob("*")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_json_ends_with_an_error_that_names_the_file(tmp_path, kind):
    make, file = KINDS[kind]
    case = make(tmp_path / "work", file)
    shutil.copytree(tmp_path / "work", tmp_path / "original")
    wrong = []
    for data in chosen(case.file.read_bytes()):
        for reader in case.readers:
            shutil.rmtree(tmp_path / "work")
            shutil.copytree(tmp_path / "original", tmp_path / "work", copy_function=os.link)
            case.file.unlink()
            case.file.write_bytes(data)
            try:
                reader()
            except DatasetAssetsError as exc:
                if not names_a_file(str(exc), tmp_path / "work"):
                    wrong.append(ascii((data[:200], f"{type(exc).__name__}: {exc}")))
            except Exception as exc:
                wrong.append(ascii((data[:200], repr(exc))))
    assert wrong == []


def test_the_files_are_taken_as_they_are_when_nothing_is_damaged(tmp_path):
    for number, (make, file) in enumerate(KINDS.values()):
        for reader in make(tmp_path / f"{number}" / "work", file).readers:
            reader()
