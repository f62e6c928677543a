"""What arguments do, as users of img2dataset and any2dataset know them."""

import functools
import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dataset_assets
from dataset_assets.errors import MissingColumn
from dataset_assets_tests.end_to_end.conftest import jpeg
from dataset_assets_tests.end_to_end.img2dataset_layout import (
    COLUMNS,
    INPUT_FORMATS,
    MORE_COLUMNS,
    MORE_STATS,
    OUTPUT_FORMATS,
    STATS,
    contents,
    download,
    listing,
    names_in,
    quickly,
    rows_of,
    stats_of,
    write_list,
)


def test_missing_captions_are_empty_members_when_other_rows_have_some(gallery, out):
    table = gallery.table(3).set_column(1, "caption", pa.array([None, "", "two"]))
    quickly(table, 32, str(out), caption_col="caption", output_format="webdataset")
    tar = contents(out / "00000.tar")
    assert [tar[f"00000000{number}.txt"] for number in range(3)] == [b"", b"", b"two"]
    assert [json.loads(tar[f"00000000{number}.json"])["caption"] for number in range(3)] == [
        None,
        "",
        "two",
    ]


@pytest.mark.parametrize("input_format", ["txt", "txt.gz"])
def test_captions_are_ignored_when_a_txt_list_can_not_have_any(gallery, out, caplog, input_format):
    source = str(write_list(gallery, input_format))
    asked = {
        "caption_col": "caption",
        "save_additional_columns": ["license"],
        "input_format": input_format,
    }
    quickly(source, 32, str(out), **asked)
    assert "caption_col and save_additional_columns are ignored" in caplog.text
    assert pq.read_schema(out / "00000.parquet").names == COLUMNS
    with pytest.raises(MissingColumn, match="caption"):
        dataset_assets.download(source, output_folder=str(gallery.folder / "ours"), **asked)


@pytest.mark.parametrize(
    ("compute_hash", "of_nothing"),
    [("md5", 32), ("sha256", 64), ("sha512", 128), (None, None)],
    ids=["md5", "sha256", "sha512", "none"],
)
@pytest.mark.parametrize("extract_exif", [True, False])
def test_hash_and_exif_columns_come_and_go_when_asked(
    gallery, out, compute_hash, of_nothing, extract_exif
):
    quickly(
        [gallery.url(0)],
        32,
        str(out),
        output_format="webdataset",
        compute_hash=compute_hash,
        extract_exif=extract_exif,
    )
    columns = [
        *COLUMNS[:-2],
        *(["exif"] if extract_exif else []),
        *([compute_hash] if compute_hash else []),
    ]
    row = rows_of(out)[0]
    assert list(row) == columns
    assert list(json.loads(contents(out / "00000.tar")["000000000.json"])) == columns
    assert row.get("exif") == ("{}" if extract_exif else None)
    if compute_hash:
        assert len(row[compute_hash]) == of_nothing


@pytest.mark.parametrize("column", ["digest", "sha256"])
def test_only_rows_with_the_promised_hash_succeed_when_it_is_verified(gallery, out, column):
    digests = [row["sha256"] for row in hashed(gallery)]
    promised = [digests[0], "0" * 64, None, digests[3].upper()]
    table = gallery.table(4).append_column(column, pa.array(promised, pa.string()))
    quickly(
        table,
        32,
        str(out),
        caption_col="caption",
        output_format="webdataset",
        verify_hash=[column, "sha256"],
    )
    rows = rows_of(out)
    assert [row["error_message"] for row in rows] == [None, "hash mismatch", "hash mismatch", None]
    assert [row["sha256"] for row in rows] == [digests[0], None, None, digests[3]]
    assert stats_of(out)["status_dict"] == {"success": 2, "hash mismatch": 2}
    assert list(rows[0]) == [
        "caption",
        "sha256",
        *COLUMNS[:-1],
    ]  # the table has it in the place of the column that was verified
    assert list(json.loads(contents(out / "00000.tar")["000000000.json"])) == ["caption", *COLUMNS]


def hashed(gallery):
    quickly(gallery.table(4), 32, str(gallery.folder / "hashed"), output_format="parquet")
    return rows_of(gallery.folder / "hashed")


def test_boxes_are_kept_and_blurred_when_a_column_has_them(gallery, out):
    boxes = pa.array([[[0.2, 0.2, 0.8, 0.8]], []], pa.list_(pa.list_(pa.float64())))
    table = gallery.table(2).append_column("faces", boxes)
    quickly(
        table,
        64,
        str(out),
        save_additional_columns=["number"],
        bbox_col="faces",
        output_format="webdataset",
    )
    quickly(gallery.table(2), 64, str(gallery.folder / "plain"), output_format="webdataset")
    assert pq.read_schema(out / "00000.parquet").names == ["number", "faces", *COLUMNS]
    blurred, plain = contents(out / "00000.tar"), contents(gallery.folder / "plain" / "00000.tar")
    assert [
        blurred[f"00000000{number}.jpg"] == plain[f"00000000{number}.jpg"] for number in range(2)
    ] == [False, True]


def test_alpha_is_composed_on_white_when_a_png_has_it(gallery, out):
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 20, 40))
    body = io.BytesIO()
    clear.save(body, "PNG")
    url = gallery.server.add("/clear.png", body.getvalue(), content_type="image/png")
    quickly(
        [url],
        40,
        str(out),
        output_format="parquet",
        encode_format="png",
        encode_quality=1,
        resize_mode="no",
        skip_reencode=True,
    )
    image = Image.open(io.BytesIO(rows_of(out)[0]["png"]))
    assert image.mode == "RGB"
    assert (image.getpixel((5, 5)), image.getpixel((30, 5))) == ((0, 0, 255), (255, 255, 255))


@pytest.mark.parametrize("answer", [b"<html>sorry</html>", b"\xff\xd8 cut"])
def test_anything_is_a_sample_when_all_reencoding_is_off(gallery, out, answer):
    url = gallery.server.add("/any.png", answer, content_type="image/png")
    quickly([url], 32, str(out), output_format="webdataset", disable_all_reencoding=True)
    assert contents(out / "00000.tar")["000000000.jpg"] == answer
    row = rows_of(out)[0]
    assert (row["status"], row["width"], row["original_width"], row["exif"]) == (
        "success",
        None,
        None,
        "{}",
    )


@pytest.mark.parametrize("input_format", INPUT_FORMATS)
def test_shards_and_keys_count_on_when_a_folder_has_several_lists(gallery, out, input_format):
    write_list(gallery, input_format, range(3), "lists/b")
    write_list(gallery, input_format, range(3, 8), "lists/a")
    (gallery.folder / "lists" / "README.md").write_text("no list")
    (gallery.folder / "lists" / "other").mkdir()
    counting = {"number_sample_per_shard": 3, "oom_shard_count": 3, "input_format": input_format}
    quickly(str(gallery.folder / "lists"), 32, str(out), output_format="webdataset", **counting)
    assert {path.name for path in out.glob("*.tar")} == {"000.tar", "001.tar", "002.tar"}
    keys = [[row["key"] for row in rows_of(out, shard)] for shard in ("000", "001", "002")]
    assert keys == [["0000", "0001", "0002"], ["0010", "0011"], ["0020", "0021", "0022"]]
    urls = [row["url"] for shard in ("000", "001", "002") for row in rows_of(out, shard)]
    assert urls == [gallery.url(number) for number in (3, 4, 5, 6, 7, 0, 1, 2)]


@pytest.mark.parametrize(
    ("samples", "digits", "key"),
    [(10_000, 5, "000000000"), (1000, 5, "00000000"), (100, 2, "0000"), (7, 5, "000000")],
)
def test_keys_have_the_digits_of_shard_and_sample_when_numbers_are_chosen(
    gallery, out, samples, digits, key
):
    quickly(
        [gallery.url(0)],
        32,
        str(out),
        output_format="webdataset",
        number_sample_per_shard=samples,
        oom_shard_count=digits,
    )
    assert names_in(out / f"{'0' * digits}.tar") == [f"{key}.jpg", f"{key}.json"]


def test_nothing_to_read_is_a_value_error_when_a_folder_has_no_list(gallery, out):
    write_list(gallery, "txt", name="lists/a")
    with pytest.raises(ValueError, match=r"No file found at path .*lists with extension parquet"):
        quickly(str(gallery.folder / "lists"), output_folder=str(out), input_format="parquet")


def test_relative_paths_work_when_the_working_folder_is_another(gallery, monkeypatch):
    source = write_list(gallery, "txt")
    elsewhere = gallery.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    download(os.path.relpath(source), 32, "../images", output_format="webdataset", thread_count=8)
    assert len(names_in(gallery.folder / "images" / "00000.tar")) == 8
    assert listing(elsewhere) == set()


def test_each_mode_does_what_it_does_there_when_run_again(gallery, out):
    source = str(write_list(gallery, "txt", range(5)))

    def run(**options):
        gallery.server.forget()
        quickly(
            source, 32, str(out), output_format="webdataset", number_sample_per_shard=2, **options
        )
        done = sorted(
            int(path.name.split("_")[0]) for path in out.glob("*.json")
        )  # how img2dataset finds the shards that are done
        return gallery.server.requests, done

    assert run() == (5, [0, 1, 2])
    assert run() == (0, [0, 1, 2])
    (out / "00001_stats.json").unlink()
    assert run() == (2, [0, 1, 2])
    assert run(incremental_mode="extend") == (5, [0, 1, 2, 3, 4, 5])
    assert names_in(out / "00003.tar") == ["000030.jpg", "000030.json", "000031.jpg", "000031.json"]
    assert run(incremental_mode="overwrite") == (5, [0, 1, 2])
    assert listing(out) == {
        f"0000{shard}{end}" for shard in range(3) for end in (".tar", ".parquet", "_stats.json")
    }


@pytest.mark.parametrize(
    ("wanted", "accepted"),
    [(None, [True, False, False]), ([], [True, True, True]), (["NoML "], [True, True, False])],
)
def test_opt_out_directives_are_the_ones_asked_for_when_answers_have_some(
    gallery, out, wanted, accepted
):
    tags = enumerate(["nofollow", "noindex", "noml, noai"])
    urls = [
        gallery.server.add(f"/{number}.jpg", jpeg(number), headers=[("X-Robots-Tag", tag)])
        for number, tag in tags
    ]
    quickly(urls, 32, str(out), output_format="webdataset", disallowed_header_directives=wanted)
    assert [row["status"] == "success" for row in rows_of(out)] == accepted


@pytest.mark.parametrize("distributor", ["serial", "multiprocessing"])
def test_the_shards_are_the_same_when_processes_share_the_work(gallery, out, distributor):
    source = str(write_list(gallery, "txt", range(6)))
    processes = {
        "distributor": distributor,
        "processes_count": 2,
        "subjob_size": 1,
        "max_shard_retry": 2,
    }
    download(
        source, 32, str(out), output_format="webdataset", number_sample_per_shard=3, **processes
    )
    assert [names_in(out / f"0000{shard}.tar")[::2] for shard in range(2)] == [
        ["000000.jpg", "000001.jpg", "000002.jpg"],
        ["000010.jpg", "000011.jpg", "000012.jpg"],
    ]


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_without_the_layout_a_manifest_and_columns_are_added(gallery, out, output_format):
    gallery.server.add("/page", b"<html>", content_type="image/jpeg")
    table = gallery.table(4, missing=frozenset({1}))
    urls = [*table["url"].to_pylist()[:3], gallery.server.url("/page")]
    table = table.set_column(0, "url", pa.array(urls))
    ours = gallery.folder / "ours"
    asked = {"caption_col": "caption", "output_format": output_format}
    quickly(table, 32, str(out), **asked)
    quickly(table, 32, str(ours), layout="dataset_assets", **asked)
    assert listing(ours) - listing(out) == {"manifest.json"}
    assert not listing(out) - listing(ours)
    samples = {name for name in listing(out) if not name.endswith((".parquet", "_stats.json"))}
    assert all((ours / name).read_bytes() == (out / name).read_bytes() for name in samples)
    assert list(stats_of(ours)) == list(stats_of(out)) == [*STATS, *MORE_STATS]
    if output_format != "dummy":
        names = pq.read_schema(ours / "00000.parquet").names
        payload = ["jpg"] if output_format == "parquet" else []
        assert names == ["caption", *COLUMNS, *MORE_COLUMNS, *payload]
        theirs = rows_of(out)
        # Their one message for what cannot be decoded is the only value that differs.
        (page,) = (row for row in theirs if row["url"].endswith("/page"))
        page["error_message"] = rows_of(ours)[3]["error_message"]
        assert [{name: row[name] for name in theirs[0]} for row in rows_of(ours)] == theirs


@pytest.mark.parametrize(("compute_md5", "hashes"), [(True, ["md5"]), (False, [])])
@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_any_file_has_the_columns_of_any2dataset_when_kept_as_it_is(
    gallery, out, output_format, compute_md5, hashes
):
    gallery.server.add("/sound", b"fLaC\x00\x00\x00\x22" + bytes(30), content_type="audio/flac")
    table = pa.table(
        {
            "URL": [gallery.server.url("/sound"), gallery.server.url("/gone")],
            "TEXT": ["a bell", "nothing"],
            "id": [1, 2],
        }
    )
    pq.write_table(table, gallery.folder / "sounds.parquet")
    asked = {
        "url_col": "URL",
        "caption_col": "TEXT",
        "save_additional_columns": ["id"],
        "file_size": 256,
        "disable_all_reencoding": True,
    }
    download_any = functools.partial(
        dataset_assets.download_any, layout="img2dataset", distributor="serial"
    )
    source = str(gallery.folder / "sounds.parquet")
    download_any(source, str(out), 1, output_format, "parquet", compute_md5=compute_md5, **asked)
    assert stats_of(out)["status_dict"] == {"success": 1, "HTTP Error 404: Not Found": 1}
    if output_format == "webdataset":
        assert names_in(out / "00000.tar") == ["000000000.flac", "000000000.json", "000000000.txt"]
    if output_format == "files":
        assert listing(out / "00000") == {"000000000.flac", "000000000.json", "000000000.txt"}
    if output_format != "dummy":
        columns = ["id", "caption", "url", "key", "status", "error_message", *hashes]
        assert pq.read_schema(out / "00000.parquet").names[: len(columns)] == columns
