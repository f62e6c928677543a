"""`download` into a folder that holds something already: nothing that is not ours is touched."""

import json
from pathlib import Path

import pytest

from dataset_assets import registry
from dataset_assets.distribute.serial import Distributor as SerialDistributor
from dataset_assets.errors import ForeignFiles, PlanMismatch, SetInUse, ShardIncomplete
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.shards.lease import Lease
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.downloads import make

IMG2DATASET = ("count", "successes", "failed_to_download", "failed_to_resize", "duration")
IMG2DATASET += ("start_time", "end_time", "status_dict")


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


class Interrupted(SerialDistributor):
    """A distributor that ends before its last task, as if it had been killed."""

    def run(self, work, tasks):
        return super().run(work, list(tasks)[:-1])


@pytest.fixture
def begun_by_img2dataset(gallery):
    """A folder with one of three shards, the record as img2dataset writes it."""
    make(gallery, rows=30, layout="img2dataset")
    out = gallery.folder / "out"
    record = json.loads((out / "00000_stats.json").read_text())
    theirs = {name: record[name] for name in IMG2DATASET}
    (out / "00000_stats.json").write_text(json.dumps(theirs, indent=4))
    for shard in ("00001", "00002"):
        for suffix in (".tar", ".parquet", "_stats.json"):
            (out / f"{shard}{suffix}").unlink()
    return out


@pytest.mark.parametrize("layout", ["dataset_assets", "img2dataset"])
def test_shards_of_another_tool_are_not_touched(gallery, begun_by_img2dataset, layout):
    before = contents(begun_by_img2dataset)
    gallery.server.forget()
    with pytest.raises(ForeignFiles, match=r"got 00000.parquet, 00000.tar, 00000_stats.json"):
        make(gallery, rows=30, layout=layout)
    assert contents(begun_by_img2dataset) == before
    assert gallery.server.requests == 0


def test_they_are_replaced_when_that_is_asked_for(gallery, begun_by_img2dataset):
    report = make(gallery, rows=30, incremental_mode="overwrite")
    assert (report.rows, report.made) == (30, 3)
    assert verify_set(open_store(str(begun_by_img2dataset))) == []


@pytest.mark.parametrize(
    ("output_format", "name"),
    [
        ("webdataset", "00001.tar"),
        ("webdataset", "00002.parquet"),
        ("parquet", "00000.parquet"),
        ("files", "00000/holiday.jpg"),
        ("dummy", "00001_stats.json"),
    ],
)
def test_a_file_of_a_person_is_not_touched(gallery, output_format, name):
    path = gallery.folder / "out" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(ForeignFiles, match=f"got {name}; nothing was changed"):
        make(gallery, rows=30, output_format=output_format)
    assert contents(gallery.folder / "out") == {name: b"mine"}


@pytest.mark.parametrize("name", ["notes.txt", "00007.tar", "data/00000.tar", "00000.tar.bak"])
def test_files_under_other_names_are_no_trouble(gallery, name):
    path = gallery.folder / "out" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    assert make(gallery, rows=30).rows == 30
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("suffix", [".tar", ".parquet", "_stats.json"])
def test_a_shard_of_ours_is_made_again_when_one_of_its_files_is_gone(gallery, suffix):
    make(gallery, rows=30)
    before = contents(gallery.folder / "out")
    (gallery.folder / "out" / f"00001{suffix}").unlink()
    report = make(gallery, rows=30)
    assert (report.made, report.skipped) == (1, 2)
    same = contents(gallery.folder / "out")
    assert same["00001.tar"] == before["00001.tar"]


def test_two_runs_at_once_do_not_mix(gallery):
    out = open_store(str(gallery.folder / "out"))
    with Lease(out), pytest.raises(SetInUse, match="wait until that run is done"):
        make(gallery, rows=30)
    assert contents(gallery.folder / "out") == {}
    assert make(gallery, rows=30).rows == 30


def test_an_interrupted_extension_resumes(gallery, monkeypatch):
    make(gallery, rows=20)
    extension = {
        "source": gallery.list(25, first=100, name="more.parquet"),
        "incremental_mode": "extend",
    }
    load = registry.load
    with monkeypatch.context() as patch:
        patch.setattr(
            registry,
            "load",
            lambda role, name: Interrupted if role == "distributor" else load(role, name),
        )
        with pytest.raises(ShardIncomplete):
            make(gallery, **extension)
    with pytest.raises(PlanMismatch, match="expected the list whose extension was interrupted"):
        make(
            gallery,
            source=gallery.list(15, first=300, name="other.parquet"),
            incremental_mode="extend",
        )
    report = make(gallery, **extension)
    assert (report.rows, report.made, report.skipped) == (45, 1, 2)
    assert [shard.name for shard in report.manifest.shards] == [f"0000{n}" for n in range(5)]
    assert make(gallery, **extension).rows == 70  # the next extension, with the same list


@pytest.mark.parametrize(
    "change", [{"image_size": 32}, {"output_format": "parquet"}, {"encode_quality": 80}]
)
def test_an_extension_with_other_options_is_refused(gallery, change):
    make(gallery, rows=20)
    before = contents(gallery.folder / "out")
    with pytest.raises(PlanMismatch, match="expected the format and the options of the shards"):
        make(gallery, rows=10, incremental_mode="extend", **change)
    assert contents(gallery.folder / "out") == before


def test_names_of_another_length_are_refused(gallery):
    make(gallery, rows=20)
    before = contents(gallery.folder / "out")
    with pytest.raises(PlanMismatch, match="expected names of 6 digits"):
        make(gallery, rows=20, oom_shard_count=6)
    assert contents(gallery.folder / "out") == before
