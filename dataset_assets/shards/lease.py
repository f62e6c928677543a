"""One writer at a time in a folder, a shard set or a split: the lease of a run.

A lease is an object `_lease-00000001` in the folder. Who wants to write creates the next
number with a conditional write, which one writer wins; the highest number holds. The object names
its holder (boot, process namespace, process, its start) and changes with every heartbeat, so that a
later run can tell a dead holder from a live one: on the same machine by asking for the process,
elsewhere by watching for a heartbeat. Age alone never ends a lease.

A lease also says whose files lie in the folder. A run that ends with every shard recorded removes
it, as does one that wrote nothing; one that fails or is killed leaves it, and with it the claim
that files without a record are this package's own.
"""

import json
import logging
import os
import platform
import threading
import time
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Self
from uuid import uuid4

from dataset_assets import processes
from dataset_assets.errors import LeaseLost, SetInUse, StorageError
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.storage.store import Store

PREFIX = "_lease-"
HEARTBEAT_S = 10.0
#: A holder on another machine that does not write for so long is dead.
SILENT_S = 60.0
_DIGITS = 8
_ATTEMPTS = 20

logger = logging.getLogger(__name__)
#: Runs of this process that hold a lease.
_held: set[str] = set()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease."""

    run: str
    """Unique for each run."""
    host: str
    """Name of the machine, for people."""
    machine: str
    """Boot and process namespace: processes with the same value see each other."""
    pid: int
    started: int
    """When the process started, in ticks since the boot; 0 where that is not known."""
    beats: int = 0
    """Number of heartbeats."""
    is_released: bool = False
    """Whether the run has ended, but not with every shard recorded."""


class Lease:
    """Holds a folder while it is entered.

    Raises:
        SetInUse: a live run holds it.
    """

    def __init__(
        self, store: Store, *, heartbeat_s: float = HEARTBEAT_S, silent_s: float = SILENT_S
    ) -> None:
        self._store = store
        self._heartbeat_s = heartbeat_s
        self.due = time.monotonic() + heartbeat_s
        """When `beat` is to be called next, in seconds of the monotonic clock."""
        self._silent_s = silent_s
        self._holder = this_process()
        self.run = self._holder.run
        self.key = ""
        self.found_claim = False
        """Whether an earlier run left a claim: its files may have no record yet."""
        self.has_written = False
        """Set it before files without a record can be in the folder."""
        self.is_complete = False
        """Set it when every file in the folder has a record."""

    def __enter__(self) -> Self:
        _held.add(self.run)  # before others can see it
        try:
            self._acquire()
        except BaseException:
            _held.discard(self.run)
            raise
        _heart.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _heart.remove(self)
        _held.discard(self.run)
        is_clean = not self.has_written and not self.found_claim
        try:
            self._end(is_recorded=is_clean or (self.is_complete and kind is None))
        except StorageError as exc:  # an error of the run itself must not be replaced by this one
            logger.warning(
                "the lease of %s is not released: %s; other processes can write there once this "
                "one has exited",
                self._store.url,
                exc,
            )

    def check(self) -> None:
        """Prove that no other run has taken over.

        Raises:
            LeaseLost: another run has.
        """
        check_lease(self._store, self.key)

    def _acquire(self) -> None:
        for _ in range(_ATTEMPTS):
            last = _last(self._store)
            number = 1
            if last is not None:
                number = _number(last) + 1
                self.found_claim = True
                self._await_end(last)
            self.key = _key(number)
            if self._store.write_new(self.key, self._data()):
                if self._is_highest():
                    break
                # The list was read while another run took over: the number was free again.
                self._store.delete(self.key)
        else:
            raise SetInUse(_in_use(self._store, "runs that start all the time"))
        self._delete_older()

    def _end(self, *, is_recorded: bool) -> None:
        if not self._is_ours():
            return
        if is_recorded:
            self._store.delete(self.key)
            return
        self._holder = replace(self._holder, is_released=True)
        self._store.write(self.key, self._data(), durable=False)

    def _data(self) -> bytes:
        return json.dumps(asdict(self._holder)).encode()

    def _is_highest(self) -> bool:
        return _last(self._store) == self.key

    def _is_ours(self) -> bool:
        return _holds(self._store, self.key)

    def beat(self) -> None:
        """Show that the run is alive."""
        self.due = time.monotonic() + self._heartbeat_s
        self._holder = replace(self._holder, beats=self._holder.beats + 1)
        try:
            if self._is_ours():
                self._store.write(self.key, self._data(), durable=False)
        except StorageError as exc:
            logger.warning("the lease of %s is not renewed: %s", self._store.url, exc)

    def _delete_older(self) -> None:
        for info in list(self._store.list(PREFIX, recursive=False)):
            if info.key < self.key:
                self._store.delete(info.key)

    def _await_end(self, key: str) -> None:
        """Return once the holder of a lease is known to be dead, or raise `SetInUse`."""
        holder = _read(self._store, key)
        if holder is None or holder.is_released:
            return
        if holder.machine == self._holder.machine:
            if is_running(holder):
                raise SetInUse(_in_use(self._store, f"process {holder.pid} of this machine"))
            return
        where = f"process {holder.pid} of {holder.host}"
        logger.warning(
            "%s is in use by %s; waiting up to %.0f s for a sign of life",
            self._store.url,
            where,
            self._silent_s,
        )
        until = time.monotonic() + self._silent_s
        while time.monotonic() < until:
            time.sleep(min(1.0, self._silent_s / 10))
            now = _read(self._store, key)
            if now is None or now.is_released:
                return
            if now.beats != holder.beats:
                raise SetInUse(_in_use(self._store, where))


class _Heart:
    """The thread of this process that renews all its leases."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while a lease is renewed
        self._leases: list[Lease] = []
        self._changed = threading.Event()

    def add(self, lease: Lease) -> None:
        """Renew a lease from now on."""
        with self._lock:
            self._leases.append(lease)
            if len(self._leases) == 1:
                threading.Thread(target=self._run, name="leases", daemon=True).start()
        self._changed.set()

    def remove(self, lease: Lease) -> None:
        """Renew a lease no more, also not one that is being renewed."""
        with self._lock:
            self._leases.remove(lease)
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.clear()
            with self._lock:
                leases = list(self._leases)
            if not leases:
                return
            self._changed.wait(max(0.0, min(lease.due for lease in leases) - time.monotonic()))
            for lease in leases:
                with self._lock:
                    if lease in self._leases and time.monotonic() >= lease.due:
                        lease.beat()


_heart = _Heart()


def check_lease(store: Store, key: str) -> None:
    """Prove that the lease with this key still holds a set: no other run has taken over.

    Without a key there is none to prove: the caller is the only writer by other means.

    Raises:
        LeaseLost: another run has.
    """
    if key and not _holds(store, key):
        raise LeaseLost(
            f"{store.url}: expected this run to be the only one, got another that has taken over, "
            "because this one showed no sign of life; what it has not recorded is given up"
        )


def this_process() -> Holder:
    """Return a new run of this process."""
    process = processes.this_process()
    return Holder(uuid4().hex, platform.node(), process.machine, process.pid, process.started)


def is_running(holder: Holder) -> bool:
    """Tell whether a holder of this machine still runs."""
    if holder.pid == os.getpid():
        return holder.run in _held
    return processes.is_running(holder.pid, holder.started)


def _key(number: int) -> str:
    return f"{PREFIX}{number:0{_DIGITS}d}"


def _number(key: str) -> int:
    return int(key.removeprefix(PREFIX))


def _holds(store: Store, key: str) -> bool:
    """Tell whether a lease holds still: who takes over creates the next number, and deletes this.

    Two requests: a list of a folder takes longer with every shard.
    """
    return store.info(key) is not None and store.info(_key(_number(key) + 1)) is None


def _last(store: Store) -> str | None:
    """Return the key of the highest number."""
    keys = (info.key for info in store.list(PREFIX, recursive=False))
    return max((key for key in keys if key.removeprefix(PREFIX).isdecimal()), default=None)


def _read(store: Store, key: str) -> Holder | None:
    """Read who holds a lease; None when it is gone, or was cut off by a crash of the machine."""
    return read_or_none(store.read, key, lambda raw: Holder(**json.loads(raw)))


def _in_use(store: Store, holder: str) -> str:
    return (
        f"{store.url}: expected a folder that no run is at work in, got one in use by {holder}; "
        "wait until that run is done, or use another folder"
    )
