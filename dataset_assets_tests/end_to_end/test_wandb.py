"""`enable_wandb` with the real package, offline: what is in the run's file, and what is not."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from dataset_assets import download
from dataset_assets.errors import MissingDependency

BLOCK, HEADER = 32_768, 7  # bytes
SPEEDS = ("img_per_sec", "success", "failed_to_download", "failed_to_resize", "count")
SCRIPT = """
import sys
from dataset_assets import download
if __name__ == "__main__":
    download(
        sys.argv[1],
        image_size=32,
        output_folder=sys.argv[2],
        output_format="webdataset",
        number_sample_per_shard=4,
        thread_count=4,
        enable_wandb=True,
        wandb_project="cats",
        request_headers={"Authorization": "Bearer secret-header"},
        save_additional_columns=None,
        processes_count=2,
    )
"""


def records(path: Path) -> Iterator[Record]:
    """Yield the records of a run's file: protocol buffers in LevelDB's log format.

    A header of seven bytes comes first.
    Format: https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    data, position, record = path.read_bytes(), HEADER, b""
    while position < len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK  # the rest of a block is padding
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        position += HEADER + length
        record += data[position - length : position]
        if kind in (1, 4):  # the whole record, or its end
            yield Record.FromString(record)
            record = b""


@pytest.fixture
def logged(gallery):
    """Download ten rows in a separate process, with secrets wherever one fits; return the folder of
    the run."""
    urls = [gallery.url(number) for number in range(8)] + [
        gallery.server.url("/gone"),
        gallery.server.url("/fault/html"),
    ]
    secret = (
        urls[0].replace("http://", "http://user:secret-password@")
        + "?X-Amz-Signature=secret-signature"
    )
    (gallery.folder / "urls.txt").write_text("\n".join([secret, *urls[1:]]))
    (gallery.folder / "run.py").write_text(SCRIPT)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WANDB")},
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(gallery.folder),
        "WANDB_BASE_URL": gallery.server.url(""),
        "WANDB_API_KEY": "0" * 40,
        **dict.fromkeys(
            ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), gallery.server.url("")
        ),
    }
    command = [
        sys.executable,
        "run.py",
        "urls.txt",
        f"file://{gallery.folder}/out?token=secret-store",
        "--token=secret-argument",
    ]
    done = subprocess.run(
        command,
        cwd=gallery.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next((gallery.folder / "wandb").glob("offline-run-*"))


def values_of(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def test_speed_and_statuses_are_logged_under_the_keys_of_img2dataset_and_no_secret_is(
    gallery, logged
):
    found = list(records(next(logged.glob("*.wandb"))))
    assert [record.run.project for record in found if record.HasField("run")] == ["cats"]
    history = [values_of(record.history.item) for record in found if record.HasField("history")]
    speeds = [{name: value for name, value in step.items() if "/" in name} for step in history]
    workers = [step for step in speeds if "worker/count" in step]
    totals = [step for step in speeds if "total/count" in step]
    assert {tuple(sorted(step)) for step in workers} == {
        tuple(sorted(f"worker/{name}" for name in SPEEDS))
    }
    assert {tuple(sorted(step)) for step in totals} == {
        tuple(sorted(f"total/{name}" for name in SPEEDS))
    }
    assert sorted(step["worker/count"] for step in workers) == [2, 4, 4]
    last = totals[-1]
    assert last["total/img_per_sec"] > 0
    assert {name: last[f"total/{name}"] for name in SPEEDS[1:]} == {
        "success": 0.8,
        "failed_to_download": 0.1,
        "failed_to_resize": 0.1,
        "count": 10,
    }

    assert history[-1]["status._type"] == "table-file"
    table = json.loads((logged / "files" / history[-1]["status.path"]).read_text())
    assert table["columns"] == ["status", "frequency", "count"]
    assert table["data"] == [
        ["success", 0.8, 8],
        ["HTTP Error 404: Not Found", 0.1, 1],
        ["text/html", 0.1, 1],
    ]

    config = values_of(next(record.run.config.update for record in found if record.HasField("run")))
    assert (config["image_size"], config["output_format"], config["wandb_project"]) == (
        32,
        "webdataset",
        "cats",
    )
    assert config["output_folder"] == f"file://{gallery.folder}/out?token=***"
    assert not {"url_list", "request_headers"} & set(config)
    texts = [path for path in logged.rglob("*") if path.is_file()]
    assert [str(path) for path in texts if b"secret" in path.read_bytes()] == []


def test_nothing_is_sent_when_offline(gallery, logged):
    """The server has the address of Weights & Biases, and is the proxy to every other address."""
    assert {seen.path for seen in gallery.server.log} == {
        *(f"/{number}.jpg" for number in range(8)),
        "/gone",
        "/fault/html",
    }


def test_error_names_the_extra_when_wandb_is_not_installed(gallery, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingDependency, match=r"pip install 'dataset-assets\[wandb\]'"):
        download(
            [gallery.url(0)],
            output_folder=str(gallery.folder / "out"),
            enable_wandb=True,
            distributor="serial",
        )
    assert gallery.server.requests == 0


def test_missing_login_is_one_line_before_the_first_request(tmp_path, monkeypatch):
    for name in [each for each in os.environ if each.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # no .netrc
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "list.txt").write_text("http://10.0.0.1/a.jpg\n")
    command = [sys.executable, "-m", "dataset_assets", "download", "list.txt"]
    command += ["--output_folder", "out", "--distributor", "serial", "--enable_wandb", "True"]
    found = subprocess.run(
        command,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith("ConfigurationError: enable_wandb: expected a run")
    assert "wandb login" in last
    assert "Traceback" not in found.stderr
    assert not list(tmp_path.glob("out/*_stats.json"))
