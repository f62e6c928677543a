import json
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import (
    ConfigurationError,
    ForeignFiles,
    ObjectMissing,
    SetInUse,
    ShardCorrupt,
    SourceError,
    TooManyBadSamples,
)
from dataset_assets.pipelines.training_set._write import write_training_set
from dataset_assets.pipelines.training_set.training_set import training_set
from dataset_assets.records.training_sets import SUMMARY, TrainingSetSummary
from dataset_assets.shards.lease import Lease
from dataset_assets.storage.store import open_store
from dataset_assets.training.estimates import LATENT
from dataset_assets.training.open_training_set import open_training_set
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.source import open_training_source
from dataset_assets_tests.support.failing_store import (
    FailingStore,
    Killed,
    Steps,
    die_at,
    distinct,
)
from dataset_assets_tests.training.sample_sets import make_image
from dataset_assets_tests.training.videos import make_video

BUCKETS = [[64, 64], [64, 128]]
SIZES = [(70, 70)] * 3 + [(40, 100)] * 2 + [(300, 290)]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number, size in enumerate(SIZES):
        (folder / f"{number:04d}.png").write_bytes(make_image(*size, value=number))
        (folder / f"{number:04d}.txt").write_text(f"The image shows {number}.")
    return folder


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def make(source, output, **options):
    return training_set(
        str(source), str(output), **{"image_resolution_buckets": BUCKETS, **options}
    )


def contents(folder):
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def test_summary_tells_buckets_and_costs(images, tmp_path):
    summary = make(images, tmp_path / "set")
    assert summary.buckets == {"1x64x64": 4, "1x64x128": 2}
    assert (summary.samples, summary.skipped, summary.left_out) == (6, {}, {})
    assert (summary.layout, summary.medium) == ("pairs", "image")
    assert summary.payload_bytes == sum(p.stat().st_size for p in images.glob("*.png"))
    assert summary.embedding_bytes[LATENT] == 4 * 16 * 64 * 2 + 2 * 16 * 128 * 2
    stored = (tmp_path / "set" / SUMMARY).read_bytes()
    assert TrainingSetSummary.from_json(stored) == summary
    assert sorted(contents(tmp_path / "set")) == sorted([summary.table.name, SUMMARY])


def test_set_opens_by_position_and_key_with_its_options(images, tmp_path):
    make(
        images,
        tmp_path / "set",
        reshape_mode="center_crop",
        id_token="TOK",
        remove_common_llm_caption_prefixes=True,
    )
    opened = open_training_set(str(tmp_path / "set"))
    assert len(opened) == 6
    found = opened["0003"]
    assert found["image"].shape == (3, 64, 128)
    assert found["caption"] == "TOK 3."
    assert [found[f"original_{name}"] for name in ("height", "width")] == [40, 100]
    assert opened[3]["key"] == "0003"
    assert Counter(map(str, opened.buckets())) == {"1x64x64": 4, "1x64x128": 2}
    copy = pickle.loads(pickle.dumps(opened))
    assert np.array_equal(copy["0003"]["image"], found["image"])
    larger = opened.with_options(SampleOptions(image_resolution_buckets=((128, 128),)))
    assert larger["0003"]["image"].shape == (3, 128, 128)
    assert larger["0003"]["caption"] == "The image shows 3."


def test_set_of_videos_is_loaded_in_batches(tmp_path):
    torch = pytest.importorskip("torch")
    from dataset_assets.loaders.options import LoaderOptions
    from dataset_assets.loaders.torch.training import training_loader

    folder = tmp_path / "videos"
    folder.mkdir()
    for number, frames in enumerate((3, 4, 9, 12, 30)):
        (folder / f"{number}.mp4").write_bytes(make_video(frames, size=(32, 48)))
        (folder / f"{number}.txt").write_text(f"video {number}")
    summary = training_set(
        str(folder),
        str(tmp_path / "set"),
        video_resolution_buckets=[[4, 32, 48], [9, 32, 48]],
        short_videos="drop",
    )
    assert summary.buckets == {"4x32x48": 1, "9x32x48": 3}
    assert summary.skipped == {"video_too_short": 1}
    opened = open_training_set(str(tmp_path / "set"))
    loader = training_loader(opened, LoaderOptions(global_batch_size=2, num_workers=1))
    batches = list(loader)
    assert sorted(key for batch in batches for key in batch["key"]) == ["1", "2", "3", "4"]
    assert {batch["video"].shape[1:] for batch in batches} == {(4, 3, 32, 48), (9, 3, 32, 48)}
    assert all(batch["video"].dtype == torch.float32 for batch in batches)


def test_unusable_samples_are_counted_and_kept_with_a_cause(images, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for name, body in contents(images).items():
        (folder / name).write_bytes(body)
    (folder / "0000.png").write_bytes(b"no image")
    (folder / "0001.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(TooManyBadSamples, match=r"at most 10% unusable samples, got 2 of 6 \(1 "):
        make(folder, tmp_path / "set")
    assert contents(tmp_path / "set").keys() - {SUMMARY} == set()
    summary = make(folder, tmp_path / "set", max_skipped_fraction=0.5)
    assert summary.skipped == {"decode_error": 1, "not_image": 1}
    assert summary.samples == 4
    rows = pq.read_table(tmp_path / "set" / summary.table.name).to_pylist()
    assert [row["cause"] for row in rows] == ["not_image", "decode_error"] + [None] * 4
    assert rows[0]["message"]


def test_samples_that_options_leave_out_are_not_bad(images, tmp_path):
    summary = make(images, tmp_path / "set", upscale=False)
    assert summary.skipped == {"image_too_small": 2}
    with pytest.raises(
        SourceError, match=r"got none of 6 \(6 image_too_small\); the first is 0000"
    ):
        make(images, tmp_path / "other", upscale=False, image_resolution_buckets=[[999, 999]])


def test_run_again_does_nothing_and_other_options_replace_the_set(images, tmp_path):
    first = make(images, tmp_path / "set")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}
    assert make(images, tmp_path / "set") == first
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "set").iterdir()}
    assert after == before
    second = make(images, tmp_path / "set", seed=3)
    assert second.fingerprint != first.fingerprint
    assert sorted(contents(tmp_path / "set")) == sorted([second.table.name, SUMMARY])


def test_bytes_are_equal_wherever_a_set_is_made(images, tmp_path):
    make(images, tmp_path / "one", threads=1)
    make(images, tmp_path / "two", threads=7)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_progress_counts_samples(images, tmp_path):
    seen = []
    make(images, tmp_path / "set", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(6, 6)]


def test_earlier_set_is_whole_when_killed_at_any_step(images, tmp_path):
    source = open_training_source(str(images))
    old = SampleOptions(image_resolution_buckets=BUCKETS)
    new = SampleOptions(image_resolution_buckets=BUCKETS, seed=1)
    steps = Steps()
    clean = open_store(str(tmp_path / "clean"))
    expected = write_training_set(source, FailingStore(clean, steps), new)
    for step in [*distinct(steps.names), len(steps.names)]:
        store = open_store(str(tmp_path / f"killed {step}"))
        first = write_training_set(source, store, old)
        try:
            write_training_set(source, FailingStore(store, die_at(step)), new)
        except Killed:
            opened = open_training_set(store.url)
            assert opened.summary in (first, expected)
            assert len(opened) == 6
        assert write_training_set(source, store, new) == expected
        assert contents(tmp_path / f"killed {step}") == contents(tmp_path / "clean")


def test_one_run_at_a_time(images, tmp_path):
    with Lease(open_store(str(tmp_path / "set"))), pytest.raises(SetInUse):
        make(images, tmp_path / "set")


def test_files_of_others_are_left_alone(images, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "notes.md").write_text("mine")
    with pytest.raises(ForeignFiles, match="expected an empty folder or a training set, got"):
        make(images, tmp_path / "set")
    assert list(contents(tmp_path / "set")) == ["notes.md"]


def test_damaged_sets_are_named_and_made_again(images, tmp_path):
    summary = make(images, tmp_path / "set")
    table = tmp_path / "set" / summary.table.name
    whole = table.read_bytes()
    table.write_bytes(whole[:-1])
    with pytest.raises(ShardCorrupt, match=f"expected {len(whole)} bytes, got {len(whole) - 1}"):
        open_training_set(str(tmp_path / "set"))
    assert make(images, tmp_path / "set") == summary
    assert table.read_bytes() == whole
    table.write_bytes(bytes(len(whole)))
    with pytest.raises(ShardCorrupt, match="not a readable Parquet file"):
        open_training_set(str(tmp_path / "set"))
    (tmp_path / "set" / SUMMARY).write_text("{}")
    with pytest.raises(ShardCorrupt, match="expected the summary of a training set"):
        open_training_set(str(tmp_path / "set"))
    record = json.loads(summary.to_json())
    (tmp_path / "set" / SUMMARY).write_text(json.dumps({**record, "table": {"name": "../x"}}))
    with pytest.raises(ShardCorrupt, match="expected the summary of a training set"):
        open_training_set(str(tmp_path / "set"))
    with pytest.raises(ObjectMissing):
        open_training_set(str(tmp_path / "none"))


def test_unknown_options_are_named(images, tmp_path):
    with pytest.raises(ConfigurationError, match="options: .* got 'reshape'; did you mean"):
        make(images, tmp_path / "set", reshape="bicubic")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("chosen", [{}, {"caption_columns": ["caption"]}])
def test_caption_columns_have_the_names_that_they_are_given(tmp_path, chosen):
    """Sources are asked for the columns by the names before, samples by those after."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.png").write_bytes(make_image(70, 70))
    row = {"file_name": "a.png", "note": "A goat.", "text": "a.png"}
    (source / "metadata.jsonl").write_text(json.dumps(row))
    make(source, tmp_path / "set", rename_columns={"note": "caption"}, **chosen)
    assert open_training_set(str(tmp_path / "set"))[0]["caption"] == "A goat."
