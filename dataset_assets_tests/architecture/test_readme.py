"""The README is true: what it shows runs.

A code block below a line `<!-- tested: photos -->` (bash, python) or `<!-- tested: catalog -->` (yaml: a defs.yaml, which must load) is run here, each
in a fresh folder with `urls.parquet` (columns url and caption; a photo server answers the urls), the same file in `lists/`, a tiny COCO in `archives/`, and
`workspace.yaml`.
`dataset-assets`, `dagster` and `python` are on the path.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataset_assets import registry
from dataset_assets.demo.lists import url_table
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets_tests.support.tiny_coco import write_coco

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else ""
LIST_ROWS = slice(100, 220)  # behind the slow ones

_MARK = re.compile(r"^<!-- tested: (?:photos|catalog) -->$", re.MULTILINE)
_BLOCK = re.compile(
    _MARK.pattern + r"\n```(bash|python|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_CODE = re.compile(r"^```(?:bash|console|sh)\n(.*?)^```$|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
_LOAD_CATALOG = "mkdir -p catalog/shown && cat >catalog/shown/defs.yaml && dagster definitions validate -w workspace.yaml"

BLOCKS = _BLOCK.findall(README)
COMMANDS = "\n".join(
    block or inline for block, inline in _CODE.findall(README)
)  # shell blocks and inline code


@pytest.fixture(scope="module")
def server():
    with PhotoServer(port=0) as running:
        yield running


@pytest.fixture
def folder(tmp_path, server):
    rows = url_table(port=server.port)[LIST_ROWS]
    pq.write_table(rows, tmp_path / "urls.parquet")
    for name in ("lists", "dagster_home"):
        (tmp_path / name).mkdir()
    shutil.copy(tmp_path / "urls.parquet", tmp_path / "lists")
    shutil.copy(ROOT / "dagster.yaml", tmp_path / "dagster_home")
    shutil.copy(ROOT / "workspace.yaml", tmp_path)
    write_coco(tmp_path / "archives")
    return tmp_path


def _environment(folder):
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(folder / "dagster_home"),
        "DATASET_ASSETS_ROOT": str(folder / "data"),
        "DATASET_ASSETS_CATALOG": str(folder / "catalog"),
        "DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
        "HF_HOME": str(folder / "huggingface"),
    }


def _run(command, folder, text=""):
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment(folder),
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"


def test_blocks_are_marked_when_they_run():
    assert len(BLOCKS) == README.count("<!-- tested") > 0
    assert {language for language, _ in BLOCKS} == {"bash", "python", "yaml"}


@pytest.mark.parametrize(
    ("language", "code"),
    BLOCKS,
    ids=[f"{language}-{number}" for number, (language, _) in enumerate(BLOCKS)],
)
def test_block_succeeds_when_run(language, code, folder):
    if language == "python":
        _run([sys.executable, "-c", code], folder)
    elif language == "bash":
        _run(["bash", "-euo", "pipefail", "-c", code], folder)
    else:
        _run(["bash", "-euo", "pipefail", "-c", _LOAD_CATALOG], folder, code)


def test_make_targets_exist_when_named():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake (?:[A-Z_]+=\S+ )*([a-z-]+)", COMMANDS))
    assert {"demo", "test"} <= named <= targets


def test_subcommands_exist_when_named():
    program = Path(sys.executable).with_name("dataset-assets")
    shown = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    named = set(re.findall(r"\bdataset-assets ([a-z][a-z0-9-]*)", COMMANDS))
    assert named
    assert {name for name in named if not re.search(rf"\b{name}\b", shown)} == set()


@pytest.mark.parametrize("package", registry.ROLES)
def test_plug_in_names_are_mentioned_when_they_exist(package):
    names = registry.names(package)
    assert names
    assert {name for name in names if f"`{name}`" not in README} == set()
