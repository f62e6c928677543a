import io
import json
import pickle
import tarfile

import pytest

from dataset_assets.hub._archive_rows import archive_rows, row_features
from dataset_assets.hub.builder import VideoDataset
from dataset_assets.hub.loading import video_dataset
from dataset_assets_tests.hub.small_publication import (
    SPLITS,
    assert_rows_are_the_source,
    make_version,
    write_recordings,
)

PGM = b"P5\n1 1\n255\n"


def rows_of(members, *, expected=-1, media="frames", columns=None):
    archive = [(name, io.BytesIO(data)) for name, data in members]
    return [row for _, row in archive_rows(archive, "a.tar", expected, media, columns or {})]


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def build(folder, archives, tmp_path, **options):
    return VideoDataset(
        archives=archives,
        base_path=str(folder),
        cache_dir=str(tmp_path / "cache"),
        hash="1",
        **options,
    )


@pytest.mark.parametrize("compression", ["none", "gz"])
@pytest.mark.parametrize("layout", ["webdataset", "frames"])
def test_every_video_comes_out_when_archives_are_read(tmp_path, layout, compression):
    folder, manifest, videos = make_version(tmp_path, layout=layout, compression=compression)
    assert sum(
        file.kind == {"none": "tar", "gz": "tar.gz"}[compression] for file in manifest.files
    ) > len(SPLITS)
    for streaming in (False, True):
        assert_rows_are_the_source(
            video_dataset(str(folder), streaming=streaming, cache_dir=str(tmp_path / "cache")),
            videos,
        )


@pytest.mark.parametrize("streaming", [False, True])
def test_archives_of_the_how_to_come_out_whole_when_nothing_describes_them(tmp_path, streaming):
    videos = write_recordings(tmp_path / "recordings")
    keys = sorted(videos)
    (tmp_path / "archives").mkdir()
    for name, found in {"train": keys[:14], "validation": keys[14:18], "test": keys[18:]}.items():
        with tarfile.open(tmp_path / "archives" / f"{name}.tar.gz", "w:gz") as tar:
            for key in found:
                tar.add(tmp_path / "recordings" / key, arcname=key)  # frame_10 before frame_2
    rows = video_dataset(
        str(tmp_path / "archives"), streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    assert_rows_are_the_source(rows, videos)


def test_rows_are_new_when_an_archive_changed_under_its_name(tmp_path):
    write_tar(tmp_path / "train.tar", [("a/0.pgm", PGM + b"\1")])
    cache_dir = str(tmp_path / "cache")
    assert [row["key"] for row in video_dataset(str(tmp_path), "train", cache_dir=cache_dir)] == [
        "a"
    ]
    write_tar(tmp_path / "train.tar", [("b/0.pgm", PGM + b"\2"), ("c/0.pgm", PGM + b"\3")])
    assert [row["key"] for row in video_dataset(str(tmp_path), "train", cache_dir=cache_dir)] == [
        "b",
        "c",
    ]


def test_archives_can_become_tables_when_the_builder_is_asked_to(tmp_path):
    import pyarrow.parquet as pq

    write_tar(tmp_path / "a.tar", [("r/c.0000.pgm", PGM + b"\1"), ("r/c.json", b'{"fps": 2.5}')])
    builder = build(tmp_path, {"train": [("a.tar", 1)]}, tmp_path, columns={"fps": "double"})
    builder.download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    [path] = (tmp_path / "out").glob("*.parquet")
    assert pq.read_table(path).to_pylist() == [
        {
            "video": [{"bytes": PGM + b"\1", "path": "0000.pgm"}],
            "n_frames": 1,
            "key": "r/c",
            "fps": 2.5,
        }
    ]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_cut_archive_is_named_when_it_ends_between_two_members(tmp_path, streaming):
    folder, manifest, _ = make_version(tmp_path)
    victim = next(
        file
        for file in manifest.files
        if file.kind == "tar" and file.split == "train" and file.samples > 1
    )
    with tarfile.open(folder / victim.name) as tar:
        end = next(
            member.offset
            for member in tar
            if member.name.startswith("rec") and member.offset > victim.bytes // 2
        )
    (folder / victim.name).write_bytes((folder / victim.name).read_bytes()[:end])
    with pytest.raises(Exception) as caught:  # datasets wraps what a builder raises
        list(
            video_dataset(
                str(folder), "train", streaming=streaming, cache_dir=str(tmp_path / "cache")
            )
        )
    messages = [str(error) for error in (caught.value, caught.value.__cause__) if error is not None]
    assert any(
        victim.name in message and f"expected {victim.samples}" in message for message in messages
    )


def test_ids_are_unique_when_archives_hold_equal_keys():
    members = [("a/0.pgm", b""), ("b/0.pgm", b"")]
    ids = [
        found
        for label in ("x.tar", "y.tar")
        for found, _ in archive_rows(
            [(n, io.BytesIO(d)) for n, d in members], label, 2, "frames", {}
        )
    ]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (["r/c.0000.pgm", "r/c.0001.pgm", "r/c.json"], ["r/c"]),
        (["r/c.json", "r/c.0000.pgm", "r/d.0000.pgm"], ["r/c", "r/d"]),
        (["r/c/f_1.pgm", "r/c/f_2.pgm", "r/d/f_1.pgm"], ["r/c", "r/d"]),
        (["./r/c/f_1.pgm"], ["r/c"]),
        (["r.x/c.y.0000.pgm"], ["r.x/c"]),
    ],
)
def test_members_of_a_video_are_together_in_both_layouts(names, keys):
    assert [row["key"] for row in rows_of([(name, b"{}") for name in names])] == keys


def test_frames_play_by_their_last_number_when_names_sort_otherwise():
    [row] = rows_of([(f"r/c/take_3_{number}.jp2", b"") for number in (10, 2, 1)])
    assert [frame["path"] for frame in row["video"]] == [
        "take_3_1.jp2",
        "take_3_2.jp2",
        "take_3_10.jp2",
    ]


def test_metadata_comes_from_the_json_or_else_from_the_folders():
    columns = {"recording": "string", "camera": "string", "fps": "double"}
    [row] = rows_of(
        [
            ("r/c/d.0000.pgm", b""),
            ("r/c/d.json", json.dumps({"fps": 5.0, "camera": "left", "other": 1}).encode()),
        ],
        columns=columns,
    )
    assert (row["recording"], row["camera"], row["fps"], "other" in row) == (
        "r",
        "left",
        5.0,
        False,
    )
    [row] = rows_of([("r/c/0.pgm", b"")], columns=columns)
    assert (row["recording"], row["camera"], row["fps"]) == ("r", "c", None)


@pytest.mark.parametrize(
    ("media", "members", "expected"),
    [
        (
            "image",
            [("a/b.jpg", b"x"), ("a/b.json", b'{"n": 1}')],
            {"image": {"bytes": b"x", "path": "b.jpg"}, "key": "a/b", "n": 1},
        ),
        (
            "file",
            [("b.txt", b"x")],
            {"file": {"bytes": b"x", "path": "b.txt"}, "extension": "txt", "key": "b", "n": None},
        ),
        (
            "file",
            [("b.json", b"{}")],
            {
                "file": {"bytes": b"{}", "path": "b.json"},
                "extension": "json",
                "key": "b",
                "n": None,
            },
        ),
        (
            "file",
            [("b.tar.gz", b"x")],
            {"file": {"bytes": b"x", "path": "tar.gz"}, "extension": "gz", "key": "b", "n": None},
        ),
    ],
)
def test_a_row_has_one_payload_when_samples_are_not_videos(media, members, expected):
    assert rows_of(members, media=media, columns={"n": "int64"}) == [expected]
    assert set(row_features(media, {"n": "int64"})) == set(expected)


@pytest.mark.parametrize(
    "name", ["../a.pgm", "a/../b.pgm", "/etc/a.pgm", "a//b.pgm", "a\\..\\b.pgm", "a/./b.pgm"]
)
def test_a_member_is_refused_when_its_name_leaves_the_folder(name):
    with pytest.raises(ValueError, match="a.tar: refused a member"):
        rows_of([(name, b"")])


def test_an_archive_is_refused_when_a_video_is_in_it_twice():
    with pytest.raises(ValueError, match="'r/c' are not adjacent"):
        rows_of([("r/c/0.pgm", b""), ("r/d/0.pgm", b""), ("r/c/1.pgm", b"")])


@pytest.mark.parametrize("streaming", [False, True])
def test_a_pickle_is_only_bytes_when_an_archive_holds_one(tmp_path, streaming):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    bomb = pickle.dumps(Bomb())
    write_tar(tmp_path / "a.tar", [("b.pkl", bomb)])
    builder = build(tmp_path, {"train": [("a.tar", 1)]}, tmp_path, media="file")
    if not streaming:
        builder.download_and_prepare()
    [row] = builder.as_streaming_dataset("train") if streaming else builder.as_dataset("train")
    assert row["file"]["bytes"] == bomb
    assert not (tmp_path / "executed").exists()
