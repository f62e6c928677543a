"""The commands `stage` and `s3`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataset_assets.cli import main
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.cityscapes_site import CityscapesSite
from dataset_assets_tests.support.tiny_cityscapes import write_cityscapes
from dataset_assets_tests.support.tiny_coco import write_coco

ROOT = Path(__file__).parents[2]
PASSWORD = "a-password-that-nobody-may-see"


def test_partitions_are_staged_when_asked_for(tmp_path, capsys):
    write_coco(tmp_path / "archives", images=6)
    command = [
        "stage",
        "coco",
        str(tmp_path / "coco"),
        "--folder",
        str(tmp_path / "archives"),
        "--annotations",
        "instances,captions",
    ]
    command += ["--max-shard-samples", "2", "--workers", "1"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "train2017" in shown
    for partition in ("train2017", "val2017"):
        assert verify_set(open_store(str(tmp_path / "coco" / "staged" / partition))) == []
    assert main([*command, "--partitions", "val2017"]) == 0
    assert "train2017" not in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "coco" / "staged" / "val2017")]) == 0


@pytest.mark.parametrize("password", [PASSWORD, PASSWORD + "-wrong", None])
def test_password_comes_from_the_environment_and_is_never_shown(
    tmp_path, monkeypatch, capsys, password
):
    (tmp_path / "published").mkdir()
    write_cityscapes(tmp_path / "published")
    with CityscapesSite(tmp_path / "published", "me", PASSWORD) as site:
        monkeypatch.setenv("CITYSCAPES_USERNAME", "me")
        monkeypatch.delenv("CITYSCAPES_PASSWORD", raising=False)
        if password is not None:
            monkeypatch.setenv("CITYSCAPES_PASSWORD", password)
        command = [
            "stage",
            "cityscapes",
            str(tmp_path / "out"),
            "--site",
            site.base_url,
            "--partitions",
            "val",
        ]
        assert main(command) == (password != PASSWORD)
    shown = capsys.readouterr()
    assert PASSWORD not in shown.out + shown.err
    said = {PASSWORD: "must not be published", None: "CITYSCAPES_PASSWORD is not set"}.get(
        password, "LoginRefused"
    )
    assert said in " ".join((shown.out + shown.err).split())
    assert password == PASSWORD or len(shown.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("coco", "out", "--layout", "tars"), "layout: expected one of shards, objects"),
        (("coco", "out", "--partitions", "val2018"), "val2018"),
        (("coco", "out", "--folder", "nowhere"), "no such object"),
        (("cvat", "out"), "exports: expected a zip for each partition"),
    ],
)
def test_a_wrong_option_is_one_line_and_status_1(tmp_path, monkeypatch, capsys, flags, said):
    monkeypatch.chdir(tmp_path)
    assert main(["stage", *flags]) == 1
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert len(shown.splitlines()) == 1


def test_a_folder_is_served_as_s3_until_interrupted(tmp_path):
    (tmp_path / "data").mkdir()
    command = (
        "import sys; from dataset_assets.cli import main\n"
        "sys.exit(main(['s3', 'data', '--buckets', 'one,two']))"
    )
    with (tmp_path / "said").open("w") as said:
        server = subprocess.Popen(
            [sys.executable, "-c", command],
            cwd=tmp_path,
            stdout=said,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    try:
        deadline = time.monotonic() + 30
        while (
            "AWS_SHARED_CREDENTIALS_FILE" not in (tmp_path / "said").read_text()
            and time.monotonic() < deadline
        ):
            time.sleep(0.05)
        text = (tmp_path / "said").read_text()
        assert f"export DATASET_ASSETS_CREDENTIALS={tmp_path / 'creds.yaml'}" in text
        assert (tmp_path / "creds.yaml").stat().st_mode & 0o777 == 0o600
        assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["one", "two"]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(20)
    assert not (tmp_path / "creds.yaml").exists()
