"""Which process is which, how workers end with their parent, and the folder of `multiprocessing`.

Python makes `pymp-...` below TMPDIR, for sockets, and removes it when the process ends, but not
when it is killed. A folder that was made here names its process, so that a later run can tell that
it is dead and remove the folder. Folders that name nobody are left alone.
"""

import json
import multiprocessing.util
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread

_PREFIX = "pymp-"
_OWNER = "dataset_assets_owner.json"
_MAX_BYTES = 4096
_WATCH_S = 1.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Tells a process from all others, also from later ones with its number."""

    machine: str
    """Boot and process namespace: processes with the same value see each other."""
    pid: int
    started: int
    """When the process started, in ticks since the boot; 0 where that is not known."""


def this_process() -> Identity:
    """Return the identity of this process."""
    pid = os.getpid()
    return Identity(_machine(), pid, _started(pid))


def is_running(pid: int, started: int) -> bool:
    """Tell whether a process of this machine still runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists and belongs to another user
        pass
    return not started or _started(pid) == started


def own_multiprocessing_folder() -> None:
    """Make the folder of `multiprocessing` and name this process in it. Idempotent.

    Call it before the first process is started. Folders of dead processes are removed, if they
    name one. A folder that this process has already, or has from its parent, stays without a name.
    """
    if sys.platform == "win32":
        return  # pipes are used there
    found = set(_folders())
    for folder in found:
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # who needs the folder says that there can be none
        folder = Path(multiprocessing.util.get_temp_dir())
        if folder not in found:
            (folder / _OWNER).write_text(json.dumps(asdict(this_process())))


def exit_with_parent(*, grace_s: float = 0.0) -> None:
    """End this worker process when the process that started it is gone, whatever it is doing.

    Args:
        grace_s: seconds to end by itself, after a SIGTERM. 0: it ends at once.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        watched = parent.sentinel, os.getppid(), grace_s
        Thread(target=_exit_after, args=watched, name="parent", daemon=True).start()


def _exit_after(sentinel: int, parent: int, grace_s: float) -> None:
    # A sentinel of a parent that forks is kept open by later children, and the parent of one from
    # the fork server is that server, which ends with the process that has started it.
    while os.getppid() == parent and not wait([sentinel], _WATCH_S):
        pass
    if grace_s:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace_s)
    os._exit(1)


def _folders() -> Iterator[Path]:
    """Yield the folders of all processes of this user."""
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)


def _is_abandoned(folder: Path) -> bool:
    """Tell whether a folder of this user names a process of this machine that has ended."""
    try:
        if folder.stat().st_uid != os.geteuid():
            return False
        with open(folder / _OWNER, "rb") as opened:
            owner = json.loads(opened.read(_MAX_BYTES))
        machine, pid, started = owner["machine"], owner["pid"], owner["started"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
    if machine != _machine() or type(pid) is not int or type(started) is not int or pid < 1:
        return False
    return not is_running(pid, started)


def _machine() -> str:
    boot = _text("/proc/sys/kernel/random/boot_id") or platform.node()
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{boot}/{namespace}"


def _started(pid: int) -> int:
    """Return when a process started, in ticks since the boot; 0 where that is not known."""
    # proc(5): field 22; the name in field 2 may have spaces and parentheses
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
