"""The place of a loader in its epochs, and the small text that finds it again: on other machines, with other workers and ranks, after an upgrade."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataset_assets.errors import LoaderStateMismatch

VERSION = 1

#: What shapes the global batches -> how people call it. All of it is in a state, and has to be the same where it is loaded.
_SHAPING = {
    "data": "the shards",
    "mix": "the sources' weights, `keep` or `sample_weights`",
    "global_batch_size": "global_batch_size",
    "seed": "seed",
    "shuffle": "shuffle",
    "window_shards": "window_shards",
    "drop_last": "drop_last",
    "repeats": "repeats",
}


@dataclass(slots=True)
class Place:
    """Which epoch comes, and where in it.

    `taken` batches of `epoch` have been handed out; `start` is where the next iteration begins, unless a whole or broken off one came before it.
    """

    batches: int  # of an epoch
    epoch: int = 0
    start: int = 0
    taken: int = 0
    is_begun: bool = False

    def begin(self) -> tuple[int, int]:
        """Return (epoch, first batch) of an iteration: the rest of the epoch after `go_to`, the next epoch when something was taken from this."""
        if self.is_begun and self.taken:
            self.epoch += 1
        first = self.start
        self.start, self.taken, self.is_begun = 0, first, True
        return self.epoch, first

    def finish(self) -> None:
        """Note that all batches of the epoch were handed out."""
        self.go_to(self.epoch + 1, 0)

    def go_to(self, epoch: int, batch: int) -> None:
        """Make an iteration begin there."""
        self.epoch, self.start, self.taken, self.is_begun = epoch, batch, 0, False

    def set_epoch(self, epoch: int) -> None:
        """Make an epoch next, from its start unless `go_to` has said where."""
        self.go_to(epoch, self.start if epoch == self.epoch else 0)

    def reached(self) -> tuple[int, int]:
        """Return (epoch, batches handed out); the end of an epoch is the start of the next."""
        epoch, batch = self.epoch, self.taken if self.is_begun else self.start
        return (epoch + 1, 0) if batch >= self.batches else (epoch, batch)


def write_state(
    place: Place, shaping: Mapping[str, Any], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """Return the state: JSON types, under 1 KB. `sizes` (shards, samples) are there to explain a mismatch."""
    epoch, batches = place.reached()
    return {"version": VERSION, "epoch": epoch, "batches": batches, **sizes, **shaping}


def read_state(
    state: Mapping[str, Any], place: Place, shaping: Mapping[str, Any], sizes: Mapping[str, int]
) -> None:
    """Go to where a state was taken.

    Raises:
        LoaderStateMismatch: it is none, or belongs to other data or options.
    """
    if state.get("version") != VERSION:
        raise LoaderStateMismatch(
            f"expected the state of a loader, version {VERSION}, came {sorted(state)[:12]} of version {state.get('version')}"
        )
    for name, words in _SHAPING.items():
        if state.get(name) != shaping[name]:
            then, now = state.get(name), shaping[name]
            if name == "data":
                then, now = (
                    f"{each.get('samples')} samples in {each.get('shards')} shards, {digest}"
                    for each, digest in ((state, then), (sizes, now))
                )
            raise LoaderStateMismatch(
                f"{words} changed since the state was saved: {then} then, {now} now; load it with what it was saved with"
            )
    epoch, batches = state.get("epoch"), state.get("batches")
    if not (
        isinstance(epoch, int)
        and isinstance(batches, int)
        and epoch >= 0
        and 0 <= batches <= place.batches
    ):
        raise LoaderStateMismatch(
            f"epoch {epoch!r}, batch {batches!r}: expected a batch up to {place.batches}; the state is damaged"
        )
    if (
        batches == place.batches
    ):  # with other ranks an epoch may be a batch shorter, see `LoaderOptions.pad`
        epoch, batches = epoch + 1, 0
    place.go_to(epoch, batches)
