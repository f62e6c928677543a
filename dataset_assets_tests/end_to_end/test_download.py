"""`download` from list to shards, over real HTTP: layout, accounting, order, formats, stores."""

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_assets import download, download_any
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.downloads import PARQUET, files, make, sidecar

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


def test_every_row_is_a_sample_or_has_a_cause(gallery):
    source = gallery.list(25, missing=frozenset({3, 14}))
    gallery.server.add("/7.jpg", b"<html>sorry</html>", content_type="text/html")
    report = make(gallery, source=source)
    assert (report.rows, report.successes, report.made) == (25, 22, 3)
    assert report.causes == {"http_not_found": 2, "not_image": 1}
    rows = (
        sidecar(gallery.folder / "out")
        + sidecar(gallery.folder / "out", "00001")
        + sidecar(gallery.folder / "out", "00002")
    )
    assert [row["number"] for row in rows] == list(range(25))
    assert [row["number"] for row in rows if row["status"] != "success"] == [3, 7, 14]
    assert verify_set(open_store(str(gallery.folder / "out"))) == []


def test_files_columns_and_statistics_are_those_of_img2dataset(gallery):
    make(gallery, source=gallery.list(12, missing=frozenset({2})))
    out = gallery.folder / "out"
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [
            f"0000{shard}{suffix}"
            for shard in (0, 1)
            for suffix in (".tar", ".parquet", "_stats.json")
        ]
        + ["manifest.json"]
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
        assert (
            meta["caption"]
            == tar.extractfile("000001.txt").read().decode()
            == "picture 1 – ünïcode"
        )
        image = Image.open(io.BytesIO(tar.extractfile("000001.jpg").read()))
        assert min(image.size) == 64
        assert image.size == (meta["width"], meta["height"])


def test_the_img2dataset_layout_adds_nothing(gallery):
    make(gallery, rows=5, layout="img2dataset")
    out = gallery.folder / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "00000.parquet",
        "00000.tar",
        "00000_stats.json",
    ]
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
dataset = datasets.load_dataset("webdataset", data_files=tars, split="train", streaming=True)
rows = [(row["__key__"], row["txt"], row["jpg"].size) for row in dataset]
print(json.dumps([[key for key, *_ in keys], [key for key, *_ in rows], keys[7][1], rows[7][1]]))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(gallery.folder / "hf")}
    shown = subprocess.run(
        [sys.executable, "-c", script, *tars],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=environment,
    )
    webdataset_keys, datasets_keys, *captions = json.loads(shown.stdout.splitlines()[-1])
    assert webdataset_keys == datasets_keys == [f"{n:06d}" for n in range(25)]
    assert captions == ["picture 7 – ünïcode"] * 2


@pytest.mark.parametrize("output_format", ["files", "parquet", "tfrecord", "dummy"])
def test_the_other_formats_are_whole_too(gallery, output_format):
    report = make(
        gallery, output_format=output_format, source=gallery.list(25, missing=frozenset({5}))
    )
    assert (report.rows, report.successes) == (25, 24)
    assert verify_set(open_store(str(gallery.folder / "out"))) == []
    before = gallery.server.requests
    assert (
        make(
            gallery, output_format=output_format, source=gallery.list(25, missing=frozenset({5}))
        ).skipped
        == 3
    )
    assert gallery.server.requests == before


@pytest.mark.parametrize("codec_threads", [0, 2])
@pytest.mark.parametrize(("distributor", "processes"), [("serial", 1), ("multiprocessing", 2)])
def test_bytes_do_not_depend_on_how_the_work_is_done(
    gallery, distributor, processes, codec_threads
):
    source = gallery.list(60, missing=frozenset({9, 33}))
    make(gallery, source=source, out="one", thread_count=1, codec_threads=0)
    make(
        gallery,
        source=source,
        out="two",
        thread_count=64,
        distributor=distributor,
        processes_count=processes,
        codec_threads=codec_threads,
    )
    assert files(gallery.folder / "one") == files(gallery.folder / "two")


def test_one_slow_url_does_not_stop_a_shard(gallery):
    source = gallery.list(40)
    gallery.server.add("/0.jpg", b"", delay_s=30)
    report = make(gallery, source=source, number_sample_per_shard=20, timeout=1)
    assert (report.successes, report.causes) == (39, {"timeout_first_byte": 1})
    assert [row["number"] for row in sidecar(gallery.folder / "out")] == list(range(20))


def test_rows_that_wait_come_out_in_order(gallery):
    source = gallery.list(40)
    gallery.server.add(
        "/0.jpg", body=gallery.server.routes["/0.jpg"].body, content_type="image/jpeg", delay_s=1
    )
    make(gallery, source=source, number_sample_per_shard=40)
    make(gallery, source=source, number_sample_per_shard=40, out="again", thread_count=1)
    assert files(gallery.folder / "out") == files(gallery.folder / "again")


def test_slow_rows_of_many_shards_wait_at_the_same_time(gallery):
    source = gallery.list(80)
    waiting = []
    all_wait = asyncio.Event()

    async def hold_first_rows(exchange):
        if int(exchange.path[1:-4]) % 10:
            return False
        waiting.append(exchange.path)
        if len(waiting) == 8:
            all_wait.set()
        await all_wait.wait()
        return False

    gallery.server.handler = hold_first_rows
    report = make(gallery, source=source, timeout=20)
    assert (report.successes, report.requests) == (80, 80)
    gallery.server.handler = None
    make(gallery, source=source, out="again", thread_count=1)
    assert files(gallery.folder / "out") == files(gallery.folder / "again")


def test_a_finished_image_does_not_wait_for_the_heartbeat(gallery, monkeypatch):
    monkeypatch.setattr("dataset_assets.pipelines.download.worker.HEARTBEAT_S", 30)
    started = time.monotonic()
    report = make(gallery, 4, number_sample_per_shard=1, codec_threads=2)
    assert report.successes == 4
    assert time.monotonic() - started < 30


def test_any_file_is_kept_as_it_is(gallery):
    bodies = {
        "/sound": (b"fLaC\x00\x00\x00\x22" + bytes(30), "audio/flac", "flac"),
        "/page": (b"plain words", "text/plain; charset=utf-8", "txt"),
        "/clip.mp4": (b"\x00\x00\x00\x18ftypmp42" + bytes(40), "application/octet-stream", "mp4"),
        "/blob": (b"\x01\x02\x03", "application/octet-stream", "bin"),
    }
    urls = [
        gallery.server.add(path, body, content_type=media)
        for path, (body, media, _) in bodies.items()
    ]
    out = gallery.folder / "files"
    report = download_any(
        urls, output_folder=str(out), output_format="webdataset", distributor="serial"
    )
    assert (report.rows, report.successes) == (4, 4)
    rows = sidecar(out)
    assert [row["extension"] for row in rows] == [extension for _, _, extension in bodies.values()]
    assert [row["md5"] for row in rows] == [
        hashlib.md5(body).hexdigest() for body, _, _ in bodies.values()
    ]
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
    report = make(
        gallery,
        source=table.append_column("digest", pa.array(hashes)),
        verify_hash=["digest", "sha256"],
    )
    assert report.causes == {"hash_mismatch": 1}
    rows = sidecar(gallery.folder / "out")
    assert "digest" not in rows[0]
    assert rows[2]["error_message"] == "hash mismatch"
    assert rows[2]["sha256"] is None


def test_boxes_are_blurred(gallery):
    table = gallery.table(2).append_column(
        "faces", pa.array([[[0.1, 0.1, 0.9, 0.9]], []], pa.list_(pa.list_(pa.float64())))
    )
    make(gallery, source=table, bbox_col="faces")
    make(gallery, source=gallery.table(2), out="plain")
    with (
        tarfile.open(gallery.folder / "out" / "00000.tar") as blurred,
        tarfile.open(gallery.folder / "plain" / "00000.tar") as plain,
    ):
        assert blurred.extractfile("000000.jpg").read() != plain.extractfile("000000.jpg").read()
        assert blurred.extractfile("000001.jpg").read() == plain.extractfile("000001.jpg").read()


def test_several_lists_never_share_a_shard(gallery):
    lists = gallery.folder / "lists"
    lists.mkdir()
    for name, first in (("a", 0), ("b", 100)):
        pq.write_table(gallery.table(5, first=first), lists / f"{name}.parquet")
    report = make(gallery, source=str(lists))
    assert (report.rows, report.made) == (10, 2)
    assert [row["number"] for row in sidecar(gallery.folder / "out", "00001")] == list(
        range(100, 105)
    )


def test_stores_of_other_schemes_work(gallery):
    report = download(
        gallery.list(15), output_folder="memory://set/out", number_sample_per_shard=10, **PARQUET
    )
    assert (report.rows, report.successes, report.made) == (15, 15, 2)
    assert verify_set(open_store("memory://set/out")) == []
