import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dataset_assets.errors import (
    ConfigurationError,
    EmptyList,
    LeaseLost,
    ObjectMissing,
    SetInUse,
    ShardCorrupt,
)
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.records.splits import SourceSample
from dataset_assets.shards.lease import Lease
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.sources import recordings
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.sources import (
    FRAMES,
    SMALL,
    MemorySource,
    archived,
    contents,
    make_images,
    payload_of,
    videos,
    write_recordings,
)


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def store(tmp_path):
    return open_store(str(tmp_path / "split"))


def counts(manifest):
    return {split: count.samples for split, count in manifest.splits.items()}


@pytest.mark.parametrize("shuffle", [None, 1])
def test_ten_recordings_with_two_cameras_give_14_4_2_videos_when_split(tmp_path, store, shuffle):
    folder = write_recordings(tmp_path / "videos", 10, shuffle=shuffle)
    manifest = split_archives(recordings.SplitSource(open_store(folder)), store)
    assert counts(manifest) == {"train": 14, "validation": 4, "test": 2}
    found = videos(store)
    assert {split: len(keys) for split, keys in found.items()} == {
        "train": 14,
        "validation": 4,
        "test": 2,
    }
    assert sorted(key for keys in found.values() for key in keys) == [
        f"rec_{i:02d}/cam_{j}" for i in range(10) for j in range(2)
    ]
    by_split = {split: {key.partition("/")[0] for key in keys} for split, keys in found.items()}
    assert sum(map(len, by_split.values())) == 10, "a recording is in two splits"
    assert verify_split(store) == []


@pytest.mark.parametrize("layout", ["webdataset", "frames"])
def test_every_frame_of_the_last_video_is_there_when_an_archive_ends(tmp_path, store, layout):
    folder = write_recordings(tmp_path / "videos", 10)
    split_archives(
        recordings.SplitSource(open_store(folder)),
        store,
        archives=ArchiveOptions(layout=layout, max_archive_bytes=20_000),
    )
    for split, names in archived(store).items():
        frames = [name for name in names if name.endswith(".pgm")]
        dealt = counts(load_split(store))[split]
        assert len(frames) == dealt * FRAMES
        last = frames[-1][: len("rec_00/cam_0")]
        assert [name.startswith(last) for name in frames[-FRAMES:]] == [True] * FRAMES


def test_no_old_recording_moves_when_stable_and_recordings_are_added(tmp_path, store):
    def dealt(count):
        folder = write_recordings(tmp_path / "videos", count)
        split_archives(
            recordings.SplitSource(open_store(folder)), store, SplitOptions(method="stable")
        )
        return {key: split for split, keys in videos(store).items() for key in keys}

    before, after = dealt(10), dealt(40)
    assert len(after) == 80
    assert {key: after[key] for key in before} == before


@pytest.mark.parametrize("compression", ["none", "gz"])
def test_bytes_are_equal_when_written_twice_to_two_folders_from_a_shuffled_source(
    tmp_path, compression
):
    options = replace(SMALL, compression=compression)
    stores = [open_store(str(tmp_path / name)) for name in ("one", "two")]
    source = make_images(60)
    manifests = [
        split_archives(each, store, archives=options)
        for each, store in zip((source, source.shuffled()), stores, strict=True)
    ]
    assert manifests[0] == manifests[1]
    assert contents(stores[0]) == contents(stores[1])
    assert (
        len(
            [
                file
                for file in manifests[0].files
                if file.kind != "parquet" and file.split == "train"
            ]
        )
        > 2
    )


def test_bytes_are_equal_when_recordings_were_written_in_another_order(tmp_path):
    written = []
    for name, shuffle in (("one", None), ("two", 5)):
        folder = write_recordings(tmp_path / name, 6, shuffle=shuffle)
        for path in sorted((tmp_path / name).rglob("*.pgm")):
            os.utime(path, ns=(10**18, 10**18))
        out = open_store(str(tmp_path / f"{name} split"))
        split_archives(recordings.SplitSource(open_store(folder)), out, archives=SMALL)
        written.append(contents(out))
    assert written[0] == written[1]


def test_a_version_is_new_when_the_seed_changes(store):
    first = split_archives(make_images(40), store)
    second = split_archives(make_images(40), store, SplitOptions(seed=43))
    assert first.version != second.version
    assert load_split(store) == second
    assert videos(store) != {}
    assert split_archives(make_images(40), store).version == first.version


@pytest.mark.parametrize(
    "other",
    [
        lambda store: split_archives(make_images(40, fingerprint="e" * 64), store),
        lambda store: split_archives(
            make_images(40),
            store,
            SplitOptions(ratios={"test": 0.1, "train": 0.75, "validation": 0.15}),
        ),
        lambda store: split_archives(
            make_images(40), store, archives=ArchiveOptions(layout="frames")
        ),
    ],
)
def test_a_version_is_new_when_source_ratios_or_files_change(store, other):
    assert split_archives(make_images(40), store).version != other(store).version


def test_nothing_is_read_or_written_when_the_version_is_there(store):
    source = make_images(40)
    manifest = split_archives(source, store, archives=SMALL)
    assert sorted(source.read_keys) == sorted(sample.key for sample in source.items), (
        "every sample is read once"
    )
    before = {info.key: info for info in store.list()}
    again = make_images(40)
    assert split_archives(again, store, archives=SMALL) == manifest
    assert again.read_keys == []
    assert {info.key: info for info in store.list()} == before


def test_only_the_missing_file_is_made_when_one_was_deleted(store):
    source = make_images(40)
    manifest = split_archives(source, store, archives=SMALL)
    before = contents(store)
    folder = version_store(store, manifest)
    lost = next(file for file in manifest.files if file.kind == "tar")
    folder.delete(lost.name)
    again = make_images(40)
    assert split_archives(again, store, archives=SMALL) == manifest
    assert len(again.read_keys) == lost.samples
    assert contents(store) == before


def test_a_manifest_is_written_again_when_it_was_cut(store):
    manifest = split_archives(make_images(20), store)
    before = contents(store)
    folder = version_store(store, manifest)
    folder.write("manifest.json", manifest.to_json()[:100])
    assert split_archives(make_images(20), store) == manifest
    assert contents(store) == before


def test_payloads_are_those_of_the_source_when_read_back(store):
    import pyarrow.parquet as pq

    source = make_images(30)
    manifest = split_archives(source, store, archives=SMALL)
    folder, expected = (
        version_store(store, manifest),
        {sample.key: payload_of(sample) for sample in source.items},
    )
    rows = {}
    for file in manifest.files:
        if file.kind == "parquet":
            with folder.open_read(file.name) as opened:
                rows |= {row["key"]: row for row in pq.read_table(opened).to_pylist()}
    assert {key: row["image"]["bytes"] for key, row in rows.items()} == expected
    assert rows["s0007"]["caption"] == "picture 7"


def test_runs_at_the_same_time_end_with_one_sound_version(store):
    def run(seed):
        return split_archives(make_images(40).shuffled(seed), store, archives=SMALL)

    with ThreadPoolExecutor(3) as threads:
        runs = [threads.submit(run, seed) for seed in range(3)]
    ended = [run.exception() for run in runs]
    assert {type(error) for error in ended} <= {type(None), SetInUse}
    assert [run.result() == load_split(store) for run in runs if run.exception() is None]
    assert verify_split(store) == []


def test_old_versions_are_deleted_when_new_ones_are_kept(store):
    versions = [
        split_archives(make_images(20), store, SplitOptions(seed=seed), keep_versions=2).version
        for seed in (1, 2, 3)
    ]
    kept = {info.key.split("/")[1] for info in store.list("versions/")}
    assert kept == set(versions[1:])
    assert load_split(store).version == versions[2]
    split_archives(make_images(20), store, SplitOptions(seed=2), keep_versions=2)
    assert load_split(store).version == versions[1]
    assert {info.key.split("/")[1] for info in store.list("versions/")} == kept


def test_versions_that_killed_runs_left_are_deleted_and_other_folders_are_not(store):
    split_archives(make_images(20), store)
    left = f"versions/{'a' * 64}/archives/train-00000-of-00001.tar"
    store.write(left, b"half")
    store.write("versions/of mine/notes.txt", b"mine")
    split_archives(make_images(20), store)
    assert store.size(left) is None
    assert store.read("versions/of mine/notes.txt") == b"mine"
    assert verify_split(store) == []


def test_a_split_into_a_folder_in_use_is_refused_and_changes_nothing(store):
    split_archives(make_images(20), store)
    with Lease(store):
        before = contents(store)
        with pytest.raises(SetInUse, match="in use by process"):
            split_archives(make_images(21), store)
        assert contents(store) == before


def test_a_run_that_was_taken_over_commits_nothing_more(store):
    def take_over(done, samples):
        store.write("_lease-00000002", b"{}")

    with pytest.raises(LeaseLost):
        split_archives(make_images(20), store, progress=take_over)
    assert [info.key for info in store.list() if info.key.endswith((".tar", "current.json"))] == []


def test_a_split_without_samples_has_an_empty_table_when_its_ratio_is_0(store):
    manifest = split_archives(make_images(20), store, SplitOptions(ratios={"train": 1, "test": 0}))
    assert counts(manifest) == {"train": 20, "test": 0}
    assert [file.name for file in manifest.files if file.split == "test"] == [
        "data/test-00000-of-00001.parquet"
    ]
    assert verify_split(store) == []


def test_progress_counts_to_the_end_when_files_are_missing(store):
    seen = []
    split_archives(
        make_images(20),
        store,
        archives=SMALL,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(count, 20) for count in range(1, 21)]
    seen.clear()
    split_archives(
        make_images(20),
        store,
        archives=SMALL,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == []


def test_memory_is_bounded_when_the_source_is_larger(tmp_path, store):
    sample_bytes, count = 1_000_000, 60
    options = ArchiveOptions(
        row_group_bytes=4_000_000, max_archive_bytes=20_000_000, max_table_bytes=20_000_000
    )
    source = make_images(count, size=sample_bytes)
    tracemalloc.start()
    split_archives(source, store, archives=options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * sample_bytes, f"{peak / 1e6:.0f} MB at once of {count} MB"


def test_a_pickle_is_stored_and_never_executed_when_it_is_a_member(tmp_path, store, monkeypatch):
    marker = tmp_path / "executed"
    code = f"cposix\nsystem\n(Vtouch {marker}\ntR.".encode()
    source = MemorySource(
        [SourceSample(f"s{i}", f"s{i}", len(code), ("pkl",), {"caption": "no"}) for i in range(12)],
        media="file",
    )
    monkeypatch.setattr(MemorySource, "read", lambda self, sample: [code])
    manifest = split_archives(source, store)
    assert verify_split(store) == []
    assert [name for name in archived(store)["train"] if name.endswith(".pkl")]
    assert manifest.samples == 12
    assert not marker.exists()


@pytest.mark.parametrize(
    "key",
    [
        "../escape",
        "/absolute",
        "a/../../b",
        "a\\b",
        ".hidden",
        "__skipped",
        "a.b",
        "a//b",
        "",
        "a\nb",
    ],
)
def test_a_key_is_refused_when_it_is_not_safe_in_an_archive(store, key):
    source = make_images(20)
    source.items[3] = replace(source.items[3], key=key)
    with pytest.raises(ConfigurationError) as refused:
        split_archives(source, store)
    assert repr(key) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert contents(store) == {}


@pytest.mark.parametrize("part", ["../jpg", "a/../../x", "j\\pg"])
def test_a_part_is_refused_when_it_leaves_the_archive(store, part):
    source = make_images(20)
    source.items[3] = replace(source.items[3], parts=(part,))
    with pytest.raises(ConfigurationError):
        split_archives(source, store, archives=ArchiveOptions(layout="frames"))
    assert "current.json" not in contents(store)


@pytest.mark.parametrize("found", [[b"longer or shorter"], [b"x" * 350, b"x" * 353], []])
def test_a_source_is_refused_when_it_has_changed_since_it_was_listed(store, monkeypatch, found):
    source, read = make_images(20), MemorySource.read
    monkeypatch.setattr(
        MemorySource,
        "read",
        lambda self, sample: found if sample.key == "s0003" else read(self, sample),
    )
    with pytest.raises(ShardCorrupt, match="sample 's0003': expected .*; the source has changed"):
        split_archives(source, store)
    assert "current.json" not in contents(store)
    assert not list(store.root.glob("**/_tmp/*"))


@pytest.mark.parametrize(
    ("source", "options", "more", "error", "said"),
    [
        (
            make_images(0),
            {},
            {},
            EmptyList,
            "source (memory): expected at least one sample, got none",
        ),
        (
            make_images(2),
            {},
            {},
            ConfigurationError,
            "each of the 3 splits (train, validation, test), got 2 group(s)",
        ),
        (make_images(20), {"group_by": "recording"}, {}, ConfigurationError, "recording"),
        (make_images(20), {"stratify_by": "label"}, {}, ConfigurationError, "label"),
        (
            make_images(20),
            {},
            {"keep_versions": 0},
            ConfigurationError,
            "keep_versions: expected an integer of at least 1",
        ),
        (MemorySource(make_images(3).items * 2), {}, {}, ConfigurationError, "s0000"),
    ],
)
def test_bad_input_is_one_line_when_it_cannot_work(store, source, options, more, error, said):
    with pytest.raises(error) as refused:
        split_archives(source, store, SplitOptions(**options), **more)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_nothing_is_loaded_when_there_is_no_split(store):
    with pytest.raises(ObjectMissing, match="no split in"):
        load_split(store)


@pytest.mark.parametrize(
    "pointer", [b"", b"{", b"[]", b'{"version": "../../etc"}', b'{"version": 7}', b'{"other": 1}']
)
def test_a_pointer_is_refused_when_it_is_not_one(store, pointer):
    split_archives(make_images(20), store)
    store.write("current.json", pointer)
    with pytest.raises(ShardCorrupt, match="expected a pointer to a version of a split"):
        load_split(store)


def test_a_manifest_is_refused_when_it_is_newer_or_gone(store):
    manifest = split_archives(make_images(20), store)
    folder = version_store(store, manifest)
    folder.write(
        "manifest.json",
        json.dumps({**json.loads(manifest.to_json()), "schema_version": 99}).encode(),
    )
    with pytest.raises(ConfigurationError, match="expected schema version 1 at most, got 99"):
        load_split(store)
    folder.delete("manifest.json")
    with pytest.raises(ShardCorrupt, match="is missing"):
        load_split(store)


def test_a_split_is_made_when_the_store_is_not_a_disk():
    store = open_store("memory://splits/of/pictures")
    try:
        manifest = split_archives(make_images(40), store, archives=SMALL)
        assert load_split(store) == manifest
        assert verify_split(store) == []
    finally:
        store.delete_tree("")
