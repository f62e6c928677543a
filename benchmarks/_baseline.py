"""The virtual environments of the baselines, img2dataset and Daft, with pinned dependencies.

Here: finding a Python, creating an environment once in the cache. Not here: running it
(`_measure`).
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from _records import BASELINE, DAFT

#: Tool -> the tool, and what pip resolved for it when the targets were set; pinned so that the
#: baseline does not drift.
PINS = {
    BASELINE: (
        "img2dataset==1.47.0",
        "albumentations==1.4.24",
        "opencv-python-headless==4.14.0.94",
        "numpy==2.4.6",
        "pandas==2.3.3",
        "pyarrow==26.0.1",
        "webdataset==0.2.111",
    ),
    DAFT: ("daft==0.7.26", "pyarrow==25.0.1"),  # it wants pyarrow below 26
}
_VERSION = "import sys; print(sys.executable); print('%d.%d' % sys.version_info[:2])"
_REPORT = (
    "import importlib.metadata as m, json, sys; "
    "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
)


class BaselineError(RuntimeError):
    """The baseline cannot be installed or does not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A Python with img2dataset or Daft."""

    tool: str
    """BASELINE or DAFT."""
    python: str
    """Path."""
    python_version: str
    """Such as "3.12"."""
    versions: dict[str, str]
    """Package -> version."""
    note: str = ""
    """Why this is not the requested Python."""


def prepare_baseline(cache: Path, wanted: str, tool: str = BASELINE) -> Baseline:
    """Return an environment with a tool on a Python; install it into `cache` if necessary.

    Args:
        cache: folder of environments.
        wanted: command or path of the Python.
        tool: a key of PINS.

    Raises:
        BaselineError: pip or the first import failed.
    """
    base, version = find_python(wanted)
    note = ""
    if version not in wanted and wanted != base:
        note = f"`{wanted}` was not found: {tool} runs on Python {version}"
    pins = PINS[tool]
    release = pins[0].replace("==", "-")
    folder = cache / f"{release}-python{version}"
    python = folder / "bin" / "python"
    ready = folder / "ready.json"
    if not ready.exists():
        print(f"installing {release} on Python {version} into {folder} (once)", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([base, "-m", "venv", str(folder)])
        _run([str(python), "-m", "pip", "install", "--quiet", *pins])
        _run([str(python), "-c", f"import {tool}"], env={"NO_ALBUMENTATIONS_UPDATE": "1"})
        names = [pin.split("==")[0] for pin in pins]
        ready.write_text(_run([str(python), "-c", _REPORT, *names]))
    return Baseline(tool, str(python), version, json.loads(ready.read_text()), note)


def find_python(wanted: str) -> tuple[str, str]:
    """Return (path, "major.minor") of a Python.

    Args:
        wanted: command or path. It is looked for on PATH, then among the versions of pyenv;
            otherwise this Python is returned.
    """
    candidates = [shutil.which(wanted) or "", *_pyenv_pythons(wanted), sys.executable]
    for candidate in filter(None, candidates):
        # pyenv has shims for versions that are not active; they fail when they are called
        found = subprocess.run(
            [candidate, "-c", _VERSION], capture_output=True, text=True, check=False
        )
        if found.returncode == 0:
            path, version = found.stdout.split()
            return path, version
    raise BaselineError(f"no Python works: tried {wanted} and {sys.executable}")


def _pyenv_pythons(wanted: str) -> list[str]:
    if not (pyenv := shutil.which("pyenv")):
        return []
    root = subprocess.run(
        [pyenv, "root"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return [
        str(path)
        for path in sorted(Path(root).glob(f"versions/*/bin/{Path(wanted).name}"), reverse=True)
    ]


def _run(command: list[str], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise BaselineError(
            f"`{' '.join(command)}` failed with status {done.returncode}:\n"
            f"{done.stderr.strip()[-2000:]}"
        )
    return done.stdout
