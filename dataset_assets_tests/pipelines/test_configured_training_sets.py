import json

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.training_set.configured import configured_training_sets
from dataset_assets.training.open_training_set import open_training_set
from dataset_assets_tests.training.sample_sets import make_image
from dataset_assets_tests.training.videos import make_video


@pytest.fixture
def sources(tmp_path):
    for name in ("photos", "clips"):
        (tmp_path / name).mkdir()
    for number in range(6):
        (tmp_path / "photos" / f"{number}.png").write_bytes(make_image(40, 40, number))
        (tmp_path / "photos" / f"{number}.txt").write_text(f"The image shows {number}.")
    for number in range(3):
        (tmp_path / "clips" / f"{number}.mp4").write_bytes(make_video(6, size=(32, 32)))
    (tmp_path / "clips" / "prompt.txt").write_text("a\nb\nc\n")
    (tmp_path / "clips" / "videos.txt").write_text("0.mp4\n1.mp4\n2.mp4\n")
    return tmp_path


def write(folder, *entries):
    path = folder / "training.json"
    path.write_text(json.dumps({"datasets": entries}))
    return str(path)


def entries_of(folder):
    photos = {"data_root": str(folder / "photos"), "dataset_type": "image", "id_token": "TOK"}
    return (
        {**photos, "image_resolution_buckets": [[32, 32]], "reshape_mode": "center_crop"},
        {**photos, "image_resolution_buckets": [[64, 64]]},
        {
            "data_root": str(folder / "clips"),
            "dataset_type": "video",
            "video_resolution_buckets": [[5, 32, 32]],
        },
    )


def test_sets_of_a_configuration_are_loaded_together(sources):
    pytest.importorskip("torch")
    from dataset_assets.loaders.options import LoaderOptions
    from dataset_assets.loaders.torch.training import training_loader

    path = write(sources, *entries_of(sources))
    made = configured_training_sets(path, str(sources / "sets"))
    assert list(made.values()) == [None, None, None]
    assert [url.rpartition("/")[2].rpartition("-")[0] for url in made] == ["photos"] * 2 + ["clips"]
    assert configured_training_sets(path, str(sources / "sets")) == made
    sets = [open_training_set(url) for url in made]
    assert [each.summary.layout for each in sets] == ["pairs", "pairs", "two_file"]
    loader = training_loader(sets, LoaderOptions(global_batch_size=3))
    batches = list(loader)
    assert sorted(batch["bucket"] for batch in batches) == [
        *[(1, 32, 32)] * 2,
        *[(1, 64, 64)] * 2,
        (5, 32, 32),
    ]
    captions = {caption for batch in batches for caption in batch["caption"]}
    assert captions == {f"TOK The image shows {number}." for number in range(6)} | {*"abc"}


def test_weights_are_handed_on(sources):
    first, second, third = entries_of(sources)
    path = write(sources, {**first, "weight": 2}, {**second, "weight": 1}, {**third, "weight": 1})
    made = configured_training_sets(path, str(sources / "sets"))
    assert list(made.values()) == [2, 1, 1]


def test_configurations_that_cannot_be_read_are_named(sources):
    with pytest.raises(
        ConfigurationError, match="none.json: expected a dataset configuration, got"
    ):
        configured_training_sets(str(sources / "none.json"), str(sources / "sets"))
    first, *_ = entries_of(sources)
    path = write(sources, first, first)
    with pytest.raises(ConfigurationError, match="expected distinct sets, got .*photos with equal"):
        configured_training_sets(path, str(sources / "sets"))
