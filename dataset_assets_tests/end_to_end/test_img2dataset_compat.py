"""What users of img2dataset and any2dataset rely on, with `dataset_assets.compat`.

The expectations are literals: they were recorded once from img2dataset 1.47, which was run on the
same answers.
"""

import inspect
import io
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import dataset_assets
from dataset_assets.shards.commits import list_records
from dataset_assets.shards.reading import read_samples
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.conftest import jpeg
from dataset_assets_tests.end_to_end.img2dataset_layout import (
    COLUMNS,
    INPUT_FORMATS,
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


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(dataset_assets.download, ARGUMENTS), (dataset_assets.download_any, ARGUMENTS_OF_ANY2DATASET)],
)
def test_arguments_have_the_order_names_and_defaults_of_the_other_tool_when_inspected(
    function, arguments
):
    parameters = list(inspect.signature(function).parameters.values())
    assert [(each.name, each.default) for each in parameters[: len(arguments)]] == arguments
    assert {each.kind for each in parameters[: len(arguments)]} == {
        inspect.Parameter.POSITIONAL_OR_KEYWORD
    }
    ours = parameters[len(arguments) :]
    assert {each.kind for each in ours} <= {
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    }


def test_arguments_mean_the_same_when_given_by_position(gallery, out):
    download(
        str(write_list(gallery, "txt")),
        64,
        str(out),
        1,
        "keep_ratio",
        False,
        "lanczos",
        "area",
        9,
        "png",
        False,
        "webdataset",
    )
    tar = contents(out / "00000.tar")
    assert list(tar)[:2] == ["000000000.json", "000000000.png"]
    assert min(Image.open(io.BytesIO(tar["000000000.png"])).size) == 64


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
@pytest.mark.parametrize("input_format", INPUT_FORMATS)
def test_files_columns_and_members_are_those_of_img2dataset_when_any_list_becomes_any_format(
    gallery, out, input_format, output_format
):
    source = str(write_list(gallery, input_format))
    has_captions = not input_format.startswith("txt")
    captions = "caption" if has_captions else None
    quickly(
        source,
        32,
        str(out),
        input_format=input_format,
        output_format=output_format,
        caption_col=captions,
        compute_hash="md5",
    )

    keys = [f"00000000{number}" for number in range(4)]
    members = [
        f"{key}.{extension}"
        for key in keys
        for extension in (["jpg", "json", "txt"] if has_captions else ["jpg", "json"])
    ]
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
        columns = [
            *(["caption"] if has_captions else []),
            *COLUMNS[:-1],
            "md5",
            *(["jpg"] if output_format == "parquet" else []),
        ]
        assert pq.read_schema(out / "00000.parquet").names == columns
        rows = rows_of(out)
        assert [row["key"] for row in rows] == keys
        assert [row["url"] for row in rows] == [gallery.url(number) for number in range(4)]
        assert [row.get("caption") for row in rows] == (
            ["", "caption 1", "caption 2", "caption 3"] if has_captions else [None] * 4
        )


@pytest.mark.parametrize(
    ("encode_format", "magic"),
    [("jpg", b"\xff\xd8\xff"), ("png", b"\x89PNG"), ("webp", b"RIFF")],
    ids=["jpg", "png", "webp"],
)
@pytest.mark.parametrize("output_format", ["files", "webdataset", "parquet", "tfrecord"])
def test_payloads_are_named_after_what_they_are_when_encoded(
    gallery, out, output_format, encode_format, magic
):
    source = str(write_list(gallery, "txt", range(2)))
    quality = 5 if encode_format == "png" else 90
    quickly(
        source,
        32,
        str(out),
        output_format=output_format,
        encode_format=encode_format,
        encode_quality=quality,
    )
    if output_format == "files":
        payloads = [
            (out / f"00000/00000000{number}.{encode_format}").read_bytes() for number in range(2)
        ]
    elif output_format == "webdataset":
        payloads = [
            contents(out / "00000.tar")[f"00000000{number}.{encode_format}"] for number in range(2)
        ]
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
    ("keep_ratio", False): [
        (160, 80),
        (80, 160),
        (120, 80),
        (80, 297),
        (80, 80),
        (80, 256),
        (82, 80),
    ],
    ("keep_ratio", True): [
        (160, 80),
        (80, 160),
        (60, 40),
        (80, 297),
        (80, 80),
        (50, 160),
        (81, 79),
    ],
    ("keep_ratio_largest", False): [
        (80, 40),
        (40, 80),
        (80, 53),
        (22, 80),
        (80, 80),
        (25, 80),
        (80, 78),
    ],
    ("keep_ratio_largest", True): [
        (80, 40),
        (40, 80),
        (60, 40),
        (22, 80),
        (80, 80),
        (25, 80),
        (80, 78),
    ],
    ("center_crop", False): SQUARES,
    ("center_crop", True): [(80, 80), (80, 80), (60, 40), (80, 80), (80, 80), (50, 160), (81, 79)],
    ("border", False): SQUARES,
    ("border", True): [(80, 80), (80, 80), (60, 40), (80, 80), (80, 80), (80, 80), (80, 80)],
}


@pytest.mark.parametrize("skip_reencode", [False, True])
@pytest.mark.parametrize(("resize_mode", "only_if_bigger"), SIZES)
def test_sizes_are_those_of_img2dataset_when_resized(
    gallery, out, resize_mode, only_if_bigger, skip_reencode
):
    bodies = [encoded_image(width, height) for width, height in ORIGINALS]
    urls = [
        gallery.server.add(f"/{number}.jpg", body, content_type="image/jpeg")
        for number, body in enumerate(bodies)
    ]
    shape = {
        "resize_mode": resize_mode,
        "resize_only_if_bigger": only_if_bigger,
        "skip_reencode": skip_reencode,
    }
    quickly(urls, 80, str(out), output_format="parquet", **shape)
    rows = rows_of(out)
    expected = SIZES[resize_mode, only_if_bigger]
    assert [(row["width"], row["height"]) for row in rows] == expected
    assert [Image.open(io.BytesIO(row["jpg"])).size for row in rows] == expected
    assert [(row["original_width"], row["original_height"]) for row in rows] == ORIGINALS
    if skip_reencode:
        untouched = [row["jpg"] == body for row, body in zip(rows, bodies, strict=True)]
        assert untouched == [
            size == original for size, original in zip(expected, ORIGINALS, strict=True)
        ]


def encoded_image(width, height, mode="RGB", name="JPEG", **options):
    image = Image.open(io.BytesIO(jpeg(width))).resize((width, height)).convert(mode)
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def test_statuses_and_messages_are_those_of_img2dataset_when_answers_are_bad(gallery, out):
    """Messages of HTTP answers and bad images are img2dataset's; ours are of broken connections."""
    server = gallery.server
    answers = [
        (gallery.url(0), "success", None),
        (server.url("/status/404"), "failed_to_download", "HTTP Error 404: Not Found"),
        (server.url("/status/410"), "failed_to_download", "HTTP Error 410: Gone"),
        (server.url("/status/401"), "failed_to_download", "HTTP Error 401: Unauthorized"),
        (server.url("/status/403"), "failed_to_download", "HTTP Error 403: Forbidden"),
        (
            server.url("/status/451"),
            "failed_to_download",
            "HTTP Error 451: Unavailable For Legal Reasons",
        ),
        (server.url("/status/429"), "failed_to_download", "HTTP Error 429: Too Many Requests"),
        (server.url("/status/500"), "failed_to_download", "HTTP Error 500: Internal Server Error"),
        (server.url("/status/503"), "failed_to_download", "HTTP Error 503: Service Unavailable"),
        (
            server.add("/page", b"<html>sorry</html>", content_type="text/html"),
            "failed_to_resize",
            "Image decoding error",
        ),
        (
            server.add("/lie.jpg", b"%PDF-1.4 sorry", content_type="image/jpeg"),
            "failed_to_resize",
            "Image decoding error",
        ),
        (
            server.add("/half.jpg", jpeg(1)[: len(jpeg(1)) // 2]),
            "failed_to_resize",
            "Image decoding error",
        ),
        (server.add("/small.jpg", encoded_image(79, 90)), "failed_to_resize", "image too small"),
        (
            server.add("/large.jpg", encoded_image(500, 300)),
            "failed_to_resize",
            "image area too large",
        ),
        (
            server.add("/long.jpg", encoded_image(300, 90)),
            "failed_to_resize",
            "aspect ratio too large",
        ),
        (
            server.add("/no.jpg", jpeg(2), headers=[("X-Robots-Tag", "noai")]),
            "failed_to_download",
            "Use of image disallowed by X-Robots-Tag directive",
        ),
        (
            server.add(
                "/other.jpg", jpeg(2), headers=[("X-Robots-Tag", "otherbot: noai, nofollow")]
            ),
            "success",
            None,
        ),
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
    dataset_assets.download(
        [page], output_folder=str(out), output_format="webdataset", distributor="serial"
    )
    assert [(row["cause"], row["error_message"]) for row in rows_of(out)] == [
        ("not_image", "text/html")
    ]


def test_members_and_table_have_the_exact_text_and_types_when_columns_are_kept(gallery, out):
    body = encoded_image(120, 90, exif=camera())
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
    quickly(
        str(gallery.folder / "list.parquet"),
        32,
        str(out),
        input_format="parquet",
        output_format="webdataset",
        **names,
    )
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
        '    "exif": "{\\"Image Make\\": \\"A camera\\", '
        '\\"Image Orientation\\": \\"Rotated 90 CW\\"}",\n'
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
