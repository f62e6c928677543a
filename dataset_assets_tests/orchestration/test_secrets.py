"""Credentials and passwords of proxies are sent to their host only, and stored nowhere."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import dagster as dg
import numpy as np
import pytest
from PIL import Image

from dataset_assets.errors import ConfigurationError
from dataset_assets_tests.orchestration.graphs import failure_of
from dataset_assets_tests.orchestration.yaml_datasets import load, write_dataset
from dataset_assets_tests.support.proxy_server import ProxyServer

CANARY = "canary-7f3a9c51e2"
DATASET = """
type: dataset_assets.Dataset
attributes:
  requires: {{env: [CANARY_TOKEN]}}
  source: {{urls: {{path: lists}}}}
  shards:
    image: {{size: 16}}
    samples_per_shard: 2
    max_partitions_per_run: all
    distributor: serial
    processes: 1
    codec_threads: 0
    timeout_s: 2
    allow_private_networks: [127.0.0.0/8]
    credential: {{host: {host}, header: Authorization, prefix: "Token ", env: CANARY_TOKEN}}
  automation: {{step_retries: 0}}
"""


def _image():
    out = BytesIO()
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(out, "png")
    return out.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Returns an image if the token is right; otherwise the body repeats the token."""

    protocol_version = "HTTP/1.1"
    image = _image()
    seen: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self):
        token = self.headers.get("Authorization")
        self.seen.append((self.path, token))
        allowed = token == f"Token {CANARY}" and "broken" not in self.path
        body = self.image if allowed else b"not with " + (token or "no token").encode()
        self.send_response(200 if allowed else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path, server):
    (tmp_path / "data" / "lists").mkdir(parents=True)
    urls = [
        f"http://127.0.0.1:{server.server_port}/{name}.png" for name in ("a", "broken", "c", "d")
    ]
    (tmp_path / "data" / "lists" / "urls.txt").write_text("\n".join(urls))
    Handler.seen.clear()
    return tmp_path


def _run(folder, host="127.0.0.1", shards=""):
    text = DATASET.format(host=host).replace("    distributor:", f"    {shards}\n    distributor:")
    write_dataset(folder / "catalog", "secret", text)
    definitions = load(folder / "catalog", folder / "data")
    job = definitions.resolve_implicit_global_asset_job_def()
    (folder / "dagster").mkdir()
    tags = {
        "dagster/asset_partition_range_start": "00000",
        "dagster/asset_partition_range_end": "00001",
    }
    with dg.instance_for_test(temp_dir=str(folder / "dagster")) as instance:
        job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["secret", "raw_urls"])]
        )
        return job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["secret", "shards"])],
            tags=tags,
            raise_on_error=False,
        )


def _files_with(text, folder):
    return [
        str(path)
        for path in Path(folder).rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_token_is_sent_to_its_host_and_stored_nowhere_when_shards_are_made(
    folder, monkeypatch, capfd
):
    monkeypatch.setenv("CANARY_TOKEN", CANARY)
    result = _run(folder)
    assert result.success
    assert {token for path, token in Handler.seen if path.endswith(".png")} == {f"Token {CANARY}"}
    assert _files_with(CANARY, folder) == []
    assert CANARY not in "".join(capfd.readouterr())
    assert _files_with("urls.txt", folder / "dagster")  # events are there to be searched


def test_token_is_stored_nowhere_when_a_shard_fails(folder, monkeypatch, capfd):
    monkeypatch.setenv("CANARY_TOKEN", CANARY)
    (folder / "data" / "secret" / "shards" / "00001" / "00001.tar" / "in the way").mkdir(
        parents=True
    )
    assert not _run(folder).success
    assert _files_with(CANARY, folder) == []
    assert CANARY not in "".join(capfd.readouterr())


def test_token_is_not_sent_when_the_host_is_another(folder, monkeypatch):
    monkeypatch.setenv("CANARY_TOKEN", CANARY)
    assert _run(folder, host="freesound.org").success
    assert {token for _, token in Handler.seen} == {None}


def test_missing_token_is_named_before_any_request_when_shards_are_made(folder, monkeypatch):
    monkeypatch.delenv("CANARY_TOKEN", raising=False)
    assert "CANARY_TOKEN is not set" in failure_of(_run(folder))
    assert Handler.seen == []


@pytest.mark.parametrize("password", [CANARY, "wrong-canary"])
def test_password_of_a_proxy_is_stored_nowhere_when_shards_are_made(
    folder, server, monkeypatch, capfd, caplog, password
):
    (folder / "data" / "lists" / "urls.txt").write_text(
        "\n".join(f"http://photos.example/{name}.png" for name in "abcd")
    )
    monkeypatch.setenv("CANARY_TOKEN", CANARY)
    with ProxyServer({"photos.example": server.server_port}, login=f"me:{CANARY}") as proxy:
        monkeypatch.setenv("PROXY", proxy.url(f"me:{password}"))
        assert _run(folder, host="photos.example", shards='proxy: "{{ env.PROXY }}"').success
    assert "GET http://photos.example/robots.txt" in proxy.log
    assert ("/a.png", f"Token {CANARY}") in Handler.seen or password != CANARY
    said = "".join([*capfd.readouterr(), caplog.text])
    assert ("the proxy refused the request: 407" in said) == (password != CANARY)
    assert _files_with(password, folder) == []
    assert password not in said


@pytest.mark.parametrize(
    "proxy", ["ftp://me:canary@proxy:1", "me:canary@proxy:1", 'http://canary:1:"']
)
def test_error_of_a_proxy_does_not_show_it_when_the_yaml_has_a_wrong_one(folder, proxy):
    with pytest.raises(
        ConfigurationError, match=r"defs.yaml:\d+: .*proxy: expected a URL"
    ) as caught:
        _run(folder, shards=f"proxy: '{proxy}'")
    assert "canary" not in str(caught.value)
