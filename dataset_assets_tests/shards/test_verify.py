from dataclasses import replace

import pytest

from dataset_assets import registry
from dataset_assets.shards.verify import MAX_PROBLEMS, file_sha256, verify_shard
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import make_record, make_rows, write_shard

FORMATS = registry.names("output_format")
STORED = tuple(name for name in FORMATS if name != "dummy")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("failed", [[], [0, 3], range(12)])
def test_no_problem_is_found_when_a_shard_is_sound(store, output_format, failed):
    assert (
        verify_shard(store, write_shard(store, output_format, make_rows(12, failed=failed))) == []
    )


@pytest.mark.parametrize("output_format", FORMATS)
def test_no_problem_is_found_when_a_shard_is_empty(store, output_format):
    assert verify_shard(store, write_shard(store, output_format, [])) == []


@pytest.mark.parametrize("output_format", ["webdataset", "parquet", "tfrecord"])
def test_flipped_bit_is_found_when_sizes_agree(store, output_format):
    record = write_shard(store, output_format, make_rows(12))
    for file in record.files:
        data = bytearray(store.read(file.name))
        data[len(data) // 2] ^= 1
        good, _ = store.read(file.name), store.write(file.name, bytes(data))
        assert verify_shard(store, record, deep=False) == []
        assert any(
            f"shard 00003: {file.name} has changed: expected sha256" in problem
            for problem in verify_shard(store, record)
        )
        store.write(file.name, good)
    assert verify_shard(store, record) == []


@pytest.mark.parametrize("deep", [True, False])
def test_sizes_are_named_when_files_are_cut_or_gone(store, deep):
    record = write_shard(store, "webdataset", make_rows(12))
    store.write("00003.tar", store.read("00003.tar")[:-512])
    store.delete("00003.parquet")
    assert verify_shard(store, record, deep=deep) == [
        (
            f"shard 00003: 00003.tar: expected {record.files[0].bytes} bytes, "
            f"got {record.files[0].bytes - 512}"
        ),
        "shard 00003: 00003.parquet is missing",
    ]


def test_counts_are_named_when_the_record_does_not_add_up(store):
    record = make_record(make_rows(4, failed=[1]), (), successes=4)
    assert verify_shard(store, record) == [
        "shard 00003: the record counts 4 rows, but 4 successes and 1 failures"
    ]


def forged(store, record, *names):
    """Return a record that vouches for the files as they are now."""
    entries = [as_stored(store, file) if file.name in names else file for file in record.files]
    return replace(record, files=tuple(entries))


def as_stored(store, file):
    return replace(file, bytes=store.size(file.name), sha256=file_sha256(store, file))


@pytest.mark.parametrize(
    ("samples", "rows", "expected"),
    [
        (
            make_rows(4),
            make_rows(4, failed=[2]),
            [
                "expected 4 rows with 4 successes, got 4 with 3",
                "00003.tar: sample 00003002 has no row that is a success",
            ],
        ),
        (
            make_rows(4, failed=[2]),
            make_rows(4, failed=[1]),
            ["sample 00003001 has no row", "row 00003002 is a success, but has no sample"],
        ),
        (
            make_rows(4),
            make_rows(3),
            [
                "expected 4 rows with 4 successes, got 3 with 3",
                "sample 00003003 has no row that is a success",
            ],
        ),
        (
            make_rows(4),
            [*make_rows(4)[:3], make_rows(4)[0]],
            ["row 3: key 00003000 occurs twice", "sample 00003003 has no row"],
        ),
        (make_rows(4), make_rows(4, seed=9), ["the index says"]),
        (make_rows(4), make_rows(4)[::-1], ["00003.tar: sample 00003001 is out of row order"]),
    ],
)
def test_rows_and_samples_are_named_when_they_disagree(store, samples, rows, expected):
    record = write_shard(store, "webdataset", samples)
    other = store.child("other")
    write_shard(other, "webdataset", rows)
    store.write("00003.parquet", other.read("00003.parquet"))
    problems = verify_shard(store, forged(store, record, "00003.parquet"))
    assert all(problem.startswith("shard 00003: ") for problem in problems)
    assert all(any(text in problem for problem in problems) for text in expected), problems


def test_reason_is_named_when_a_tar_is_not_readable(store):
    record = write_shard(store, "webdataset", make_rows(4))
    data = bytearray(store.read("00003.tar"))
    data[100] = ord("7")  # the mode of the first member
    store.write("00003.tar", bytes(data))
    problem = (
        "shard 00003: 00003.tar: no valid member header at byte 0; expected a tar that this package"
        " wrote: links, devices and tars of other programs are refused"
    )
    assert verify_shard(store, forged(store, record, "00003.tar")) == [problem]


def test_reason_is_named_when_a_file_of_a_sample_is_gone(store):
    record = write_shard(store, "files", make_rows(4, size=1))
    store.delete("00003/00003002.jpg")
    store.write("00003/00003001.jpg", b"xx")  # the folder has as many bytes as before
    problems = verify_shard(store, record)
    assert (
        problems[0]
        == "shard 00003: 00003: sample 00003001 has 2 bytes at None, the index says 1 bytes at None"
    )
    assert (
        "expected one payload and one 00003002.json for sample 00003002, "
        "got 00003/00003002.json, 00003/00003002.txt" in problems[1]
    )


def test_list_is_bounded_when_everything_is_wrong(store):
    record = write_shard(store, "webdataset", make_rows(300))
    other = store.child("other")
    write_shard(other, "webdataset", make_rows(300, failed=range(300)))
    store.write("00003.parquet", other.read("00003.parquet"))
    assert len(verify_shard(store, forged(store, record, "00003.parquet"))) == MAX_PROBLEMS


def test_record_must_name_metadata_when_it_names_samples(store):
    record = write_shard(store, "webdataset", make_rows(3))
    problems = verify_shard(store, replace(record, files=record.files[:1]))
    assert "shard 00003: expected 3 rows with 3 successes, got 0 with 0" in problems
