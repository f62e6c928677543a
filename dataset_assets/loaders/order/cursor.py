"""Position of a loader in its epochs, and the small JSON state that restores it.

A state can be loaded on other machines, with other numbers of workers and ranks, and after an
upgrade.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataset_assets.errors import LoaderStateMismatch

VERSION = 1

#: What shapes the global batches -> its name in messages. A state holds all of it, and it must be
#: the same where the state is loaded.
_SHAPING = {
    "data": "the shards",
    "mix": "the sources' weights, `keep`, `sample_weights` or `groups`",
    "global_batch_size": "global_batch_size",
    "seed": "seed",
    "shuffle": "shuffle",
    "window_shards": "window_shards",
    "drop_last": "drop_last",
    "repeats": "repeats",
}


@dataclass(slots=True)
class EpochCursor:
    """The epoch that is iterated, and the position in it."""

    batches: Callable[[int], int]
    """Epoch -> its batches."""
    epoch: int = 0
    start: int = 0
    """Batch at which the next iteration starts, unless an iteration was in progress."""
    taken: int = 0
    """Batches of `epoch` that have been handed out."""
    is_started: bool = False

    def begin(self) -> tuple[int, int]:
        """Return (epoch, first batch) of an iteration.

        It is the rest of the epoch after `seek`, and the next epoch if batches of this one were
        handed out.
        """
        if self.is_started and self.taken:
            self.epoch += 1
        first = self.start
        self.start = 0
        self.taken = first
        self.is_started = True
        return self.epoch, first

    def finish(self) -> None:
        """Note that all batches of the epoch were handed out."""
        self.seek(self.epoch + 1, 0)

    def seek(self, epoch: int, batch: int) -> None:
        """Make the next iteration start there."""
        self.epoch = epoch
        self.start = batch
        self.taken = 0
        self.is_started = False

    def set_epoch(self, epoch: int) -> None:
        """Make an epoch next; from its start unless `seek` gave a batch of the same epoch."""
        self.seek(epoch, self.start if epoch == self.epoch else 0)

    def position(self) -> tuple[int, int]:
        """Return (epoch, batches handed out); the end of an epoch is the start of the next."""
        batch = self.taken if self.is_started else self.start
        return (self.epoch + 1, 0) if batch >= self.batches(self.epoch) else (self.epoch, batch)


def write_state(
    cursor: EpochCursor, shaping: Mapping[str, Any], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Return the state: JSON types, less than 1 KB.

    Args:
        cursor: the position.
        shaping: all that shapes the global batches.
        sizes: numbers of shards and samples, which explain a mismatch.
    """
    epoch, batches = cursor.position()
    return {"version": VERSION, "epoch": epoch, "batches": batches, **sizes, **shaping}


def read_state(
    state: Mapping[str, Any],
    cursor: EpochCursor,
    shaping: Mapping[str, Any],
    sizes: Mapping[str, int],
    longest: Callable[[int], int],
) -> None:
    """Move a cursor to where a state was saved.

    Args:
        state: the state.
        cursor: what to move.
        shaping: as for `write_state`.
        sizes: as for `write_state`.
        longest: epoch -> its batches with any number of ranks.

    Raises:
        LoaderStateMismatch: it is not a state, or belongs to other data or options.
    """
    if state.get("version") != VERSION:
        raise LoaderStateMismatch(
            f"expected the state of a loader, version {VERSION}, got {sorted(state)[:12]} of "
            f"version {state.get('version')}"
        )
    for name, text in _SHAPING.items():
        if state.get(name) != shaping[name]:
            then = state.get(name)
            now = shaping[name]
            if name == "data":
                then = _data_text(state, then)
                now = _data_text(sizes, now)
            raise LoaderStateMismatch(
                f"{text} changed since the state was saved: {then} then, {now} now; load it with "
                "the same data and options"
            )
    epoch = state.get("epoch")
    batches = state.get("batches")
    if not isinstance(epoch, int) or epoch < 0:
        raise LoaderStateMismatch(
            f"epoch {epoch!r}: expected a number of at least 0; the state is damaged"
        )
    if not isinstance(batches, int) or not 0 <= batches <= longest(epoch):
        raise LoaderStateMismatch(
            f"epoch {epoch}, batch {batches!r}: expected a batch up to {longest(epoch)}; "
            "the state is damaged"
        )
    # with other ranks an epoch may be shorter, see `LoaderOptions.pad`
    if batches >= cursor.batches(epoch):
        cursor.seek(epoch + 1, 0)
    else:
        cursor.seek(epoch, batches)


def _data_text(sizes: Mapping[str, Any], digest: Any) -> str:
    return f"{sizes.get('samples')} samples in {sizes.get('shards')} shards, {digest}"
