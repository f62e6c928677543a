"""What every output format promises: a new file in `shards/formats/` is tested by being there."""

import pickle
from uuid import uuid4

import pytest

from dataset_assets import registry
from dataset_assets.records.causes import SUCCESS
from dataset_assets.shards.reading import read_rows, read_values
from dataset_assets.shards.verify import verify_shard
from dataset_assets.storage.store import open_store
from dataset_assets_tests.shards.sample_rows import (
    EXTRA,
    contents,
    make_options,
    make_row,
    make_rows,
    write_files,
    write_shard,
)

TEXTS = ["é😀中 עברית", "\0", "\ud800", "", None, "x" * 1_000_000, 'a\n"b"\\', "<script>", "\u202e"]


@pytest.fixture(params=registry.names("output_format"))
def output_format(request):
    return request.param


@pytest.fixture(params=["local", "memory"])
def store(request, tmp_path):
    return open_store(
        str(tmp_path / "set") if request.param == "local" else f"memory://{uuid4().hex}/set"
    )


def everything(store):
    """List every object, and on disk every file and folder."""
    root = getattr(store, "root", None)
    return sorted(contents(store)) + (sorted(root.rglob("*")) if root is not None else [])


def open_writer(store, output_format, **changes):
    return registry.load("output_format", output_format)(store, make_options(**changes))


def is_stored(output_format):
    return registry.load("output_format", output_format).suffix is not None


@pytest.mark.parametrize("failed", [[], [0, 5, 19], range(20)])
def test_rows_come_back_when_written(store, output_format, failed):
    rows = make_rows(20, failed=failed)
    record = write_shard(store, output_format, rows)
    assert verify_shard(store, record) == []
    if is_stored(output_format):
        read = list(read_rows(store, record, extra=EXTRA))
        assert [(r.key, r.columns, r.extra, r.payload, r.caption) for r in read] == [
            (r.key, r.columns, r.extra, r.payload, r.caption) for r in rows
        ]


def test_shard_is_whole_when_it_has_no_rows(store, output_format):
    record = write_shard(store, output_format, [])
    assert verify_shard(store, record) == []
    assert list(read_rows(store, record)) == []


def test_every_input_row_is_in_the_metadata_when_some_failed(store, output_format):
    record = write_shard(store, output_format, make_rows(9, failed=[1, 8]))
    if is_stored(output_format):
        statuses = [values["status"] for values in read_values(store, record)]
        assert len(statuses) == 9
        assert statuses.count(SUCCESS) == 7


def test_bytes_are_equal_when_rows_are(tmp_path, output_format):
    first, second = open_store(str(tmp_path / "a")), open_store(str(tmp_path / "b"))
    files = [
        write_files(store, output_format, make_rows(150, failed=[3])) for store in (first, second)
    ]
    assert files[0] == files[1]
    assert contents(first) == contents(second)


def test_text_comes_back_when_it_is_strange(store, output_format):
    rows = [make_row(i, payload=b"x", caption=text) for i, text in enumerate(TEXTS)]
    rows.append(make_row(len(rows), payload=None, caption="\udfff"))
    for row in rows:
        row.columns["error_message"] = row.caption
    record = write_shard(store, output_format, rows)
    assert verify_shard(store, record) == []
    if is_stored(output_format):
        expected = ["\\ud800" if text == "\ud800" else text for text in TEXTS] + ["\\udfff"]
        assert [row.columns["error_message"] for row in read_rows(store, record)] == expected
        assert [row.columns["caption"] for row in read_rows(store, record)] == expected


def test_files_are_named_in_order_when_committed(store, output_format):
    writer = registry.load("output_format", output_format)
    files = write_files(store, output_format, make_rows(3))
    expected = [] if writer.suffix is None else [f"00003{writer.suffix}"]
    assert [file.name for file in files] == expected + ["00003.parquet"] * writer.sidecar
    assert all(
        file.bytes == store.size(file.name) and file.sha256
        for file in files
        if file.name != "00003"
    )


def test_options_travel_to_other_processes_when_pickled(store, output_format):
    assert pickle.loads(pickle.dumps((store.url, make_options()))) == (store.url, make_options())
    assert pickle.loads(
        pickle.dumps(registry.load("output_format", output_format))
    ) is registry.load("output_format", output_format)


@pytest.mark.parametrize("rows", [0, 1, 120])
@pytest.mark.parametrize("closed", [True, False])
def test_nothing_is_left_when_discarded(store, output_format, rows, closed):
    writer = open_writer(store, output_format)
    for row in make_rows(rows, failed=[0]):
        writer.write(row)
    if closed:
        writer.close()
        writer.close()
    writer.discard()
    writer.discard()
    assert everything(store) == []


def test_nothing_is_left_when_rows_stop_with_an_exception(store, output_format):
    def rows():
        yield from make_rows(5)
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write_files(store, output_format, rows())
    assert everything(store) == []


def test_shard_stays_when_discarded_after_the_commit(store, output_format):
    writer = open_writer(store, output_format)
    for row in make_rows(3):
        writer.write(row)
    files = writer.commit()
    before = contents(store)
    writer.discard()
    assert contents(store) == before
    assert bool(before) == bool(files)


def test_metadata_are_not_visible_when_closed_but_not_committed(store, output_format):
    writer = open_writer(store, output_format)
    for row in make_rows(3):
        writer.write(row)
    writer.close()
    assert [info.key for info in store.list("", recursive=False)] == []
    writer.discard()


def test_shard_is_new_when_an_older_one_is_written_over(store, output_format):
    write_shard(store, output_format, make_rows(9, seed=1))
    rows = make_rows(4, seed=2)
    record = write_shard(store, output_format, rows)
    assert verify_shard(store, record) == []
    if is_stored(output_format):
        assert [row.payload for row in read_rows(store, record)] == [row.payload for row in rows]


def test_rows_are_not_changed_when_written(store, output_format):
    row, same = make_row(0, payload=b"abc"), make_row(0, payload=b"abc")
    write_files(store, output_format, [row])
    assert row == same
