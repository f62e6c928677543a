"""A Python that has imported the large libraries already, and starts programs in milliseconds.

    with WarmPython() as python:  # tests use the fixture `warm_python`: one per session
        done = python.run("-c", "print(1)", cwd=..., env=..., text="standard input")
        process = python.start("-m", "module", "argument", env=...)

Each program is a process of its own, forked from one that has imported third-party libraries and
nothing of ours. It ends as any interpreter does, with its threads, exit functions and streams, but
without taking all modules apart, which takes ten times as long as the rest. Options of the
interpreter are not understood, and of a new environment what libraries read while they are imported
has no effect.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

ROOT = Path(__file__).parents[2]
#: None reads variables that tests set: `huggingface_hub` and `datasets` do.
LIBRARIES = (
    "pytest numpy PIL.Image yaml msgspec tqdm tenacity urllib3 pyarrow.parquet pyarrow.dataset"
    " pyarrow.fs cloudpickle cv2 torch torch.utils.data botocore.session"
    " dagster._cli dagster.components dagster._grpc.server dagster._core.storage.sqlite_storage"
)


class WarmProcess:
    """A running program, with the part of `subprocess.Popen` that tests use."""

    def __init__(self, status: IO[bytes], said: IO[bytes]) -> None:
        self._status, self._said = status, said
        self.returncode: int | None = None
        self.pid = int(status.readline())
        os.set_blocking(status.fileno(), False)

    def poll(self) -> int | None:
        """Return the exit status, or minus the signal; None while the program runs."""
        if self.returncode is None and (line := self._status.readline()):
            self.returncode = os.waitstatus_to_exitcode(int(line))
            self._status.close()
        return self.returncode

    def wait(self, timeout: float = 170.0) -> int:
        """Wait until the program has ended."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.005)
        return code

    def output(self) -> str:
        """Return what the program has said so far, on both streams."""
        return os.pread(self._said.fileno(), 10_000_000, 0).decode(errors="replace")


class WarmPython:
    """The process that all programs are forked from."""

    def __enter__(self) -> Self:
        self._ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", __name__, str(theirs.fileno()), *LIBRARIES.split()]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._server = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self._server.wait()

    def start(
        self,
        *arguments: object,
        cwd: object = ROOT,
        env: dict[str, str] | None = None,
        text: str = "",
    ) -> WarmProcess:
        """Start a program: `-c` and code, `-m` and a module, or a file; then its arguments."""
        job = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "environment": dict(os.environ if env is None else env),
        }
        said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process object
        status, their_status = os.pipe()
        with tempfile.TemporaryFile() as asked:
            asked.write(text.encode())
            asked.seek(0)
            _send(self._ours, job, [asked.fileno(), said.fileno(), said.fileno(), their_status])
        os.close(their_status)
        return WarmProcess(os.fdopen(status, "rb"), said)

    def run(self, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; `stdout` has what it said on both streams."""
        process = self.start(*arguments, **options)
        return subprocess.CompletedProcess(
            [*map(str, arguments)], process.wait(), process.output(), ""
        )


def _send(connection: socket.socket, job: dict[str, Any], descriptors: list[int]) -> None:
    content = json.dumps(job).encode()
    socket.send_fds(connection, [len(content).to_bytes(8)], descriptors)
    connection.sendall(content)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    size, descriptors, _, _ = socket.recv_fds(connection, 8, 4)
    if not size:
        return None
    content = b""
    while len(content) < int.from_bytes(size):
        content += connection.recv(int.from_bytes(size) - len(content))
    return json.loads(content), descriptors


def _next_program(connection: socket.socket) -> dict[str, Any] | None:
    """Return the job in the process that is to do it, and None when no more jobs come."""
    while received := _receive(connection):
        job, descriptors = received
        if os.fork() == 0:
            connection.close()
            if (program := os.fork()) == 0:
                for number, descriptor in enumerate(descriptors[:3]):
                    os.dup2(descriptor, number)
                for descriptor in descriptors:
                    os.close(descriptor)
                return job
            _report(program, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return None


def _report(program: int, descriptors: list[int]) -> None:
    """Say the number of a child, and how it ended."""
    os.write(descriptors[3], b"%d\n" % program)
    _, status = os.waitpid(program, 0)
    with suppress(BrokenPipeError):
        os.write(descriptors[3], b"%d\n" % status)
    os._exit(0)


def _become(job: dict[str, Any]) -> None:
    """Run a program as the main module, as the interpreter would."""
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    importlib.invalidate_caches()
    kind, *sys.argv = job["arguments"]
    if kind == "-c":
        code, sys.argv[0], sys.path[0] = sys.argv[0], "-c", ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    elif kind == "-m":
        sys.path[0] = job["cwd"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [kind, *sys.argv], str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")


def _main(descriptor: int, libraries: list[str]) -> None:
    connection = socket.socket(fileno=descriptor)
    for name in libraries:
        with suppress(ImportError):  # extras
            importlib.import_module(name)
    gc.freeze()  # what children do not touch stays shared, and need not be torn down
    job = _next_program(connection)
    if job is not None:
        _end(_status_of(job))


def _status_of(job: dict[str, Any]) -> int:
    """Run a program; return its exit status. Errors, and exits with a text, are not for here."""
    try:
        _become(job)
    except SystemExit as exc:
        if exc.code is not None and not isinstance(exc.code, int):
            raise
        return exc.code or 0
    return 0


def _end(status: int) -> None:
    """End this process in the order of the interpreter."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    _main(int(sys.argv[1]), sys.argv[2:])
