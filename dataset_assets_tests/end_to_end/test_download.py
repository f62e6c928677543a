"""`download` from list to shards, over real HTTP: layout, accounting, resuming, modes, retries, and bad input."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_assets import download, download_any
from dataset_assets.errors import (
    ConfigurationError,
    DatasetAssetsError,
    EmptyList,
    MissingColumn,
    NotWritable,
    PlanMismatch,
    SourceError,
    UnknownName,
    UnreadableList,
)
from dataset_assets.pipelines.inspect_shards import verify_set
from dataset_assets.storage._base import open_store

PARQUET = {
    "input_format": "parquet",
    "caption_col": "caption",
    "save_additional_columns": ["number"],
    "output_format": "webdataset",
    "thread_count": 16,
    "distributor": "serial",
}
STATS_OF_IMG2DATASET = {
    "count",
    "successes",
    "failed_to_download",
    "failed_to_resize",
    "duration",
    "start_time",
    "end_time",
    "status_dict",
}


def make(gallery, rows=25, out="out", **options):
    options = {**PARQUET, "number_sample_per_shard": 10, "image_size": 64, "resize_mode": "keep_ratio", **options}
    source = options.pop("source", None)
    return download(gallery.list(rows) if source is None else source, output_folder=str(gallery.folder / out), **options)


def files(folder: Path) -> dict[str, str]:
    """Return the hash of every file that holds data: all but the records, which have times."""
    found = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.parent.name != "_tmp" and not path.name.endswith("_stats.json")
    )
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def sidecar(folder: Path, shard: str = "00000") -> list[dict]:
    return pq.read_table(folder / f"{shard}.parquet").to_pylist()


def test_every_row_is_a_sample_or_has_a_cause(gallery):
    source = gallery.list(25, missing=frozenset({3, 14}))
    gallery.server.add("/7.jpg", b"<html>sorry</html>", content_type="text/html")
    report = make(gallery, source=source)
    assert (report.rows, report.successes, report.made) == (25, 22, 3)
    assert report.causes == {"http_not_found": 2, "not_image": 1}
    rows = sidecar(gallery.folder / "out") + sidecar(gallery.folder / "out", "00001") + sidecar(gallery.folder / "out", "00002")
    assert [row["number"] for row in rows] == list(range(25))
    assert [row["number"] for row in rows if row["status"] != "success"] == [3, 7, 14]
    assert verify_set(open_store(str(gallery.folder / "out"))) == []


def test_files_columns_and_statistics_are_those_of_img2dataset(gallery):
    make(gallery, source=gallery.list(12, missing=frozenset({2})))
    out = gallery.folder / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [f"0000{shard}{suffix}" for shard in (0, 1) for suffix in (".tar", ".parquet", "_stats.json")] + ["manifest.json"]
    )
    columns = [
        "number",
        "caption",
        "url",
        "key",
        "status",
        "error_message",
        "width",
        "height",
        "original_width",
        "original_height",
        "exif",
        "sha256",
    ]
    assert pq.read_schema(out / "00000.parquet").names[: len(columns)] == columns
    stats = json.loads((out / "00000_stats.json").read_text())
    assert set(stats) >= STATS_OF_IMG2DATASET
    assert stats["status_dict"] == {"success": 9, "HTTP Error 404: Not Found": 1}
    with tarfile.open(out / "00000.tar") as tar:
        assert tar.getnames()[:4] == ["000000.jpg", "000000.json", "000000.txt", "000001.jpg"]
        meta = json.loads(tar.extractfile("000001.json").read())
        assert list(meta) == columns
        assert meta["caption"] == tar.extractfile("000001.txt").read().decode() == "picture 1 – ünïcode"
        image = Image.open(io.BytesIO(tar.extractfile("000001.jpg").read()))
        assert min(image.size) == 64
        assert image.size == (meta["width"], meta["height"])


def test_the_img2dataset_layout_adds_nothing(gallery):
    make(gallery, rows=5, layout="img2dataset")
    out = gallery.folder / "out"
    assert sorted(path.name for path in out.iterdir()) == ["00000.parquet", "00000.tar", "00000_stats.json"]
    assert pq.read_schema(out / "00000.parquet").names == [
        *(
            "number",
            "caption",
            "url",
            "key",
            "status",
            "error_message",
            "width",
            "height",
            "original_width",
            "original_height",
            "exif",
            "sha256",
        )
    ]


def test_shards_load_with_webdataset_and_with_datasets(gallery):
    make(gallery, rows=25)
    tars = sorted(str(path) for path in (gallery.folder / "out").glob("*.tar"))
    script = """
import json, sys, warnings
warnings.simplefilter("ignore")
import datasets, webdataset
tars = sys.argv[1:]
keys = [(sample["__key__"], sample["txt"], sample["jpg"].shape) for sample in
        webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8")]
rows = [(row["__key__"], row["txt"], row["jpg"].size) for row in datasets.load_dataset("webdataset", data_files=tars, split="train", streaming=True)]
print(json.dumps([[key for key, *_ in keys], [key for key, *_ in rows], keys[7][1], rows[7][1]]))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(gallery.folder / "hf")}
    shown = subprocess.run([sys.executable, "-c", script, *tars], capture_output=True, text=True, timeout=120, check=True, env=environment)
    webdataset_keys, datasets_keys, *captions = json.loads(shown.stdout.splitlines()[-1])
    assert webdataset_keys == datasets_keys == [f"{n:06d}" for n in range(25)]
    assert captions == ["picture 7 – ünïcode"] * 2


@pytest.mark.parametrize("output_format", ["files", "parquet", "tfrecord", "dummy"])
def test_the_other_formats_are_whole_too(gallery, output_format):
    report = make(gallery, output_format=output_format, source=gallery.list(25, missing=frozenset({5})))
    assert (report.rows, report.successes) == (25, 24)
    assert verify_set(open_store(str(gallery.folder / "out"))) == []
    before = gallery.server.requests
    assert make(gallery, output_format=output_format, source=gallery.list(25, missing=frozenset({5}))).skipped == 3
    assert gallery.server.requests == before


@pytest.mark.parametrize("codec_threads", [0, 2])
@pytest.mark.parametrize(("distributor", "processes"), [("serial", 1), ("multiprocessing", 2)])
def test_bytes_do_not_depend_on_how_the_work_is_done(gallery, distributor, processes, codec_threads):
    source = gallery.list(60, missing=frozenset({9, 33}))
    make(gallery, source=source, out="one", thread_count=1, codec_threads=0)
    make(
        gallery, source=source, out="two", thread_count=64, distributor=distributor, processes_count=processes, codec_threads=codec_threads
    )
    assert files(gallery.folder / "one") == files(gallery.folder / "two")


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


@pytest.mark.parametrize("change", [{"image_size": 32}, {"number_sample_per_shard": 9}, {"output_format": "parquet"}])
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
    assert [row["key"] for row in sidecar(gallery.folder / "out", "00002")][:2] == ["000020", "000021"]
    assert [row["url"] for row in sidecar(gallery.folder / "out", "00003")] == [gallery.url(n) for n in range(110, 115)]


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
    assert (report.successes, report.causes, report.made, report.skipped) == (24, {"http_not_found": 1}, 2, 1)
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


@pytest.mark.parametrize("name", ["cause", "offset"])
def test_a_column_with_a_name_of_ours_is_refused_before_anything_is_fetched(gallery, name):
    table = gallery.table(3).rename_columns(["url", "caption", name])
    with pytest.raises(ConfigurationError, match=f"columns {name} have names"):
        make(gallery, source=table, save_additional_columns=[name])
    assert gallery.server.requests == 0


def test_retry_failed_keeps_the_new_cause_when_it_changed(gallery):
    source = gallery.list(10)
    gallery.server.add("/4.jpg", status=503)
    make(gallery, source=source)
    gallery.server.add("/4.jpg", status=404)
    assert make(gallery, source=source, retry_failed=["http_server_error"]).causes == {"http_not_found": 1}


def test_one_slow_url_does_not_stop_a_shard(gallery):
    source = gallery.list(40)
    gallery.server.add("/0.jpg", b"", delay_s=30)
    report = make(gallery, source=source, number_sample_per_shard=20, timeout=1)
    assert (report.successes, report.causes) == (39, {"timeout_first_byte": 1})
    assert [row["number"] for row in sidecar(gallery.folder / "out")] == list(range(20))


def test_rows_that_wait_come_out_in_order(gallery):
    source = gallery.list(40)
    gallery.server.add("/0.jpg", body=gallery.server.routes["/0.jpg"].body, content_type="image/jpeg", delay_s=1)
    make(gallery, source=source, number_sample_per_shard=40)
    make(gallery, source=source, number_sample_per_shard=40, out="again", thread_count=1)
    assert files(gallery.folder / "out") == files(gallery.folder / "again")


def test_any_file_is_kept_as_it_is(gallery):
    bodies = {
        "/sound": (b"fLaC\x00\x00\x00\x22" + bytes(30), "audio/flac", "flac"),
        "/page": (b"plain words", "text/plain; charset=utf-8", "txt"),
        "/clip.mp4": (b"\x00\x00\x00\x18ftypmp42" + bytes(40), "application/octet-stream", "mp4"),
        "/blob": (b"\x01\x02\x03", "application/octet-stream", "bin"),
    }
    urls = [gallery.server.add(path, body, content_type=media) for path, (body, media, _) in bodies.items()]
    out = gallery.folder / "files"
    report = download_any(urls, output_folder=str(out), output_format="webdataset", distributor="serial")
    assert (report.rows, report.successes) == (4, 4)
    rows = sidecar(out)
    assert [row["extension"] for row in rows] == [extension for _, _, extension in bodies.values()]
    assert [row["md5"] for row in rows] == [hashlib.md5(body).hexdigest() for body, _, _ in bodies.values()]
    with tarfile.open(out / "00000.tar") as tar:
        names = tar.getnames()
        assert names[0] == "000000000.flac"
        stored = {name: tar.extractfile(name).read() for name in names}
    assert {body for body, _, _ in bodies.values()} <= set(stored.values())


def test_offsets_give_a_sample_with_one_range_read(gallery):
    make(gallery, rows=10)
    store = open_store(str(gallery.folder / "out"))
    for row in sidecar(gallery.folder / "out"):
        image = Image.open(io.BytesIO(store.read("00000.tar", row["offset"], row["bytes"])))
        assert image.size == (row["width"], row["height"])


def test_a_promised_hash_is_checked_before_anything_is_stored(gallery):
    table = gallery.table(6)
    hashes = [hashlib.sha256(gallery.server.routes[f"/{n}.jpg"].body).hexdigest() for n in range(6)]
    hashes[2] = "0" * 64
    report = make(gallery, source=table.append_column("digest", pa.array(hashes)), verify_hash=["digest", "sha256"])
    assert report.causes == {"hash_mismatch": 1}
    rows = sidecar(gallery.folder / "out")
    assert "digest" not in rows[0]
    assert rows[2]["error_message"] == "hash mismatch"
    assert rows[2]["sha256"] is None


def test_boxes_are_blurred(gallery):
    table = gallery.table(2).append_column("faces", pa.array([[[0.1, 0.1, 0.9, 0.9]], []], pa.list_(pa.list_(pa.float64()))))
    make(gallery, source=table, bbox_col="faces")
    make(gallery, source=gallery.table(2), out="plain")
    with tarfile.open(gallery.folder / "out" / "00000.tar") as blurred, tarfile.open(gallery.folder / "plain" / "00000.tar") as plain:
        assert blurred.extractfile("000000.jpg").read() != plain.extractfile("000000.jpg").read()
        assert blurred.extractfile("000001.jpg").read() == plain.extractfile("000001.jpg").read()


def test_several_lists_never_share_a_shard(gallery):
    lists = gallery.folder / "lists"
    lists.mkdir()
    for name, first in (("a", 0), ("b", 100)):
        pq.write_table(gallery.table(5, first=first), lists / f"{name}.parquet")
    report = make(gallery, source=str(lists))
    assert (report.rows, report.made) == (10, 2)
    assert [row["number"] for row in sidecar(gallery.folder / "out", "00001")] == list(range(100, 105))


def test_stores_of_other_schemes_work(gallery):
    report = download(gallery.list(15), output_folder="memory://set/out", number_sample_per_shard=10, **PARQUET)
    assert (report.rows, report.successes, report.made) == (15, 15, 2)
    assert verify_set(open_store("memory://set/out")) == []


def test_private_addresses_are_refused_unless_allowed(gallery, monkeypatch):
    monkeypatch.delenv("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS")
    assert make(gallery, rows=3).causes == {"blocked_address": 3}
    assert gallery.server.requests == 0
    assert make(gallery, rows=3, out="two", allow_private_networks=["127.0.0.0/8"]).successes == 3


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"source": "nowhere.parquet"}, SourceError, "nowhere.parquet"),
        ({"source": [], "caption_col": None, "save_additional_columns": None}, EmptyList, "expected at least one url"),
        ({"url_col": "link"}, MissingColumn, "link"),
        ({"caption_col": "captoin"}, MissingColumn, "caption"),
        ({"save_additional_columns": ["nope"]}, MissingColumn, "nope"),
        ({"save_additional_columns": ["status"]}, ConfigurationError, "status"),
        ({"input_format": "xlsx"}, UnknownName, "expected one of"),
        ({"output_format": "webdatset"}, UnknownName, "did you mean 'webdataset'"),
        ({"resize_mode": "crop"}, ConfigurationError, "resize_mode"),
        ({"timeout": 0}, ConfigurationError, "timeout"),
        ({"thread_count": -1}, ConfigurationError, "max_connections"),
        ({"encode_quality": 200}, ConfigurationError, "encode_quality"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_requested(gallery, monkeypatch, options, error, said):
    monkeypatch.chdir(gallery.folder)
    with pytest.raises(error, match=said) as caught:
        make(gallery, rows=3, **options)
    assert isinstance(caught.value, DatasetAssetsError)
    assert "\n" not in str(caught.value)
    assert gallery.server.requests == 0


def test_a_list_that_is_not_what_it_says_is_named(gallery):
    broken = gallery.folder / "broken.parquet"
    broken.write_bytes(b"PAR1 not really")
    with pytest.raises(UnreadableList, match="broken.parquet"):
        make(gallery, source=str(broken))


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs a place where even root may not write")
def test_an_output_that_can_not_be_written_is_found_before_the_first_request(gallery):
    with pytest.raises(NotWritable, match="/proc/self/out"):
        download(gallery.list(3), output_folder="/proc/self/out", **PARQUET)
    assert gallery.server.requests == 0


@pytest.mark.parametrize("distributor", ["serial", "multiprocessing"])
def test_a_full_disk_keeps_what_is_committed_and_the_run_can_go_on(gallery, distributor):
    """A limit on the size of files stands for the disk: the third shard is too large for it."""
    table = gallery.table(30)
    large = os.urandom(300_000)
    urls = table.column("url").to_pylist()
    for number in range(20, 30):
        urls[number] = gallery.server.add(f"/large/{number}", large)
    options = {
        "output_format": "webdataset",
        "number_sample_per_shard": 10,
        "distributor": distributor,
        "output_folder": str(gallery.folder / "out"),
    }
    (gallery.folder / "urls.txt").write_text("\n".join(urls))
    script = f"""
import resource, signal
from dataset_assets import download_any
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    download_any({str(gallery.folder / "urls.txt")!r}, **{options!r})
"""
    (gallery.folder / "run.py").write_text(script)
    stopped = subprocess.run([sys.executable, str(gallery.folder / "run.py")], capture_output=True, text=True, timeout=60, check=False)
    assert stopped.returncode == 1
    assert "DiskFull: no space left for" in stopped.stderr
    assert "free some space and run again" in stopped.stderr
    assert sorted(path.name for path in (gallery.folder / "out").glob("*.tar")) == ["00000.tar", "00001.tar"]
    assert not list((gallery.folder / "out").glob("_tmp/*"))
    report = download_any(str(gallery.folder / "urls.txt"), **options)
    assert (report.rows, report.successes, report.skipped) == (30, 30, 2)


def test_a_lost_worker_costs_only_its_shards(gallery):
    source = gallery.list(40)
    gallery.server.add("/35.jpg", b"", delay_s=2)
    script = f"""
import os, signal, threading, time
from dataset_assets import download
def kill_a_worker():
    time.sleep(1.5)
    import multiprocessing
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
if __name__ == "__main__":
    threading.Thread(target=kill_a_worker, daemon=True).start()
    report = download({source!r}, output_folder={str(gallery.folder / "out")!r}, number_sample_per_shard=10, processes_count=2, thread_count=4,
                      input_format="parquet", output_format="webdataset")
    print(report.rows, report.successes, report.made)
"""
    (gallery.folder / "run.py").write_text(script)
    done = subprocess.run([sys.executable, str(gallery.folder / "run.py")], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["40", "39", "4"]
