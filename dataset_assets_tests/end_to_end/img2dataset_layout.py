"""Helpers of the compatibility tests: `download` of img2dataset, lists as pandas writes them, and
what was written."""

import csv
import functools
import gzip
import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.compat.img2dataset import download

quickly = functools.partial(download, distributor="serial", thread_count=8)

COLUMNS = [
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
STATS = [
    "count",
    "successes",
    "failed_to_download",
    "failed_to_resize",
    "duration",
    "start_time",
    "end_time",
    "status_dict",
]
#: What follows in ours: columns without the layout, keys of a record always.
MORE_COLUMNS = [
    "cause",
    "http_status",
    "content_type",
    "final_url",
    "extension",
    "trailing_bytes",
    "offset",
    "bytes",
]
MORE_STATS = [
    "name",
    "shard_id",
    "fingerprint",
    "causes",
    "files",
    "requests",
    "bytes_downloaded",
    "bytes_stored",
    "schema_version",
]
PLAIN_FORMATS = ["txt", "csv", "tsv", "json", "jsonl"]
INPUT_FORMATS = [*PLAIN_FORMATS, *(f"{name}.gz" for name in PLAIN_FORMATS), "parquet"]
OUTPUT_FORMATS = ["files", "webdataset", "parquet", "tfrecord", "dummy"]


def write_list(gallery, input_format, numbers=range(4), name="urls"):
    """Write a list as pandas would: an index first, then caption and url."""
    urls = [gallery.url(number) for number in numbers]
    rows = [
        {"caption": "" if number == 0 else f"caption {number}", "url": url}
        for number, url in zip(numbers, urls, strict=True)
    ]
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
    "json": lambda rows: json.dumps(
        {
            name: {str(index): row[name] for index, row in enumerate(rows)}
            for name in ("caption", "url")
        }
    ),
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
