"""The README is true: what it shows runs.

A code block below a line `<!-- tested: photos -->` (bash, python) or `<!-- tested: catalog -->`
(yaml: a defs.yaml, which must load) runs here, each in a fresh folder with `urls.parquet` (columns
url and caption; a photo server answers the URLs), the same file in `lists/`, a tiny COCO in
`archives/`, and `workspace.yaml`. `dataset-assets`, `dagster` and `python` are on the path.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_assets import registry

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text() if (ROOT / "README.md").exists() else ""

_MARK = re.compile(r"^<!-- tested: (?:photos|catalog) -->$", re.MULTILINE)
_BLOCK = re.compile(
    _MARK.pattern + r"\n```(bash|python|yaml)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_CODE = re.compile(r"^```(?:bash|console|sh)\n(.*?)^```$|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
_VALIDATE = ("-m", "dagster", "definitions", "validate", "-w", "workspace.yaml")

BLOCKS = _BLOCK.findall(README)
# Shell blocks and inline code.
COMMANDS = "\n".join(block or inline for block, inline in _CODE.findall(README))


def test_blocks_are_marked_when_they_run():
    assert len(BLOCKS) == README.count("<!-- tested") > 0
    assert {language for language, _ in BLOCKS} == {"bash", "python", "yaml"}


@pytest.mark.parametrize(
    ("language", "code"),
    BLOCKS,
    ids=[f"{language}-{number}" for number, (language, _) in enumerate(BLOCKS)],
)
def test_block_succeeds_when_run(language, code, warm_python, example_folder, example_environment):
    example = {"cwd": example_folder, "env": example_environment}
    if language == "python":
        done = warm_python.run("-c", code, **example)
    elif language == "bash":
        command = ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(
            command,
            **example,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    else:
        shown = example_folder / "catalog" / "shown" / "defs.yaml"
        shown.parent.mkdir(parents=True)
        shown.write_text(code)
        done = warm_python.run(*_VALIDATE, **example)
    assert done.returncode == 0, f"{code}\n--- output\n{done.stdout}"


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


@pytest.mark.parametrize("role", registry.ROLES)
def test_plug_in_names_are_mentioned_when_they_exist(role):
    names = registry.names(role)
    assert names
    assert {name for name in names if f"`{name}`" not in README} == set()
