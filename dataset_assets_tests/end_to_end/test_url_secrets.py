"""Passwords and signatures of URLs: sent to their server, and neither stored nor published."""

import base64
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from dataset_assets import download, publish, split
from dataset_assets.errors import ConfigurationError
from dataset_assets.shards.commits import list_records
from dataset_assets.shards.reading import read_samples
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.http_server import HttpServer

_SECRETS = ("hunter2", "deadbeef")
_ROWS = 4


def _image(number):
    with io.BytesIO() as file:
        Image.new("RGB", (32, 32), (number * 40, 90, 30)).save(file, "JPEG")
        return file.getvalue()


@pytest.fixture
def server():
    with HttpServer() as server:
        for number in range(_ROWS):
            server.add(f"/{number}.jpg", body=_image(number), content_type="image/jpeg")
        yield server


@pytest.fixture
def urls(server, tmp_path):
    """A list of URLs with a password and a signature each."""
    plain = [server.url(f"/{number}.jpg?w=1") for number in range(_ROWS)]
    secret = [
        url.replace("://", "://me:hunter2@") + "&X-Amz-Signature=deadbeef&h=2" for url in plain
    ]
    pq.write_table(pa.table({"url": secret}), tmp_path / "urls.parquet")
    return [f"{url}&h=2" for url in plain]


def _download(tmp_path, name, **options):
    report = download(
        str(tmp_path / "urls.parquet"),
        output_folder=str(tmp_path / name),
        input_format="parquet",
        image_size=16,
        distributor="serial",
        number_sample_per_shard=_ROWS,
        allow_private_networks=True,
        **options,
    )
    assert report.successes == _ROWS
    return tmp_path / name


def _stored(folder):
    """Return all text that the files of a folder hold."""
    texts = [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]
    tables = [str(pq.read_table(path).to_pylist()) for path in folder.rglob("*.parquet")]
    return "\n".join(texts + tables)


@pytest.mark.parametrize(
    "options",
    [
        {"output_format": "webdataset"},
        {"output_format": "files"},
        {"output_format": "parquet"},
        {"output_format": "tfrecord"},
        {"output_format": "webdataset", "layout": "img2dataset"},
    ],
    ids=lambda options: "-".join(options.values()),
)
def test_no_file_has_a_secret_of_a_url_and_the_server_gets_it(tmp_path, server, urls, options):
    if options["output_format"] == "tfrecord":
        pytest.importorskip("tensorflow")
    text = _stored(_download(tmp_path, "shards", **options))
    assert [secret for secret in _SECRETS if secret in text] == []
    assert urls[0] in text
    sent = [seen for seen in server.log if seen.path.endswith(".jpg")]
    assert {seen.target.partition("?")[2] for seen in sent} == {"w=1&X-Amz-Signature=deadbeef&h=2"}
    login = "Basic " + base64.b64encode(b"me:hunter2").decode()
    assert {seen.headers["authorization"] for seen in sent} == {login}


def test_signature_of_a_redirect_is_not_stored(tmp_path, server):
    target = server.url("/1.jpg?w=1&X-Amz-Credential=a&X-Amz-Signature=deadbeef")
    server.add("/moved", body=b"", status=302, headers=[("Location", target)])
    (tmp_path / "urls.txt").write_text(server.url("/moved"))
    download(
        str(tmp_path / "urls.txt"),
        output_folder=str(tmp_path / "shards"),
        distributor="serial",
        allow_private_networks=True,
    )
    store = open_store(str(tmp_path / "shards"))
    (table,) = (pq.read_table(path) for path in (tmp_path / "shards").glob("*.parquet"))
    assert table.column("final_url").to_pylist() == [server.url("/1.jpg?w=1")]
    samples = [sample for record in list_records(store) for sample in read_samples(store, record)]
    assert len(samples) == 1
    assert "deadbeef" not in _stored(tmp_path / "shards")


def test_split_of_scrubbed_urls_is_published_and_one_of_full_urls_is_refused(tmp_path, urls):
    for stored in ("scrubbed", "full"):
        folder = _download(tmp_path, stored, output_format="webdataset", store_url=stored)
        split(str(folder), str(tmp_path / f"{stored}-split"), ratios={"train": 0.5, "test": 0.5})
    root = tmp_path / "published"
    publish(str(tmp_path / "scrubbed-split"), "me/photos", root=str(root), license="cc0-1.0")
    text = _stored(root)
    assert [secret for secret in _SECRETS if secret in text] == []
    for more in ({}, {"dry_run": True}, {"archives": False}):
        with pytest.raises(ConfigurationError, match="expected URLs without user, password") as no:
            publish(
                str(tmp_path / "full-split"),
                "me/full",
                root=str(root),
                license="cc0-1.0",
                **more,
            )
        assert not [secret for secret in _SECRETS if secret in str(no.value)]
    assert not (root / "me" / "full").exists()
    assert "hunter2" in _stored(tmp_path / "full")


def test_rows_are_kept_when_a_run_is_repeated_and_not_when_what_is_stored_differs(tmp_path, urls):
    folder = _download(tmp_path, "shards")
    before = json.loads((folder / "manifest.json").read_text())
    _download(tmp_path, "shards")
    assert json.loads((folder / "manifest.json").read_text()) == before
    with pytest.raises(ConfigurationError, match="expected one of scrubbed, full"):
        _download(tmp_path, "other", store_url="none")
