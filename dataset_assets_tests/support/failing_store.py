"""A store that fails, or kills the process, at a chosen step, to test the commit protocol.

Every operation that changes something is a step, in order: `stage K`, `append K` (each write),
`close K`, `commit K`, `discard K`, `write K`, `write_new K`, `delete K`, `delete_tree K`.
`Steps.at` decides before the step happens.
"""

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any


class Killed(BaseException):
    """Simulates a SIGKILL inside one process: from this step on, no operation has an effect."""


@dataclass
class Steps:
    """Counts steps over all stores that share it.

    `strike` is called once, before step number `at` (from 0).
    """

    at: int | None = None
    strike: Callable[[], None] | None = None
    names: list[str] = field(default_factory=list)
    dead: bool = False

    def take(self, name: str) -> bool:
        """Count a step; tell whether it happens."""
        if self.dead:
            if name.startswith("discard"):
                return False
            raise Killed(f"dead since {self.names[-1]}")
        self.names.append(name)
        if len(self.names) - 1 == self.at and self.strike is not None:
            self.strike()
        return True


def raise_at(step: int, error: Exception) -> Steps:
    """Fail one step; the ones after it work, so cleaning up does."""

    def strike() -> None:
        raise error

    return Steps(step, strike)


def die_at(step: int) -> Steps:
    """Simulate a SIGKILL at a step: raise `Killed`, and let no later step happen."""
    steps = Steps(step)

    def strike() -> None:
        steps.dead = True
        raise Killed(f"at {steps.names[-1]}")

    steps.strike = strike
    return steps


def sigkill_at(step: int) -> Steps:
    """Kill this process for real at a step."""
    return Steps(step, lambda: os.kill(os.getpid(), signal.SIGKILL))


def every(names: Sequence[str]) -> list[int]:
    """Return all steps. There are hundreds, so tests that take them are slow."""
    return [*range(len(names))]


def distinct(names: Sequence[str]) -> list[int]:
    """Return the steps that differ: of equal ones in a row the first, a middle one and the last.

    Parquet's writer appends sixty times to a file that nobody sees yet.
    """
    taken, first = [], 0
    for _, equal in groupby(names):
        last = first + len([*equal]) - 1
        taken += sorted({first, (first + last) // 2, last})
        first = last + 1
    return taken


class FailingStore:
    """Wraps a store; see the module."""

    def __init__(self, store: Any, steps: Steps) -> None:
        self._store, self.steps = store, steps
        self.url = store.url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)  # everything that only reads

    def child(self, prefix: str) -> "FailingStore":
        return FailingStore(self._store.child(prefix), self.steps)

    def stage(self, key: str, *, sha256: bool = True) -> "_FailingStaged":
        self.steps.take(f"stage {key}")
        return _FailingStaged(self._store.stage(key, sha256=sha256), self.steps)

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        self.steps.take(f"write {key}")
        self._store.write(key, data, durable=durable)

    def write_new(self, key: str, data: bytes) -> bool:
        self.steps.take(f"write_new {key}")
        return self._store.write_new(key, data)

    def delete(self, key: str) -> None:
        self.steps.take(f"delete {key}")
        self._store.delete(key)

    def delete_tree(self, prefix: str) -> None:
        self.steps.take(f"delete_tree {prefix}")
        self._store.delete_tree(prefix)


class _FailingStaged:
    def __init__(self, staged: Any, steps: Steps) -> None:
        self._staged, self._steps = staged, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._staged, name)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        self._steps.take(f"append {self.key}")
        return self._staged.write(data)

    def writev(self, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        self._steps.take(f"append {self.key}")
        self._staged.writev(parts)

    def close(self) -> None:
        self._steps.take(f"close {self.key}")
        self._staged.close()

    def commit(self) -> None:
        self._steps.take(f"commit {self.key}")
        self._staged.commit()

    def discard(self) -> None:
        if self._steps.take(f"discard {self.key}"):
            self._staged.discard()

    def __enter__(self) -> "_FailingStaged":
        return self

    def __exit__(self, *exc: object) -> None:
        self.discard()
