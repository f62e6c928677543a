"""The Makefile in a folder of its own, with programs that only say how they were called."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >>calls
bytecode=${PYTHONDONTWRITEBYTECODE-kept}
echo "DAGSTER_HOME=$DAGSTER_HOME DATASET_ASSETS_ROOT=$DATASET_ASSETS_ROOT bytecode=$bytecode" >env
"""
PYTHON = """#!/bin/sh
case "$*" in
  "-m venv .venv")
    mkdir -p .venv/bin
    for name in python dataset-assets dagster; do cp fake .venv/bin/$name; done;;
  *) exec {python} "$@";;
esac
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("pyproject.toml", "constraints.txt", "dagster.yaml"):
        (folder / name).touch()
    _program(folder / "fake", FAKE)
    _program(folder / "python", PYTHON.format(python=sys.executable))
    return folder


def _program(path, text):
    path.write_text(text)
    path.chmod(0o755)


def _make(project, *arguments, **environment):
    command = [
        "make",
        "PYTHON=./python",
        *arguments,
    ]  # nothing is inherited: the tests themselves may run below make
    return subprocess.run(
        command,
        cwd=project,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _calls(project):
    calls = (project / "calls").read_text().splitlines()
    (project / "calls").unlink()
    return calls


def test_demo_installs_once_when_made_twice(project):
    assert _make(project, "demo").returncode == 0
    install, demo = _calls(project)
    assert install.endswith("install --quiet --compile -c constraints.txt -e .[demo]")
    assert demo == "dataset-assets demo"
    assert _make(project, "demo").returncode == 0
    assert _calls(project) == ["dataset-assets demo"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_demo_installs_again_when_the_requirements_changed(project, name):
    _make(project, "demo")
    later = (project / ".venv" / ".installed-demo").stat().st_mtime + 10
    os.utime(project / name, (later, later))
    _calls(project)
    _make(project, "demo")
    assert len(_calls(project)) == 2


def test_demo_needs_no_second_install_when_the_tests_are_installed(project):
    _make(project, "test")
    torch, dev, tests, alone = _calls(project)
    assert torch.endswith("-c constraints.txt torch")
    assert dev.endswith("-e .[dev]")
    assert tests == "python -m pytest -n auto --dist worksteal -m not slow and not alone"
    assert alone == "python -m pytest -m alone"
    _make(project, "demo")
    assert _calls(project) == ["dataset-assets demo"]


@pytest.mark.parametrize("target", ["demo", "ui"])
def test_instance_lies_in_the_project_when_the_user_has_none(project, target):
    (project / "dagster.yaml").write_text("new")
    _make(project, target, PYTHONDONTWRITEBYTECODE="1")
    assert (
        (project / "env").read_text()
        == f"DAGSTER_HOME={project}/.dagster DATASET_ASSETS_ROOT={project}/data bytecode=kept\n"
    )
    assert (project / ".dagster" / "dagster.yaml").read_text() == "new"


def test_instance_of_the_user_is_left_alone_when_set(project):
    _make(project, "demo", DAGSTER_HOME="/mine", DATASET_ASSETS_ROOT="/data")
    assert (
        project / "env"
    ).read_text() == "DAGSTER_HOME=/mine DATASET_ASSETS_ROOT=/data bytecode=kept\n"
    assert not (project / ".dagster").exists()


def test_error_says_what_to_do_when_python_is_too_old(project):
    _program(
        project / "python", '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.10" || exit 1\n'
    )
    result = _make(project, "demo")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed, but './python' is: Python 3.8.10" in result.stderr
    assert not (project / ".venv").exists()


def test_error_says_what_to_do_when_there_is_no_python(project):
    (project / "python").unlink()
    result = _make(project, "demo")
    assert result.returncode != 0
    assert "Python 3.11 or newer is needed" in result.stderr


def test_help_names_every_command_when_called_alone(project):
    shown = _make(project).stdout
    assert all(
        f"make {target} " in shown
        for target in ("demo", "ui", "test", "test-slow", "check", "bench", "clean")
    )


def test_data_stays_when_cleaned(project):
    _make(project, "demo")
    (project / "data").mkdir()
    assert _make(project, "clean").returncode == 0
    assert not (project / ".venv").exists()
    assert (project / "data").exists()
    assert (project / ".dagster").exists()
