import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.splits.plan import (
    ArchiveOptions,
    FilePlan,
    archive_kind,
    member_names,
    plan_files,
    sample_members,
)
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.splits.archive_samples import (
    image_sample,
    make_sample,
    video,
    write_archive,
)


def sized(key, size, parts=("jpg",)):
    return SourceSample(key, key, size, tuple(parts), {})


def names(plans):
    return [plan.name for plan in plans]


@pytest.mark.parametrize(
    ("layout", "parts", "expected"),
    [
        ("webdataset", ("0000.pgm", "0001.pgm"), ["rec/cam.0000.pgm", "rec/cam.0001.pgm"]),
        ("frames", ("0000.pgm", "0001.pgm"), ["rec/cam/0000.pgm", "rec/cam/0001.pgm"]),
        ("webdataset", ("jpg",), ["rec/cam.jpg"]),
        ("frames", ("jpg",), ["rec/cam.jpg"]),
    ],
)
def test_members_are_named_as_the_layout_has_it(layout, parts, expected):
    assert member_names(sized("rec/cam", 2, parts), layout) == expected


def test_metadata_is_a_member_when_the_layout_is_webdataset():
    sample, payloads = make_sample(
        "a/b",
        [b"1"],
        ["jpg"],
        columns={"text": "é", "score": float("nan"), "n": 3, "flag": True, "none": None},
    )
    assert sample_members(sample, payloads, "frames") == [("a/b.jpg", b"1")]
    json = b'{"flag": true, "n": 3, "none": null, "score": null, "text": "\\u00e9"}'
    assert sample_members(sample, payloads, "webdataset") == [("a/b.jpg", b"1"), ("a/b.json", json)]


def test_metadata_is_the_samples_own_when_a_payload_is_called_json():
    sample, payloads = make_sample("a", [b"1", b"{}"], ["mp4", "json"], columns={"x": 1})
    assert sample_members(sample, payloads, "webdataset") == [("a.mp4", b"1"), ("a.json", b"{}")]


def test_members_are_refused_when_a_payload_is_missing():
    with pytest.raises(ValueError, match="shorter"):
        sample_members(sized("a", 2, ["1.jpg", "2.jpg"]), [b"1"], "webdataset")


@pytest.mark.parametrize(
    ("extensions", "compression", "kind"),
    [
        (["0.pgm", "0.PPM"], "auto", "tar.gz"),
        (["0.pgm", "0.png"], "auto", "tar"),
        (["jpg"], "auto", "tar"),
        ([], "auto", "tar"),
        (["jpg"], "gz", "tar.gz"),
        (["pgm"], "none", "tar"),
    ],
)
def test_archives_are_packed_when_that_makes_them_smaller_or_is_asked_for(
    extensions, compression, kind
):
    assert (
        archive_kind([sized("a", 1, [extension]) for extension in extensions], compression) == kind
    )


def test_files_are_numbered_and_hold_whole_samples_when_a_split_is_larger_than_a_file():
    samples = {"train": [sized(f"k{i}", 1000) for i in range(10)], "validation": [sized("v", 10)]}
    plans = plan_files(
        samples, "image", ArchiveOptions(max_archive_bytes=9500, max_table_bytes=4500)
    )
    assert names(plans) == [
        *(f"archives/train-{i:05d}-of-00004.tar" for i in range(4)),
        "archives/validation-00000-of-00001.tar",
        *(f"data/train-{i:05d}-of-00003.parquet" for i in range(3)),
        "data/validation-00000-of-00001.parquet",
    ]
    assert [len(plan.samples) for plan in plans] == [3, 3, 3, 1, 1, 4, 4, 2, 1]
    assert {(plan.split, plan.kind) for plan in plans} == {
        (s, k) for s in samples for k in ("tar", "parquet")
    }


def test_sample_has_a_file_of_its_own_when_it_is_larger_than_a_file():
    samples = {"train": [sized("a", 10), sized("b", 10**6), sized("c", 10), sized("d", 10)]}
    for plans in (
        plan_files(samples, "image", ArchiveOptions(max_archive_bytes=9000, tables=False)),
        plan_files(samples, "image", ArchiveOptions(max_table_bytes=9000, archives=False)),
    ):
        assert [[sample.key for sample in plan.samples] for plan in plans] == [
            ["a"],
            ["b"],
            ["c", "d"],
        ]


def test_empty_split_is_one_table_without_rows_and_no_archive():
    plans = plan_files({"train": [sized("a", 1)], "test": []}, "image", ArchiveOptions())
    assert names(plans) == [
        "archives/train-00000-of-00001.tar",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
    ]
    assert plans[1] == FilePlan("data/test-00000-of-00001.parquet", "test", "parquet", ())
    assert names(plan_files({"test": []}, "image", ArchiveOptions(tables=False))) == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, 5000), max_size=40),
    st.integers(1, 9000),
    st.randoms(use_true_random=False),
)
def test_plan_is_complete_bounded_and_the_same_when_samples_come_in_any_order(sizes, limit, source):
    samples = [sized(f"{i:03d}", size) for i, size in enumerate(sizes)]
    options = ArchiveOptions(max_archive_bytes=limit, max_table_bytes=limit)
    plans = plan_files({"train": samples}, "image", options)
    assert plan_files({"train": source.sample(samples, len(samples))}, "image", options) == plans
    for kind in ("tar", "parquet"):
        files = [plan for plan in plans if plan.kind == kind]
        assert [sample for plan in files for sample in plan.samples] == samples
        assert all(
            sum(sample.bytes for sample in plan.samples) <= limit
            for plan in files
            if len(plan.samples) > 1
        )


@pytest.mark.parametrize("layout", ["webdataset", "frames"])
def test_archive_is_not_larger_than_the_limit_when_it_is_written(tmp_path, layout):
    videos = [video(i) for i in range(20)] + [image_sample(i, note="x" * 700) for i in range(20)]
    payloads = {sample.key: data for sample, data in videos}
    options = ArchiveOptions(max_archive_bytes=30_000, tables=False, layout=layout)
    plans = plan_files({"train": [sample for sample, _ in videos]}, "frames", options)
    assert 2 < len(plans) < 8
    for plan in plans:
        file = write_archive(
            Store(str(tmp_path)),
            plan.name,
            [(sample, payloads[sample.key]) for sample in plan.samples],
            layout=layout,
        )
        assert file.bytes - 10_240 <= 30_000  # the end is filled up


@pytest.mark.parametrize(
    ("samples", "media", "message"),
    [
        ([sized("a", 1), sized("a", 2)], "image", "expected each key once, got 'a' in two samples"),
        ([sized("a", 1, [])], "frames", "'a': expected at least one payload, got none"),
        ([sized("../a", 1)], "image", "member name: expected .*, got '../a.jpg'"),
        ([sized("/a", 1)], "image", "member name: expected"),
        ([sized("a", 1, ["../../x"])], "image", "member name: expected"),
        ([sized("a", 1, ["1.jpg", "1.JPG"])], "frames", "differ in more than case"),
        (
            [sized("a", 1, ["jpg", "png"])],
            "image",
            "'a': expected one payload for a row of a table, got 2",
        ),
        ([sized("a", 2**31)], "image", "bytes at most in a row of a table, got 2147483648"),
        ([sized("a", 1)], "sound", "media: expected one of image, frames, file, got 'sound'"),
    ],
)
def test_plan_is_refused_when_a_sample_cannot_be_written(samples, media, message):
    with pytest.raises(ConfigurationError, match=message):
        plan_files(
            {"train": random.Random(0).sample(samples, len(samples))}, media, ArchiveOptions()
        )


def test_large_and_many_payloads_are_planned_when_there_are_no_tables():
    samples = {"train": [sized("a", 2**40), sized("b", 2, ["jpg", "png"])]}
    assert len(plan_files(samples, "image", ArchiveOptions(tables=False))) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "zip"}, "layout: expected one of webdataset, frames, got 'zip'"),
        ({"compression": "bz2"}, "compression: expected one of auto, none, gz, got 'bz2'"),
        (
            {"max_archive_bytes": 0},
            "max_archive_bytes: expected an integer of at least 1, got 0",
        ),
        ({"max_table_bytes": 1.5}, "max_table_bytes"),
        ({"row_group_bytes": True}, "row_group_bytes"),
        ({"archives": False, "tables": False}, "expected at least one of them to be true"),
    ],
)
def test_options_are_refused_when_a_value_cannot_work(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        ArchiveOptions(**changes)
