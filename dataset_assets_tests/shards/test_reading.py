import pytest

from dataset_assets import registry
from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.shards.reading import read_rows, writer_of
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.shards.sample_rows import (
    EXTRA,
    SCHEMA,
    make_record,
    make_row,
    make_rows,
    write_files,
    write_shard,
)

FORMATS = ("webdataset", "files", "parquet", "tfrecord")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path))


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("with_index", [True, False])
def test_rows_are_those_written_when_a_shard_is_read(store, output_format, with_index):
    rows = make_rows(250, failed=[0, 7, 248, 249])
    record = write_shard(store, output_format, rows, with_index=with_index)
    read = list(read_rows(store, record, extra=EXTRA))
    assert [(r.index, r.key, r.columns, r.extra, r.payload, r.caption) for r in read] == [
        (r.index, r.key, r.columns, r.extra, r.payload, r.caption) for r in rows
    ]
    assert [r.cause for r in read] == [r.cause for r in rows]
    assert {r.extension for r in read if r.payload is not None} == {"jpg"}


@pytest.mark.parametrize("output_format", FORMATS)
def test_shard_has_equal_bytes_when_written_from_what_was_read(store, output_format):
    record = write_shard(store, output_format, make_rows(30, failed=[2]))
    again = write_files(store.child("again"), output_format, read_rows(store, record, extra=EXTRA))
    assert again == record.files


@pytest.mark.parametrize("output_format", FORMATS)
def test_extension_is_kept_when_every_row_has_its_own(store, output_format):
    extensions = ["mp3", "json", "txt", "pkl", "tar.gz", "bin"]
    rows = [
        make_row(i, payload=b"x", extension=extension) for i, extension in enumerate(extensions)
    ]
    for row in rows:
        row.extra["extension"] = row.extension
    schema = SCHEMA.append(SCHEMA.field("cause").with_name("extension"))
    record = write_shard(store, output_format, rows, schema=schema, extension="bin")
    assert [
        row.extension for row in read_rows(store, record, extra=(*EXTRA, "extension"))
    ] == extensions


def test_row_without_caption_stays_without_when_captions_are_there(store):
    record = write_shard(store, "webdataset", [make_row(0, payload=b"x", caption=None)])
    assert [row.caption for row in read_rows(store, record)] == [None]


@pytest.mark.parametrize("output_format", registry.names("output_format"))
def test_format_is_known_when_only_the_record_is_there(store, output_format):
    record = write_shard(store, output_format, make_rows(2))
    assert writer_of(record) is registry.load("output_format", output_format)


def test_record_is_refused_when_no_format_has_its_suffix(store):
    record = write_shard(store, "webdataset", make_rows(2))
    odd = make_record(make_rows(2), (record.files[0].__class__("00003.zip", 1, "0" * 64),))
    with pytest.raises(ShardCorrupt, match=r"no output format writes '00003\.zip'"):
        writer_of(odd)


def test_there_are_no_rows_when_nothing_was_stored(store):
    assert list(read_rows(store, write_shard(store, "dummy", make_rows(2)))) == []


def mixed_up(store, output_format, sample_rows, sidecar_rows):
    """Return the record of a shard whose metadata are those of other rows."""
    record = write_shard(store, output_format, sample_rows)
    other = store.child("other")
    write_shard(other, output_format, sidecar_rows)
    store.write("00003.parquet", other.read("00003.parquet"))
    return record


@pytest.mark.parametrize("output_format", ["webdataset", "files", "tfrecord"])
@pytest.mark.parametrize(
    ("sample_rows", "sidecar_rows", "message"),
    [
        (make_rows(5), make_rows(5, failed=[4]), "sample 00003004 has no row"),
        (
            make_rows(5, failed=[4]),
            make_rows(5),
            r"row 4 \(00003004\) is a success, but the next sample is missing",
        ),
        (
            make_rows(5, failed=[1]),
            make_rows(5),
            r"row 1 \(00003001\) is a success, but the next sample is 00003002",
        ),
        (make_rows(5), make_rows(4), "sample 00003004 has no row"),
        (make_rows(5, failed=[4]), make_rows(4), "expected 5 rows, got 4"),
    ],
)
def test_reading_stops_when_samples_and_rows_disagree(
    store, output_format, sample_rows, sidecar_rows, message
):
    record = mixed_up(store, output_format, sample_rows, sidecar_rows)
    with pytest.raises(ShardCorrupt, match=message):
        list(read_rows(store, record))


def test_reading_stops_when_the_metadata_have_no_status(store):
    record = write_shard(store, "webdataset", make_rows(1))
    names = [name for name in SCHEMA.names if name != "status"]
    rows = make_rows(1)
    del rows[0].columns["status"]
    other = store.child("other")
    write_files(other, "webdataset", rows, schema=SCHEMA.remove(SCHEMA.get_field_index("status")))
    store.write("00003.parquet", other.read("00003.parquet"))
    with pytest.raises(ShardCorrupt, match=f"expected columns 'key' and 'status', got {names[0]}"):
        list(read_rows(store, record))


def test_reading_says_missing_when_a_file_is_gone(store):
    record = write_shard(store, "webdataset", make_rows(1))
    store.delete("00003.tar")
    with pytest.raises(ObjectMissing):
        list(read_rows(store, record))


def test_files_are_closed_when_reading_stops_early(store):
    rows = read_rows(store, write_shard(store, "webdataset", make_rows(10)))
    next(rows)
    rows.close()
