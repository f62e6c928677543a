"""What users of img2dataset and any2dataset rely on, with `download = functools.partial(dataset_assets.download, layout="img2dataset")`.

The expectations are literals: they were taken once from img2dataset 1.47, run beside ours on the same answers.
"""

import csv
import functools
import gzip
import inspect
import io
import json
import math
import os
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dataset_assets
from dataset_assets.errors import MissingColumn
from dataset_assets.shards._reading import read_samples
from dataset_assets.shards._records import list_records
from dataset_assets.storage._base import open_store
from dataset_assets_tests.end_to_end.conftest import jpeg

download = functools.partial(dataset_assets.download, layout="img2dataset")
quickly = functools.partial(download, distributor="serial", thread_count=8)

ARGUMENTS = [
    ("url_list", inspect.Parameter.empty),
    ("image_size", 256),
    ("output_folder", "images"),
    ("processes_count", 1),
    ("resize_mode", "border"),
    ("resize_only_if_bigger", False),
    ("upscale_interpolation", "lanczos"),
    ("downscale_interpolation", "area"),
    ("encode_quality", 95),
    ("encode_format", "jpg"),
    ("skip_reencode", False),
    ("output_format", "files"),
    ("input_format", "txt"),
    ("url_col", "url"),
    ("caption_col", None),
    ("bbox_col", None),
    ("thread_count", 256),
    ("number_sample_per_shard", 10000),
    ("extract_exif", True),
    ("save_additional_columns", None),
    ("timeout", 10),
    ("enable_wandb", False),
    ("wandb_project", "img2dataset"),
    ("oom_shard_count", 5),
    ("compute_hash", "sha256"),
    ("verify_hash", None),
    ("distributor", "multiprocessing"),
    ("subjob_size", 1000),
    ("retries", 0),
    ("disable_all_reencoding", False),
    ("min_image_size", 0),
    ("max_image_area", math.inf),
    ("max_aspect_ratio", math.inf),
    ("incremental_mode", "incremental"),
    ("max_shard_retry", 1),
    ("user_agent_token", None),
    ("disallowed_header_directives", None),
    ("ignore_ssl_certificate", False),
]
ARGUMENTS_OF_ANY2DATASET = [
    ("url_list", inspect.Parameter.empty),
    ("output_folder", "files"),
    ("processes_count", 1),
    ("output_format", "files"),
    ("input_format", "txt"),
    ("url_col", "url"),
    ("caption_col", None),
    ("thread_count", 256),
    ("number_sample_per_shard", 10000),
    ("save_additional_columns", None),
    ("timeout", 10),
    ("enable_wandb", False),
    ("wandb_project", "any2dataset"),
    ("oom_shard_count", 5),
    ("compute_md5", True),
    ("distributor", "multiprocessing"),
    ("subjob_size", 1000),
    ("retries", 0),
    ("disable_all_reencoding", False),
]
COLUMNS = ["url", "key", "status", "error_message", "width", "height", "original_width", "original_height", "exif", "sha256"]
STATS = ["count", "successes", "failed_to_download", "failed_to_resize", "duration", "start_time", "end_time", "status_dict"]
PLAIN_FORMATS = ["txt", "csv", "tsv", "json", "jsonl"]
INPUT_FORMATS = [*PLAIN_FORMATS, *(f"{name}.gz" for name in PLAIN_FORMATS), "parquet"]
OUTPUT_FORMATS = ["files", "webdataset", "parquet", "tfrecord", "dummy"]


@pytest.fixture
def out(gallery):
    return gallery.folder / "out"


def write_list(gallery, input_format, numbers=range(4), name="urls"):
    """Write a list as pandas would: an index first, then caption and url."""
    urls = [gallery.url(number) for number in numbers]
    rows = [{"caption": "" if number == 0 else f"caption {number}", "url": url} for number, url in zip(numbers, urls, strict=True)]
    kind, _, compression = input_format.partition(".")
    path = gallery.folder / f"{name}.{input_format}"
    path.parent.mkdir(exist_ok=True)
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    data = TEXTS[kind](rows).encode()
    path.write_bytes(gzip.compress(data) if compression else data)
    return path


def separated(rows, delimiter):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["", "caption", "url"])
    writer.writerows([index, row["caption"], row["url"]] for index, row in enumerate(rows))
    return text.getvalue()


TEXTS = {
    "txt": lambda rows: "".join(f"{row['url']}\n" for row in rows),
    "csv": lambda rows: separated(rows, ","),
    "tsv": lambda rows: separated(rows, "\t"),
    "json": lambda rows: json.dumps({name: {str(index): row[name] for index, row in enumerate(rows)} for name in ("caption", "url")}),
    "jsonl": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
}


def listing(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def names_in(tar):
    with tarfile.open(tar) as opened:
        return opened.getnames()


def contents(tar):
    with tarfile.open(tar) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened}


def rows_of(folder, shard="00000"):
    return pq.read_table(folder / f"{shard}.parquet").to_pylist()


def stats_of(folder, shard="00000"):
    return json.loads((folder / f"{shard}_stats.json").read_text())


@pytest.mark.parametrize(
    ("function", "arguments"), [(dataset_assets.download, ARGUMENTS), (dataset_assets.download_any, ARGUMENTS_OF_ANY2DATASET)]
)
def test_arguments_have_the_order_names_and_defaults_of_the_other_tool_when_inspected(function, arguments):
    parameters = list(inspect.signature(function).parameters.values())
    assert [(each.name, each.default) for each in parameters[: len(arguments)]] == arguments
    assert {each.kind for each in parameters[: len(arguments)]} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    ours = parameters[len(arguments) :]
    assert {each.kind for each in ours} <= {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}


def test_arguments_mean_the_same_when_given_by_position(gallery, out):
    download(str(write_list(gallery, "txt")), 64, str(out), 1, "keep_ratio", False, "lanczos", "area", 9, "png", False, "webdataset")
    tar = contents(out / "00000.tar")
    assert list(tar)[:2] == ["000000000.json", "000000000.png"]
    assert min(Image.open(io.BytesIO(tar["000000000.png"])).size) == 64


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
@pytest.mark.parametrize("input_format", INPUT_FORMATS)
def test_files_columns_and_members_are_those_of_img2dataset_when_any_list_becomes_any_format(gallery, out, input_format, output_format):
    source = str(write_list(gallery, input_format))
    has_captions = not input_format.startswith("txt")
    captions = "caption" if has_captions else None
    quickly(source, 32, str(out), input_format=input_format, output_format=output_format, caption_col=captions, compute_hash="md5")

    keys = [f"00000000{number}" for number in range(4)]
    members = [f"{key}.{extension}" for key in keys for extension in (["jpg", "json", "txt"] if has_captions else ["jpg", "json"])]
    beside = {
        "files": {"00000.parquet", *(f"00000/{member}" for member in members)},
        "webdataset": {"00000.parquet", "00000.tar"},
        "parquet": {"00000.parquet"},
        "tfrecord": {"00000.parquet", "00000.tfrecord"},
        "dummy": set(),
    }
    assert listing(out) == {"00000_stats.json", *beside[output_format]}
    assert stats_of(out)["status_dict"] == {"success": 4}
    if output_format == "webdataset":
        assert names_in(out / "00000.tar") == members
    if output_format != "dummy":
        columns = [*(["caption"] if has_captions else []), *COLUMNS[:-1], "md5", *(["jpg"] if output_format == "parquet" else [])]
        assert pq.read_schema(out / "00000.parquet").names == columns
        rows = rows_of(out)
        assert [row["key"] for row in rows] == keys
        assert [row["url"] for row in rows] == [gallery.url(number) for number in range(4)]
        assert [row.get("caption") for row in rows] == (["", "caption 1", "caption 2", "caption 3"] if has_captions else [None] * 4)


@pytest.mark.parametrize(
    ("encode_format", "magic"), [("jpg", b"\xff\xd8\xff"), ("png", b"\x89PNG"), ("webp", b"RIFF")], ids=["jpg", "png", "webp"]
)
@pytest.mark.parametrize("output_format", ["files", "webdataset", "parquet", "tfrecord"])
def test_payloads_are_named_after_what_they_are_when_encoded(gallery, out, output_format, encode_format, magic):
    source = str(write_list(gallery, "txt", range(2)))
    quality = 5 if encode_format == "png" else 90
    quickly(source, 32, str(out), output_format=output_format, encode_format=encode_format, encode_quality=quality)
    if output_format == "files":
        payloads = [(out / f"00000/00000000{number}.{encode_format}").read_bytes() for number in range(2)]
    elif output_format == "webdataset":
        payloads = [contents(out / "00000.tar")[f"00000000{number}.{encode_format}"] for number in range(2)]
    elif output_format == "parquet":
        payloads = [row[encode_format] for row in rows_of(out)]
    else:
        store = open_store(str(out))
        samples = list(read_samples(store, list_records(store)[0]))
        assert {sample.extension for sample in samples} == {encode_format}
        payloads = [sample.payload for sample in samples]
    assert [payload[: len(magic)] for payload in payloads] == [magic] * 2


ORIGINALS = [(200, 100), (100, 200), (60, 40), (123, 456), (80, 80), (50, 160), (81, 79)]
SQUARES = [(80, 80)] * 7
SIZES = {
    ("no", False): ORIGINALS,
    ("no", True): ORIGINALS,
    ("keep_ratio", False): [(160, 80), (80, 160), (120, 80), (80, 297), (80, 80), (80, 256), (82, 80)],
    ("keep_ratio", True): [(160, 80), (80, 160), (60, 40), (80, 297), (80, 80), (50, 160), (81, 79)],
    ("keep_ratio_largest", False): [(80, 40), (40, 80), (80, 53), (22, 80), (80, 80), (25, 80), (80, 78)],
    ("keep_ratio_largest", True): [(80, 40), (40, 80), (60, 40), (22, 80), (80, 80), (25, 80), (80, 78)],
    ("center_crop", False): SQUARES,
    ("center_crop", True): [(80, 80), (80, 80), (60, 40), (80, 80), (80, 80), (50, 160), (81, 79)],
    ("border", False): SQUARES,
    ("border", True): [(80, 80), (80, 80), (60, 40), (80, 80), (80, 80), (80, 80), (80, 80)],
}


@pytest.mark.parametrize("skip_reencode", [False, True])
@pytest.mark.parametrize(("resize_mode", "only_if_bigger"), SIZES)
def test_sizes_are_those_of_img2dataset_when_resized(gallery, out, resize_mode, only_if_bigger, skip_reencode):
    bodies = [picture(width, height) for width, height in ORIGINALS]
    urls = [gallery.server.add(f"/{number}.jpg", body, content_type="image/jpeg") for number, body in enumerate(bodies)]
    shape = {"resize_mode": resize_mode, "resize_only_if_bigger": only_if_bigger, "skip_reencode": skip_reencode}
    quickly(urls, 80, str(out), output_format="parquet", **shape)
    rows = rows_of(out)
    expected = SIZES[resize_mode, only_if_bigger]
    assert [(row["width"], row["height"]) for row in rows] == expected
    assert [Image.open(io.BytesIO(row["jpg"])).size for row in rows] == expected
    assert [(row["original_width"], row["original_height"]) for row in rows] == ORIGINALS
    if skip_reencode:
        untouched = [row["jpg"] == body for row, body in zip(rows, bodies, strict=True)]
        assert untouched == [size == original for size, original in zip(expected, ORIGINALS, strict=True)]


def picture(width, height, mode="RGB", name="JPEG", **options):
    image = Image.open(io.BytesIO(jpeg(width))).resize((width, height)).convert(mode)
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def test_statuses_and_messages_are_those_of_img2dataset_when_answers_are_bad(gallery, out):
    """The messages of HTTP answers and of bad images are img2dataset's own; those of broken connections are ours."""
    server = gallery.server
    answers = [
        (gallery.url(0), "success", None),
        (server.url("/status/404"), "failed_to_download", "HTTP Error 404: Not Found"),
        (server.url("/status/410"), "failed_to_download", "HTTP Error 410: Gone"),
        (server.url("/status/401"), "failed_to_download", "HTTP Error 401: Unauthorized"),
        (server.url("/status/403"), "failed_to_download", "HTTP Error 403: Forbidden"),
        (server.url("/status/451"), "failed_to_download", "HTTP Error 451: Unavailable For Legal Reasons"),
        (server.url("/status/429"), "failed_to_download", "HTTP Error 429: Too Many Requests"),
        (server.url("/status/500"), "failed_to_download", "HTTP Error 500: Internal Server Error"),
        (server.url("/status/503"), "failed_to_download", "HTTP Error 503: Service Unavailable"),
        (server.add("/page", b"<html>sorry</html>", content_type="text/html"), "failed_to_resize", "Image decoding error"),
        (server.add("/lie.jpg", b"%PDF-1.4 sorry", content_type="image/jpeg"), "failed_to_resize", "Image decoding error"),
        (server.add("/half.jpg", jpeg(1)[: len(jpeg(1)) // 2]), "failed_to_resize", "Image decoding error"),
        (server.add("/small.jpg", picture(79, 90)), "failed_to_resize", "image too small"),
        (server.add("/large.jpg", picture(500, 300)), "failed_to_resize", "image area too large"),
        (server.add("/long.jpg", picture(300, 90)), "failed_to_resize", "aspect ratio too large"),
        (
            server.add("/no.jpg", jpeg(2), headers=[("X-Robots-Tag", "noai")]),
            "failed_to_download",
            "Use of image disallowed by X-Robots-Tag directive",
        ),
        (server.add("/other.jpg", jpeg(2), headers=[("X-Robots-Tag", "otherbot: noai, nofollow")]), "success", None),
        (server.add("/moved", status=302, headers=[("Location", "/0.jpg")]), "success", None),
    ]
    limits = {"min_image_size": 80, "max_image_area": 100_000, "max_aspect_ratio": 3.0}
    quickly([url for url, *_ in answers], 32, str(out), output_format="webdataset", **limits)
    rows = rows_of(out)
    assert [(row["url"], row["status"], row["error_message"]) for row in rows] == answers
    failed = {name: row[name] for row in rows if row["status"] != "success" for name in COLUMNS[4:]}
    assert failed == dict.fromkeys(COLUMNS[4:])
    stats = stats_of(out)
    assert list(stats)[: len(STATS)] == STATS
    assert [stats[name] for name in STATS[:4]] == [18, 3, 9, 6]
    assert stats["duration"] == pytest.approx(stats["end_time"] - stats["start_time"])
    assert stats["status_dict"] == {
        "success": 3,
        "Image decoding error": 3,
        "HTTP Error 404: Not Found": 1,
        "HTTP Error 410: Gone": 1,
        "HTTP Error 401: Unauthorized": 1,
        "HTTP Error 403: Forbidden": 1,
        "HTTP Error 451: Unavailable For Legal Reasons": 1,
        "HTTP Error 429: Too Many Requests": 1,
        "HTTP Error 500: Internal Server Error": 1,
        "HTTP Error 503: Service Unavailable": 1,
        "image too small": 1,
        "image area too large": 1,
        "aspect ratio too large": 1,
        "Use of image disallowed by X-Robots-Tag directive": 1,
    }


def test_our_own_layout_says_what_came_when_it_is_no_image(gallery, out):
    page = gallery.server.add("/page", b"<html>sorry</html>", content_type="image/jpeg")
    dataset_assets.download([page], output_folder=str(out), output_format="webdataset", distributor="serial")
    assert [(row["cause"], row["error_message"]) for row in rows_of(out)] == [("not_image", "text/html")]


def test_members_and_table_have_the_exact_text_and_types_when_columns_are_kept(gallery, out):
    body = picture(120, 90, exif=camera())
    url = gallery.server.add("/camera.jpg", body, content_type="image/jpeg")
    table = pa.table(
        {
            "LINK": [url, gallery.server.url("/gone")],
            "TEXT": ['Ü "quoted"\n日本', None],
            "number": pa.array([7, None], pa.int64()),
            "score": pa.array([0.25, 1e-9], pa.float32()),
            "nsfw": [True, None],
            "tags": [["a", "b"], []],
        }
    )
    pq.write_table(table, gallery.folder / "list.parquet")
    kept = ["score", "number", "nsfw", "tags"]
    names = {"url_col": "LINK", "caption_col": "TEXT", "save_additional_columns": kept}
    quickly(str(gallery.folder / "list.parquet"), 32, str(out), input_format="parquet", output_format="webdataset", **names)
    tar = contents(out / "00000.tar")
    assert list(tar) == ["000000000.jpg", "000000000.json", "000000000.txt"]
    assert tar["000000000.txt"].decode() == 'Ü "quoted"\n日本'
    digest = rows_of(out)[0]["sha256"]
    assert tar["000000000.json"].decode() == (
        "{\n"
        '    "score": 0.25,\n'
        '    "number": 7,\n'
        '    "nsfw": true,\n'
        '    "tags": [\n'
        '        "a",\n'
        '        "b"\n'
        "    ],\n"
        '    "caption": "\\u00dc \\"quoted\\"\\n\\u65e5\\u672c",\n'
        f'    "url": "{url}",\n'
        '    "key": "000000000",\n'
        '    "status": "success",\n'
        '    "error_message": null,\n'
        '    "width": 32,\n'
        '    "height": 32,\n'
        '    "original_width": 120,\n'
        '    "original_height": 90,\n'
        '    "exif": "{\\"Image Make\\": \\"A camera\\", \\"Image Orientation\\": \\"Rotated 90 CW\\"}",\n'
        f'    "sha256": "{digest}"\n'
        "}"
    )
    assert [(field.name, str(field.type)) for field in pq.read_schema(out / "00000.parquet")] == [
        ("score", "float"),
        ("number", "int64"),
        ("nsfw", "bool"),
        ("tags", "list<element: string>"),
        ("caption", "string"),
        ("url", "string"),
        ("key", "string"),
        ("status", "string"),
        ("error_message", "string"),
        ("width", "int32"),
        ("height", "int32"),
        ("original_width", "int32"),
        ("original_height", "int32"),
        ("exif", "string"),
        ("sha256", "string"),
    ]


def camera():
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "A camera", 6
    return exif


def test_missing_captions_are_empty_members_when_other_rows_have_some(gallery, out):
    table = gallery.table(3).set_column(1, "caption", pa.array([None, "", "two"]))
    quickly(table, 32, str(out), caption_col="caption", output_format="webdataset")
    tar = contents(out / "00000.tar")
    assert [tar[f"00000000{number}.txt"] for number in range(3)] == [b"", b"", b"two"]
    assert [json.loads(tar[f"00000000{number}.json"])["caption"] for number in range(3)] == [None, "", "two"]


@pytest.mark.parametrize("input_format", ["txt", "txt.gz"])
def test_captions_are_ignored_when_a_txt_list_can_not_have_any(gallery, out, caplog, input_format):
    source = str(write_list(gallery, input_format))
    asked = {"caption_col": "caption", "save_additional_columns": ["license"], "input_format": input_format}
    quickly(source, 32, str(out), **asked)
    assert "caption_col and save_additional_columns are ignored" in caplog.text
    assert pq.read_schema(out / "00000.parquet").names == COLUMNS
    with pytest.raises(MissingColumn, match="caption"):
        dataset_assets.download(source, output_folder=str(gallery.folder / "ours"), **asked)


@pytest.mark.parametrize(
    ("compute_hash", "of_nothing"), [("md5", 32), ("sha256", 64), ("sha512", 128), (None, None)], ids=["md5", "sha256", "sha512", "none"]
)
@pytest.mark.parametrize("extract_exif", [True, False])
def test_hash_and_exif_columns_come_and_go_when_asked(gallery, out, compute_hash, of_nothing, extract_exif):
    quickly([gallery.url(0)], 32, str(out), output_format="webdataset", compute_hash=compute_hash, extract_exif=extract_exif)
    columns = [*COLUMNS[:-2], *(["exif"] if extract_exif else []), *([compute_hash] if compute_hash else [])]
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
    quickly(table, 32, str(out), caption_col="caption", output_format="webdataset", verify_hash=[column, "sha256"])
    rows = rows_of(out)
    assert [row["error_message"] for row in rows] == [None, "hash mismatch", "hash mismatch", None]
    assert [row["sha256"] for row in rows] == [digests[0], None, None, digests[3]]
    assert stats_of(out)["status_dict"] == {"success": 2, "hash mismatch": 2}
    assert list(rows[0]) == ["caption", "sha256", *COLUMNS[:-1]]  # the table has it in the place of the column that was verified
    assert list(json.loads(contents(out / "00000.tar")["000000000.json"])) == ["caption", *COLUMNS]


def hashed(gallery):
    quickly(gallery.table(4), 32, str(gallery.folder / "hashed"), output_format="parquet")
    return rows_of(gallery.folder / "hashed")


def test_boxes_are_kept_and_blurred_when_a_column_has_them(gallery, out):
    boxes = pa.array([[[0.2, 0.2, 0.8, 0.8]], []], pa.list_(pa.list_(pa.float64())))
    table = gallery.table(2).append_column("faces", boxes)
    quickly(table, 64, str(out), save_additional_columns=["number"], bbox_col="faces", output_format="webdataset")
    quickly(gallery.table(2), 64, str(gallery.folder / "plain"), output_format="webdataset")
    assert pq.read_schema(out / "00000.parquet").names == ["number", "faces", *COLUMNS]
    blurred, plain = contents(out / "00000.tar"), contents(gallery.folder / "plain" / "00000.tar")
    assert [blurred[f"00000000{number}.jpg"] == plain[f"00000000{number}.jpg"] for number in range(2)] == [False, True]


def test_alpha_is_composed_on_white_when_a_png_has_it(gallery, out):
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 20, 40))
    body = io.BytesIO()
    clear.save(body, "PNG")
    url = gallery.server.add("/clear.png", body.getvalue(), content_type="image/png")
    quickly([url], 40, str(out), output_format="parquet", encode_format="png", encode_quality=1, resize_mode="no", skip_reencode=True)
    image = Image.open(io.BytesIO(rows_of(out)[0]["png"]))
    assert image.mode == "RGB"
    assert (image.getpixel((5, 5)), image.getpixel((30, 5))) == ((0, 0, 255), (255, 255, 255))


@pytest.mark.parametrize("answer", [b"<html>sorry</html>", b"\xff\xd8 cut"])
def test_anything_is_a_sample_when_all_reencoding_is_off(gallery, out, answer):
    url = gallery.server.add("/any.png", answer, content_type="image/png")
    quickly([url], 32, str(out), output_format="webdataset", disable_all_reencoding=True)
    assert contents(out / "00000.tar")["000000000.jpg"] == answer
    row = rows_of(out)[0]
    assert (row["status"], row["width"], row["original_width"], row["exif"]) == ("success", None, None, "{}")


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
    ("samples", "digits", "key"), [(10_000, 5, "000000000"), (1000, 5, "00000000"), (100, 2, "0000"), (7, 5, "000000")]
)
def test_keys_have_the_digits_of_shard_and_sample_when_numbers_are_chosen(gallery, out, samples, digits, key):
    quickly([gallery.url(0)], 32, str(out), output_format="webdataset", number_sample_per_shard=samples, oom_shard_count=digits)
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
        quickly(source, 32, str(out), output_format="webdataset", number_sample_per_shard=2, **options)
        done = sorted(int(path.name.split("_")[0]) for path in out.glob("*.json"))  # how img2dataset finds the shards that are done
        return gallery.server.requests, done

    assert run() == (5, [0, 1, 2])
    assert run() == (0, [0, 1, 2])
    (out / "00001_stats.json").unlink()
    assert run() == (2, [0, 1, 2])
    assert run(incremental_mode="extend") == (5, [0, 1, 2, 3, 4, 5])
    assert names_in(out / "00003.tar") == ["000030.jpg", "000030.json", "000031.jpg", "000031.json"]
    assert run(incremental_mode="overwrite") == (5, [0, 1, 2])
    assert listing(out) == {f"0000{shard}{end}" for shard in range(3) for end in (".tar", ".parquet", "_stats.json")}


@pytest.mark.parametrize(("wanted", "accepted"), [(None, [True, False, False]), ([], [True, True, True]), (["NoML "], [True, True, False])])
def test_opt_out_directives_are_the_ones_asked_for_when_answers_have_some(gallery, out, wanted, accepted):
    tags = enumerate(["nofollow", "noindex", "noml, noai"])
    urls = [gallery.server.add(f"/{number}.jpg", jpeg(number), headers=[("X-Robots-Tag", tag)]) for number, tag in tags]
    quickly(urls, 32, str(out), output_format="webdataset", disallowed_header_directives=wanted)
    assert [row["status"] == "success" for row in rows_of(out)] == accepted


@pytest.mark.parametrize("distributor", ["serial", "multiprocessing"])
def test_the_shards_are_the_same_when_processes_share_the_work(gallery, out, distributor):
    source = str(write_list(gallery, "txt", range(6)))
    processes = {"distributor": distributor, "processes_count": 2, "subjob_size": 1, "max_shard_retry": 2}
    download(source, 32, str(out), output_format="webdataset", number_sample_per_shard=3, **processes)
    assert [names_in(out / f"0000{shard}.tar")[::2] for shard in range(2)] == [
        ["000000.jpg", "000001.jpg", "000002.jpg"],
        ["000010.jpg", "000011.jpg", "000012.jpg"],
    ]


@pytest.mark.parametrize(("compute_md5", "hashes"), [(True, ["md5"]), (False, [])])
@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_any_file_has_the_columns_of_any2dataset_when_kept_as_it_is(gallery, out, output_format, compute_md5, hashes):
    gallery.server.add("/sound", b"fLaC\x00\x00\x00\x22" + bytes(30), content_type="audio/flac")
    table = pa.table({"URL": [gallery.server.url("/sound"), gallery.server.url("/gone")], "TEXT": ["a bell", "nothing"], "id": [1, 2]})
    pq.write_table(table, gallery.folder / "sounds.parquet")
    asked = {"url_col": "URL", "caption_col": "TEXT", "save_additional_columns": ["id"], "file_size": 256, "disable_all_reencoding": True}
    download_any = functools.partial(dataset_assets.download_any, layout="img2dataset", distributor="serial")
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
