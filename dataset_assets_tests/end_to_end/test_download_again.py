"""`download` into a folder that has shards: resuming, the modes, retries of failed rows."""

import pytest

from dataset_assets.errors import (
    PlanMismatch,
)
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.downloads import files, make, sidecar


def test_a_second_run_makes_no_request(gallery):
    make(gallery, source=(source := gallery.list(25, missing=frozenset({3}))))
    before = gallery.server.requests
    report = make(gallery, source=source)
    assert (report.made, report.skipped, report.requests) == (0, 3, 0)
    assert gallery.server.requests == before


def test_only_the_missing_shard_is_made_when_a_record_is_gone(gallery):
    make(gallery, source=(source := gallery.list(25)))
    before = files(gallery.folder / "out")
    (gallery.folder / "out" / "00001_stats.json").unlink()
    gallery.server.forget()
    assert make(gallery, source=source).made == 1
    assert sorted(gallery.server.hits) == sorted(f"/{n}.jpg" for n in range(10, 20))
    assert files(gallery.folder / "out") == before


def test_a_cut_shard_is_made_again(gallery):
    make(gallery, source=(source := gallery.list(25)))
    before = files(gallery.folder / "out")
    tar = gallery.folder / "out" / "00002.tar"
    tar.write_bytes(tar.read_bytes()[:-20_000])
    assert make(gallery, source=source).made == 1
    assert files(gallery.folder / "out") == before


@pytest.mark.parametrize(
    "change", [{"image_size": 32}, {"number_sample_per_shard": 9}, {"output_format": "parquet"}]
)
def test_other_options_are_never_mixed_in(gallery, change):
    make(gallery, source=(source := gallery.list(25)))
    before = files(gallery.folder / "out")
    with pytest.raises(PlanMismatch, match="other rows or with other options"):
        make(gallery, source=source, **change)
    assert files(gallery.folder / "out") == before


def test_another_list_is_never_mixed_in(gallery):
    make(gallery, rows=25)
    with pytest.raises(PlanMismatch, match="overwrite"):
        make(gallery, source=gallery.list(25, first=100))


def test_a_list_that_grew_by_whole_shards_goes_on(gallery):
    make(gallery, source=gallery.list(20))
    report = make(gallery, source=gallery.list(35))
    assert (report.rows, report.made, report.skipped) == (35, 2, 2)


def test_overwrite_starts_over_and_leaves_strange_files_alone(gallery):
    make(gallery, rows=25)
    (gallery.folder / "out" / "notes.json").write_text("mine")
    report = make(gallery, source=gallery.list(5, first=100), incremental_mode="overwrite")
    assert (report.rows, report.made) == (5, 1)
    assert not (gallery.folder / "out" / "00001.tar").exists()
    assert (gallery.folder / "out" / "notes.json").read_text() == "mine"


def test_extend_adds_shards_behind_those_that_exist(gallery):
    make(gallery, rows=15)
    before = files(gallery.folder / "out")
    report = make(gallery, source=gallery.list(15, first=100), incremental_mode="extend")
    assert (report.rows, report.made) == (30, 2)
    after = files(gallery.folder / "out")
    assert {name: after[name] for name in before if name != "manifest.json"} == {
        name: before[name] for name in before if name != "manifest.json"
    }
    assert [row["key"] for row in sidecar(gallery.folder / "out", "00002")][:2] == [
        "000020",
        "000021",
    ]
    assert [row["url"] for row in sidecar(gallery.folder / "out", "00003")] == [
        gallery.url(n) for n in range(110, 115)
    ]


@pytest.mark.parametrize("output_format", ["webdataset", "files", "parquet", "tfrecord"])
def test_retry_failed_fetches_only_rows_with_the_named_causes(gallery, output_format):
    source = gallery.list(25, missing=frozenset({3}))
    for number in (7, 12):
        gallery.server.add(f"/{number}.jpg", status=503)
    first = make(gallery, source=source, output_format=output_format)
    assert first.causes == {"http_server_error": 2, "http_not_found": 1}
    for number in (7, 12):
        gallery.url(number)
    gallery.server.forget()
    report = make(gallery, source=source, output_format=output_format, retry_failed=["transient"])
    assert dict(gallery.server.hits) == {"/7.jpg": 1, "/12.jpg": 1}
    assert (report.successes, report.causes, report.made, report.skipped) == (
        24,
        {"http_not_found": 1},
        2,
        1,
    )
    assert verify_set(open_store(str(gallery.folder / "out"))) == []
    make(gallery, source=source, output_format=output_format, out="clean")
    assert files(gallery.folder / "out") == files(gallery.folder / "clean")


def test_a_list_that_was_cut_short_does_not_get_into_another(gallery):
    """What a killed run leaves of its plan is not taken up by a run over another list."""
    source = gallery.list(10)

    def breaks_off():
        yield from gallery.table(7, first=100).to_batches()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(gallery, source=breaks_off())
    report = make(gallery, source=source)
    assert (report.rows, report.successes) == (10, 10)
    assert not (gallery.folder / "out" / "_plan").exists()


def test_retry_failed_keeps_the_new_cause_when_it_changed(gallery):
    source = gallery.list(10)
    gallery.server.add("/4.jpg", status=503)
    make(gallery, source=source)
    gallery.server.add("/4.jpg", status=404)
    assert make(gallery, source=source, retry_failed=["http_server_error"]).causes == {
        "http_not_found": 1
    }
