"""`dataset-assets download` and `any`: positional lists, any2dataset's flags, the exit status."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_assets import download
from dataset_assets.cli import build_parser, main, parse
from dataset_assets.cli.outcome import HINTS
from dataset_assets.compat.any2dataset import download as download_any
from dataset_assets.pipelines.verify.shards import read_manifest
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.http_server import HttpServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def http_server():
    """An HTTP server on this machine."""
    with HttpServer() as running:
        yield running


@pytest.fixture
def served(http_server, tmp_path):
    """Two small files of no medium, and a list of them."""
    urls = [http_server.add(f"/{number}.bin", bytes([number]) * 9) for number in range(2)]
    (tmp_path / "urls.txt").write_text("\n".join(urls))
    return tmp_path


def test_the_list_may_stand_first():
    for words in (["urls.txt"], ["--url_list", "urls.txt"], ["--url-list=urls.txt"]):
        given = parse(["download", *words, "--image_size", "9"])
        assert (given.url_list, given.image_size) == ("urls.txt", 9)


def test_a_list_must_be_named(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["download", "--output_folder", "out"])
    assert stopped.value.code == 2
    assert "--url_list" in capsys.readouterr().err


def test_any_has_every_argument_of_any2dataset_and_none_about_images():
    flags = vars(parse(["any", "u", "--file_size", "3", "--compute_md5"]))
    assert (flags["file_size"], flags["compute_md5"]) == (3, True)
    parser = build_parser("any")
    shown = parser._subparsers._group_actions[0].choices["any"].format_help()
    known = set(re.findall(r"--(\w+)", shown))
    expected = set(inspect.signature(download_any).parameters) - {"options"}
    assert expected | {"max_bytes", "retry_failed", "layout"} <= known
    assert not known & {"image_size", "resize_mode", "encode_format", "media"}


def test_any_stores_files_with_the_defaults_of_any2dataset(served, monkeypatch):
    monkeypatch.chdir(served)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dataset_assets",
            "any",
            "urls.txt",
            "--file_size",
            "256",
            "--allow_private_networks",
            "127.0.0.0/8",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert (served / "files" / "00000" / "000000000.bin").read_bytes() == bytes(9)
    assert read_manifest(open_store("files")).successes == 2


def test_status_1_names_the_commonest_cause_and_the_setting_that_helps(served, monkeypatch, capsys):
    monkeypatch.chdir(served)
    monkeypatch.delenv("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS", raising=False)
    assert main(["any", "urls.txt"]) == 1
    said = capsys.readouterr().err
    assert "got none from 2 rows, most of them blocked_address" in said
    assert "--allow_private_networks" in said
    allowed = ["--allow_private_networks", "127.0.0.0/8"]
    assert main(["any", "urls.txt", *allowed, "--retry_failed", "blocked_address"]) == 0


def test_status_0_when_a_list_is_partly_there(served, http_server, monkeypatch):
    monkeypatch.chdir(served)
    with (served / "urls.txt").open("a") as lines:
        lines.write(f"\n{http_server.url('/missing')}")
    assert main(["any", "urls.txt", "--allow_private_networks", "127.0.0.0/8"]) == 0


def test_hints_name_flags_that_exist():
    named = set(re.findall(r"--(\w+)", " ".join(HINTS.values())))
    assert named <= set(inspect.signature(download).parameters)
