import pytest

from dataset_assets.errors import ConfigurationError, ObjectMissing
from dataset_assets.pipelines.split.open_source import open_source
from dataset_assets_tests.pipelines.sources import write_recordings


def test_recordings_are_recognized_when_frames_lie_two_folders_deep(tmp_path):
    source = open_source("auto", write_recordings(tmp_path, 2))
    assert (source.kind, source.media, len(source.samples())) == ("recordings", "frames", 4)


@pytest.mark.parametrize("depth", ["", "cats", "cats/small/grey"])
def test_files_are_recognized_when_images_lie_anywhere_else(tmp_path, depth):
    folder = tmp_path / depth
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1.jpg").write_bytes(b"x")
    source = open_source("auto", str(tmp_path))
    assert (source.kind, len(source.samples())) == ("files", 1)


def test_options_reach_the_source_when_they_are_its_own(tmp_path):
    source = open_source("recordings", write_recordings(tmp_path, 2), fps=12.5)
    assert source.columns["fps"] == "double"


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        (
            "recording",
            {},
            (
                "kind of source: expected one of auto, files, recordings, shards, got 'recording'; "
                "did you mean"
            ),
        ),
        (
            "recordings",
            {"pattern": "*"},
            "options of recordings: expected some of extensions, ignore, fps, cameras",
        ),
        (
            "files",
            {"fps": 3.0},
            "options of files: expected some of pattern, extensions, group, ignore",
        ),
        ("shards", {"fps": 3.0}, "options of shards: expected none, got 'fps'"),
    ],
)
def test_an_option_is_refused_when_the_kind_does_not_have_it(tmp_path, kind, options, said):
    with pytest.raises(ConfigurationError) as refused:
        open_source(kind, write_recordings(tmp_path, 2), **options)
    assert said in str(refused.value)


def test_several_folders_are_refused_when_they_are_no_shards(tmp_path):
    with pytest.raises(ConfigurationError, match="expected one folder, got 2"):
        open_source("recordings", [write_recordings(tmp_path / "a", 2), str(tmp_path)])


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(ObjectMissing, match="got an empty folder"):
        open_source("auto", str(tmp_path))
