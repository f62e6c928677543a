"""Downloads behind a proxy: workers, the command line, and what is said when the proxy fails."""

import logging
from pathlib import Path

import pytest

from dataset_assets import download, download_any
from dataset_assets.cli import main
from dataset_assets.compat.img2dataset import download as img2dataset
from dataset_assets.errors import ConfigurationError
from dataset_assets_tests.support.proxy_server import ProxyServer

NAME = "photos.example"
ROWS = 8


@pytest.fixture
def urls(gallery):
    """URLs of photographs that only the proxy can reach."""
    for number in range(ROWS):
        gallery.url(number)
    return [f"http://{NAME}/{number}.jpg" for number in range(ROWS)]


def _options(folder: Path, **changes):
    options = {
        "output_folder": str(folder),
        "image_size": 32,
        "number_sample_per_shard": ROWS // 2,
        "output_format": "webdataset",
        "distributor": "serial",
        "allow_private_networks": (),
    }
    return options | changes


def test_workers_use_the_environment_of_their_run(gallery, urls, tmp_path, monkeypatch):
    workers = {"distributor": "multiprocessing", "processes_count": 2}
    direct = download(
        [gallery.url(0)], **_options(tmp_path / "1", **workers, allow_private_networks=True)
    )
    assert direct.successes == 1
    with ProxyServer({NAME: gallery.server.port}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        through = download(urls, **_options(tmp_path / "2", **workers))
        monkeypatch.setenv("no_proxy", NAME)
        around = download(urls[:2], **_options(tmp_path / "3", **workers))

    assert through.successes == ROWS
    assert sorted(proxy.log) == [f"GET {url}" for url in urls]
    assert around.successes == 0
    assert around.causes.keys() <= {"dns_not_found", "dns_temporary"}


@pytest.mark.parametrize("verb", [download, img2dataset, download_any])
def test_every_download_takes_a_proxy(gallery, urls, tmp_path, verb):
    options = _options(tmp_path / "out")
    if verb is download_any:
        del options["image_size"]
    with ProxyServer({NAME: gallery.server.port}, login="me:canary") as proxy:
        report = verb(urls, **options, proxy=proxy.url("me:canary"))

    assert (report.successes, len(proxy.log)) == (ROWS, ROWS)


@pytest.mark.parametrize("distributor", ["serial", "multiprocessing"])
def test_failing_proxy_is_said_once_and_rows_can_be_fetched_again(
    gallery, urls, tmp_path, caplog, distributor
):
    caplog.set_level(logging.INFO)
    options = _options(tmp_path / "out", distributor=distributor, processes_count=2)
    with ProxyServer({NAME: gallery.server.port}, login="me:right") as proxy:
        failed = download(urls, **options, proxy=proxy.url("me:canary"))
        warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
        again = download(urls, **options, proxy=proxy.url("me:right"), retry_failed=["proxy_error"])

    assert failed.causes == {"proxy_error": ROWS}
    assert [each.name for each in warnings] == ["dataset_assets.pipelines.download.download_shards"]
    said = warnings[0].getMessage()
    assert "the proxy refused the request: 407 Proxy Authentication Required" in said
    assert f"127.0.0.1:{proxy.port}" in said
    assert again.successes == ROWS
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"canary" not in stored
    assert "canary" not in caplog.text
    assert "me:right" not in caplog.text


def test_nothing_is_read_or_written_when_the_environment_has_no_proxy_url(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "ftp://me:canary@proxy:21")

    with pytest.raises(ConfigurationError, match="^https_proxy: expected a URL") as caught:
        download(str(tmp_path / "absent.txt"), **_options(tmp_path / "out"))

    assert "canary" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_flag_of_the_command_line(gallery, urls, tmp_path, capsys):
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    words = ["download", str(tmp_path / "urls.txt"), "--output_folder", str(tmp_path / "out")]
    words += ["--distributor", "serial", "--image_size", "32"]
    with ProxyServer({NAME: gallery.server.port}, login="me:right") as proxy:
        assert main([*words, "--proxy", proxy.url("me:right")]) == 0
        assert main([*words, "--incremental_mode", "overwrite", "--proxy", proxy.url()]) == 1

    assert "check --proxy, or http_proxy" in capsys.readouterr().err.replace("\n", " ")
