"""What the report says about the machine and about the versions of both tools. Only reads."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

OUR_PACKAGES = ("pycurl", "opencv-python-headless", "numba", "numpy", "pyarrow", "exifread")


def machine(work: str) -> str:
    """Describe CPUs, memory, kernel and the file system of the outputs in one line."""
    described = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    cpu = f"{os.cpu_count()} CPUs ({described[0] if described else platform.machine()})"
    system = f"{platform.system()} {platform.release()}"
    return f"{cpu}, {memory:.0f} GiB, {system}; outputs on {_file_system(work)}."


def our_versions() -> str:
    """Describe our package, its Python and its dependencies."""
    packages = [f"{name} {_version(name) or 'not installed'}" for name in OUR_PACKAGES]
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    commit = f" (commit {found.stdout.strip()})" if found.returncode == 0 else ""
    version = _version("dataset-assets") or "from the source tree"
    python = platform.python_version()
    return f"dataset_assets {version}{commit}, Python {python}, {', '.join(packages)}"


def their_versions(baseline: dict[str, Any]) -> str:
    """Describe the baseline's Python and packages."""
    packages = ", ".join(f"{name} {version}" for name, version in baseline["versions"].items())
    return f"Python {baseline['python_version']}, {packages}"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _file_system(folder: str) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    inside = [
        (point, kind) for point, kind in mounts if Path(folder).resolve().is_relative_to(point)
    ]
    return max(inside, key=lambda mount: len(mount[0]), default=("", "an unknown file system"))[1]
