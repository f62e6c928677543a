import hashlib
import os

import pytest

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt, UnreadableSource
from dataset_assets.splits.source import SplitSource as SplitSourceContract
from dataset_assets.splits.source import check_sample_key
from dataset_assets.splits.sources.recordings import RecordingOptions, SplitSource
from dataset_assets.storage.store import open_store
from dataset_assets_tests.splits.folders import STORES, local_store, memory_store


@pytest.fixture(params=STORES)
def make_store(request, tmp_path):
    return lambda files: STORES[request.param](tmp_path, files)


def frames(*keys):
    return {key: key.encode() for key in keys}


TWO_CAMERAS = frames(
    "r2/b/f_1.pgm", "r1/a/f_10.pgm", "r1/a/f_2.pgm", "r1/b/7.PGM", "r2/a/x_3.png", "r2/a/x_1.jpg"
)


def test_videos_are_listed_with_frames_in_playing_order_when_numbers_have_no_zeros(make_store):
    source = SplitSource(make_store(TWO_CAMERAS))
    found = {
        sample.key: (sample.group, sample.parts, sample.columns) for sample in source.samples()
    }
    assert list(found) == ["r1/a", "r1/b", "r2/a", "r2/b"]
    assert found["r1/a"] == (
        "r1",
        ("0000.pgm", "0001.pgm"),
        {"recording": "r1", "camera": "a", "n_frames": 2},
    )
    assert found["r1/b"] == ("r1", ("0000.pgm",), {"recording": "r1", "camera": "b", "n_frames": 1})
    assert found["r2/a"][1] == ("0000.jpg", "0001.png")
    assert (source.kind, source.media) == ("recordings", "frames")
    assert source.columns == {"recording": "string", "camera": "string", "n_frames": "int32"}


def test_payloads_are_read_in_playing_order_when_asked(make_store):
    source = SplitSource(make_store(TWO_CAMERAS))
    read = {sample.key: source.read(sample) for sample in source.samples()}
    assert read["r1/a"] == [b"r1/a/f_2.pgm", b"r1/a/f_10.pgm"]
    assert all(sum(map(len, read[sample.key])) == sample.bytes for sample in source.samples())


def test_source_keeps_the_contract_when_it_is_used_as_one(make_store):
    source: SplitSourceContract = SplitSource(make_store(TWO_CAMERAS))
    assert all(
        check_sample_key(sample.key) and list(sample.columns) == list(source.columns)
        for sample in source.samples()
    )


def test_parts_sort_as_they_play_when_there_are_more_than_ten_thousand(tmp_path):
    source = SplitSource(
        memory_store(tmp_path, dict.fromkeys((f"r/c/{index}.pgm" for index in range(10_001)), b"x"))
    )
    parts = source.samples()[0].parts
    assert (parts[0], parts[-1]) == ("00000.pgm", "10000.pgm")
    assert list(parts) == sorted(parts)


@pytest.mark.parametrize("name", ["a_b_2.pgm", "2.pgm", "cam2_0002.pgm", "x-002.pgm", "1.0.2.pgm"])
def test_last_number_of_the_name_counts_when_there_are_several(make_store, name):
    source = SplitSource(
        make_store(
            {
                f"r_9/c_8/{name}": b"second",
                "r_9/c_8/0001_1.pgm": b"first",
                "r_9/c_8/frame10.pgm": b"third",
            }
        )
    )
    assert source.read(source.samples()[0]) == [b"first", b"second", b"third"]


def test_frames_lie_in_the_recording_when_there_are_no_cameras(make_store):
    source = SplitSource(
        make_store(frames("r1/1.pgm", "r1/2.pgm", "r2/1.pgm")), RecordingOptions(cameras=False)
    )
    assert [(sample.key, sample.group, len(sample.parts)) for sample in source.samples()] == [
        ("r1", "r1", 2),
        ("r2", "r2", 1),
    ]
    assert source.columns == {"recording": "string", "n_frames": "int32"}


def test_frame_rate_is_a_column_when_given(make_store):
    source = SplitSource(make_store(frames("r/c/1.pgm")), RecordingOptions(fps=29.97))
    assert source.columns["fps"] == "double"
    assert source.samples()[0].columns["fps"] == 29.97


def test_equal_videos_have_equal_digests_when_asked_for(make_store):
    store = make_store(
        {
            "r1/c/1.pgm": b"a",
            "r1/c/2.pgm": b"b",
            "r2/c/8.pgm": b"a",
            "r2/c/9.pgm": b"b",
            "r3/c/1.pgm": b"ab",
            "r4/c/1.pgm": b"b",
        }
    )
    source = SplitSource(store, RecordingOptions(digests=True))
    digests = [sample.columns["sha256"] for sample in source.samples()]
    assert source.columns["sha256"] == "string"
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert digests[2] == hashlib.sha256(b"ab").hexdigest()


def test_ignored_files_and_folders_are_not_seen_when_patterns_match(make_store):
    extra = frames(
        ".DS_Store",
        "r1/Thumbs.db",
        "r1/a/notes.txt",
        "README.md",
        "calibration/board/1.pgm",
        "r2/a/depth_1.raw",
    )
    options = RecordingOptions(
        ignore=(".DS_Store", "Thumbs.db", "*.txt", "*.md", "calib*", "r2/*/depth_*")
    )
    assert [
        sample.key for sample in SplitSource(make_store(TWO_CAMERAS | extra), options).samples()
    ] == ["r1/a", "r1/b", "r2/a", "r2/b"]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["r1/a/f_02.pgm"], r"r1/a/f_2\.pgm: has the same frame number as f_02\.pgm"),
        (["r1/a/2.png"], r"r1/a/f_2\.pgm: has the same frame number as 2\.png"),
        (["r1/a/last.pgm"], r"r1/a/last\.pgm: expected a number in the name"),
        (
            ["r1/a/stamps3.csv"],
            r"r1/a/stamps3\.csv: not a frame; expected an extension out of pgm, png, jpg, jpeg",
        ),
        (["r1/a/5"], r"r1/a/5: not a frame"),
        (
            ["r1/stray_1.pgm"],
            (
                r"r1/stray_1\.pgm: expected <recording>/<camera>/<frame>.*, got another path"
                r".*cameras: false"
            ),
        ),
        (["stray_1.pgm"], r"stray_1\.pgm: expected <recording>.*, got another path"),
        (["r1/a/deep/1.pgm"], r"r1/a/deep/1\.pgm: expected .*, got another path"),
        (["r1/.hidden/1.pgm"], r"r1/\.hidden: hidden"),
        (["__MACOSX/a/1.pgm"], r"__MACOSX: hidden"),
        (["r1/a/._3.pgm"], r"r1/a/\._3\.pgm: hidden"),
        (["r1/a.b/1.pgm"], r"r1/a\.b: a dot in the name"),
        (["r1/a\nb/1.pgm"], r"r1/a\\nb': a name with a backslash, a control character"),
        (["r1/A/1.pgm"], r"r1/a: differs from r1/A only in case"),
        (["r1/caf\u00e9/1.pgm", "r1/cafe\u0301/1.pgm"], "only in case or accents"),
        (["r3/c/notes.txt"], r"r3/c: a video without frames"),
        (["r3/notes.txt"], r"r3: a recording without cameras"),
    ],
)
def test_source_is_refused_with_the_path_when_something_would_be_lost(make_store, extra, message):
    ignore = (".DS_Store", "*.txt")
    with pytest.raises(UnreadableSource, match=message):
        SplitSource(make_store(TWO_CAMERAS | frames(*extra)), RecordingOptions(ignore=ignore))


def test_empty_frame_is_refused_with_its_path(make_store):
    with pytest.raises(UnreadableSource, match=r"r/c/2\.pgm: an empty file"):
        SplitSource(make_store({"r/c/1.pgm": b"x", "r/c/2.pgm": b""}))


@pytest.mark.parametrize("folder", ["r1/empty", "r9/empty", "r9"])
def test_empty_folder_is_refused_with_its_path_when_it_is_on_a_disk(tmp_path, folder):
    store = local_store(tmp_path, TWO_CAMERAS)
    (tmp_path / "source" / folder).mkdir(parents=True)
    with pytest.raises(
        UnreadableSource,
        match=rf"source/{folder}: a (video without frames|recording without cameras)",
    ):
        SplitSource(store)


def test_name_that_is_not_utf8_is_refused_in_words_that_can_be_printed(tmp_path):
    store = local_store(tmp_path, TWO_CAMERAS)
    folder = os.fsencode(tmp_path / "source" / "r1") + b"/caf\xe9"
    os.mkdir(folder)
    with open(folder + b"/1.pgm", "wb") as file:
        file.write(b"x")
    with pytest.raises(UnreadableSource, match="bytes that are not UTF-8") as refused:
        SplitSource(store)
    assert str(refused.value).encode()


def test_backslash_is_refused_when_a_disk_allows_it(tmp_path):
    store = local_store(tmp_path, TWO_CAMERAS)
    (tmp_path / "source" / "r1" / "a" / "x\\9.pgm").write_bytes(b"x")
    with pytest.raises(UnreadableSource, match="a name with a backslash"):
        SplitSource(store)


def test_message_is_short_when_everything_is_wrong(make_store):
    with pytest.raises(UnreadableSource) as refused:
        SplitSource(make_store(dict.fromkeys((f"{index}.pgm" for index in range(500)), b"x")))
    assert len(str(refused.value)) < 1000
    assert "and 497 more" in str(refused.value)


def test_nothing_found_says_what_was_expected_when_the_folder_is_empty_or_absent(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in ("empty", "absent"):
        with pytest.raises(
            UnreadableSource,
            match=rf"{folder}/: expected <recording>/<camera>/<frame>\.pgm\|png"
            r".*, got no recordings",
        ):
            SplitSource(open_store(str(tmp_path / folder)))


def test_fingerprint_stays_when_nothing_changes_and_moves_with_every_change(tmp_path):
    store = local_store(tmp_path, TWO_CAMERAS)
    seen = [SplitSource(store).fingerprint]
    assert SplitSource(store).fingerprint == seen[0]
    changes = [
        lambda: store.write("r1/a/f_11.pgm", b"new"),
        lambda: store.write("r1/a/f_11.pgm", b"other size"),
        lambda: os.utime(tmp_path / "source" / "r1/a/f_11.pgm", ns=(10**18, 10**18)),
        lambda: os.utime(tmp_path / "source" / "r1/a/f_11.pgm", ns=(10**18, 10**18 + 1000)),
        lambda: store.delete("r2/a/x_3.png"),
    ]
    for change in changes:
        change()
        seen.append(SplitSource(store).fingerprint)
    seen.append(SplitSource(store, RecordingOptions(fps=5)).fingerprint)
    assert len(set(seen)) == len(seen)


def test_source_that_changes_under_the_reader_is_named_when_read(make_store):
    store = make_store(TWO_CAMERAS)
    source = SplitSource(store)
    store.write("r1/a/f_10.pgm", b"longer than before")
    store.delete("r1/b/7.PGM")
    with pytest.raises(ShardCorrupt, match=r"f_10\.pgm: expected 13 bytes as listed, got 18"):
        source.read(source.samples()[0])
    with pytest.raises(ObjectMissing):
        source.read(source.samples()[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extensions": "pgm"}, "extensions: expected a list of texts, got 'pgm'"),
        ({"extensions": []}, "extensions: expected at least one"),
        ({"ignore": [3]}, "ignore: expected a list of texts"),
        ({"fps": 0}, "fps: expected a number above 0, got 0"),
        ({"fps": float("nan")}, "fps: expected"),
        ({"fps": True}, "fps: expected"),
        ({"cameras": "yes"}, "cameras: expected true or false"),
        ({"digests": 1}, "digests: expected true or false"),
    ],
)
def test_option_is_refused_when_it_cannot_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        RecordingOptions(**options)


def test_extensions_are_taken_with_dots_and_capitals_when_written_so():
    assert RecordingOptions(extensions=[".PGM", "tif"]).extensions == ("pgm", "tif")
