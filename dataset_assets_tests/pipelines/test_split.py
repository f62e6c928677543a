import pytest

from dataset_assets import split, verify
from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets_tests.pipelines.sources import write_recordings


@pytest.fixture
def recordings(tmp_path):
    return write_recordings(tmp_path / "recordings", 10)


def test_flat_options_reach_split_archives_and_source(recordings, tmp_path):
    seen = []
    manifest = split(
        recordings,
        str(tmp_path / "split"),
        ratios={"train": 0.8, "test": 0.2},
        seed=7,
        compression="none",
        fps=12.5,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert {name: count.samples for name, count in manifest.splits.items()} == {
        "train": 16,
        "test": 4,
    }
    assert manifest.options["seed"] == 7
    assert manifest.columns["fps"] == "double"
    assert {file.kind for file in manifest.files} == {"tar", "parquet"}
    assert seen[-1] == (20, 20)


def test_option_is_refused_when_nothing_has_it(recordings, tmp_path):
    with pytest.raises(
        ConfigurationError, match="options of recordings: expected some of .*, got 'sead'"
    ):
        split(recordings, str(tmp_path / "split"), sead=7)


@pytest.mark.parametrize("below", ["", "split", "split/a"])
def test_an_output_in_the_source_is_refused_before_anything_is_written(recordings, tmp_path, below):
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match="output: expected a folder outside the source"):
        split(recordings, f"{recordings}/{below}")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_beside_the_source_may_begin_with_its_name(recordings, tmp_path):
    assert split(recordings, f"{recordings} split").splits["train"].samples


def test_verify_finds_nothing_in_a_sound_split_and_names_what_is_missing(recordings, tmp_path):
    folder = tmp_path / "split"
    manifest = split(recordings, str(folder))
    assert verify(str(folder)) == verify(str(folder), quick=True) == []
    name = manifest.files[0].name
    (folder / "versions" / manifest.version / name).unlink()
    assert [name in problem for problem in verify(str(folder), quick=True)] == [True]


def test_verify_refuses_a_folder_that_holds_nothing(tmp_path):
    with pytest.raises(ObjectMissing, match=r"expected a shard set of this package or a split"):
        verify(str(tmp_path))
