import gzip
import io
import json
import os
import tarfile
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from dataset_assets.archives.tar_header import SPLIT
from dataset_assets.archives.tar_reader import read_tar
from dataset_assets.errors import ObjectMissing
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.split import is_split, verify_split
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.sources import SMALL, make_images


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def make(tmp_path, **changes):
    """A split with several archives; its store, its folder, and one file in the middle of train."""
    store = open_store(str(tmp_path / "split"))
    manifest = split_archives(make_images(40), store, archives=replace(SMALL, **changes))
    file = [file for file in manifest.files if file.kind != "parquet" and file.split == "train"][1]
    return store, version_store(store, manifest), file


def cuts(data):
    """Where a tar of ours can be cut: byte offsets."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
    middle = members[len(members) // 2]
    end = members[-1].offset_data + -(-members[-1].size // 512) * 512
    return {
        "in a header": middle.offset + 100,
        "between members": middle.offset,
        "in the data": middle.offset_data + middle.size // 2,
        "in the padding": middle.offset_data + middle.size + 1,
        "without end blocks": end,
        "with half the end": end + 512,
    }


CUTS = (
    "in a header",
    "between members",
    "in the data",
    "in the padding",
    "without end blocks",
    "with half the end",
)


@pytest.mark.parametrize("compression", ["none", "gz"])
@pytest.mark.parametrize("where", CUTS)
def test_a_cut_archive_is_named_when_verified(tmp_path, compression, where):
    store, folder, file = make(tmp_path, compression=compression)
    data = folder.read(file.name)
    if compression == "gz":  # what is inside is cut, and the stream around it is sound
        plain = gzip.decompress(data)
        folder.write(file.name, gzip.compress(plain[: cuts(plain)[where]], mtime=0))
    else:
        folder.write(file.name, data[: cuts(data)[where]])
    problems = verify_split(store)
    assert problems
    assert all(file.name in problem for problem in problems)
    assert any("cut" in problem for problem in problems), problems
    assert any(file.name in problem for problem in verify_split(store, deep=False))


@pytest.mark.parametrize("where", CUTS)
def test_a_cut_archive_is_named_when_the_manifest_has_its_size_and_hash(tmp_path, where):
    """The writer of the manifest saw a cut file too: only its structure tells."""
    import hashlib

    store, folder, file = make(tmp_path, compression="none")
    data = folder.read(file.name)[: cuts(folder.read(file.name))[where]]
    folder.write(file.name, data)
    manifest = load_split(store)
    wrong = replace(file, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    files = tuple(wrong if each == file else each for each in manifest.files)
    folder.write("manifest.json", replace(manifest, files=files).to_json())
    problems = verify_split(store)
    assert len(problems) == 1
    assert file.name in problems[0]


@pytest.mark.parametrize("kind", ["tar", "parquet"])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.99])
def test_a_file_is_named_when_a_byte_of_it_has_changed(tmp_path, kind, at):
    store, folder, _ = make(tmp_path, compression="none")
    file = next(file for file in load_split(store).files if file.kind == kind)
    data = bytearray(folder.read(file.name))
    data[int(len(data) * at)] ^= 1
    folder.write(file.name, bytes(data))
    problems = verify_split(store)
    assert problems
    assert all(file.name in problem for problem in problems)
    assert verify_split(store, deep=False) == []


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_file_is_named_when_it_is_missing(tmp_path, kind):
    store, folder, _ = make(tmp_path, compression="none")
    file = next(file for file in load_split(store).files if file.kind == kind)
    folder.delete(file.name)
    for deep in (True, False):
        assert [
            problem
            for problem in verify_split(store, deep=deep)
            if file.name in problem and "missing" in problem
        ]


def test_a_file_is_named_when_it_is_not_in_the_manifest(tmp_path):
    store, folder, _ = make(tmp_path)
    folder.write("data/train-00007-of-00008.parquet", b"stale")
    assert verify_split(store) == [
        "data/train-00007-of-00008.parquet is not in the manifest; delete it"
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../escape.jpg", tarfile.REGTYPE),
        ("/etc/passwd", tarfile.REGTYPE),
        ("s0001.jpg", tarfile.SYMTYPE),
        ("s0001.jpg", tarfile.CHRTYPE),
    ],
)
def test_an_archive_is_refused_when_a_member_could_do_harm(tmp_path, name, kind):
    store, folder, file = make(tmp_path, compression="none")
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        tar.addfile(member, io.BytesIO())
    folder.write(file.name, sink.getvalue())
    assert any(file.name in problem for problem in verify_split(store))
    assert not (tmp_path / "escape.jpg").exists()
    from dataset_assets.errors import ShardCorrupt

    with folder.open_read(file.name) as opened, pytest.raises(ShardCorrupt, match=file.name):
        list(read_tar(opened, file.name, SPLIT))


def edit_assignment(folder, change):
    with folder.open_read("assignment.parquet") as opened:
        table = pq.read_table(opened)
    rows = table.to_pylist()
    change(rows)
    sink = io.BytesIO()
    pq.write_table(table.from_pylist(rows, schema=table.schema), sink)
    folder.write("assignment.parquet", sink.getvalue())


def other_split(rows, row):
    return next(each["split"] for each in rows if each["split"] != row["split"])


def leak_a_group(rows):
    rows[1]["group"] = rows[0]["group"]
    rows[1]["split"] = other_split(rows, rows[0])


def leak_a_digest(rows):
    rows[0]["digest"] = rows[1]["digest"] = "sha256:00"
    rows[1]["split"] = other_split(rows, rows[0])


def move_a_sample(rows):
    rows[0]["split"] = other_split(rows, rows[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (leak_a_group, "group 's0000' is in"),
        (leak_a_digest, "digest 'sha256:00' is in"),
        (move_a_sample, "sample 's0000' is in the tables of"),
        (lambda rows: rows.append(rows[0]), "expected each key once"),
        (lambda rows: rows.pop(), "samples in"),
    ],
)
def test_a_leak_is_found_when_the_assignment_has_one(tmp_path, change, said):
    store, folder, _ = make(tmp_path)
    edit_assignment(folder, change)
    assert any(said in problem for problem in verify_split(store))


def test_equal_contents_are_no_leak_when_they_may_be_apart(tmp_path):
    store = open_store(str(tmp_path / "split"))
    source = make_images(40, columns={"sha256": "string"})
    source.items = [replace(sample, columns={"sha256": "ab"}) for sample in source.items]
    split_archives(source, store, SplitOptions(keep_duplicates_together=False))
    assert verify_split(store) == []


@pytest.mark.parametrize("assignment", [None, b"", b"PAR1 no"])
def test_an_assignment_is_named_when_it_cannot_be_read(tmp_path, assignment):
    store, folder, _ = make(tmp_path)
    folder.delete("assignment.parquet") if assignment is None else folder.write(
        "assignment.parquet", assignment
    )
    problems = verify_split(store)
    assert len(problems) == 1
    assert "assignment.parquet" in problems[0]


def test_counts_are_compared_when_the_manifest_says_something_else(tmp_path):
    store, folder, _ = make(tmp_path)
    raw = json.loads(folder.read("manifest.json"))
    raw["splits"]["train"]["samples"] += 1
    folder.write("manifest.json", json.dumps(raw).encode())
    problems = verify_split(store, deep=False)
    assert any(problem.startswith("the archives of train: expected") for problem in problems)
    assert any(problem.startswith("the tables of train: expected") for problem in problems)
    assert any(
        problem.startswith("assignment.parquet: expected") and "for train" in problem
        for problem in problems
    )


@pytest.mark.parametrize("changes", [{"tables": False}, {"archives": False}, {"layout": "frames"}])
def test_nothing_is_wrong_when_only_some_files_were_asked_for(tmp_path, changes):
    store = open_store(str(tmp_path / "split"))
    split_archives(make_images(40), store, archives=ArchiveOptions(**changes))
    assert verify_split(store) == []


def test_a_manifest_is_a_problem_when_it_cannot_be_read(tmp_path):
    store, folder, _ = make(tmp_path)
    folder.write("manifest.json", b"{}")
    assert len(verify_split(store)) == 1


def test_a_folder_without_a_split_is_an_error_when_verified(tmp_path):
    store = open_store(str(tmp_path))
    assert not is_split(store)
    with pytest.raises(ObjectMissing):
        verify_split(store)
