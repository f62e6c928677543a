"""The rows of a validation set, and which of them each rank gets.

Any number of rows works with any number of replicas: all get the same number of rows, and what was
added for that is marked. How files are read is the business of `training.validation`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from dataset_assets import checks


@dataclass(frozen=True, slots=True)
class ValidationSample:
    """One row. What it does not say is None."""

    caption: str
    image_path: str | None = None
    """Of the image to begin with: a path, or a URL."""
    video_path: str | None = None
    control_image_path: str | None = None
    control_video_path: str | None = None
    num_inference_steps: int | None = None
    height: int | None = None
    """In pixels."""
    width: int | None = None
    num_frames: int | None = None
    frame_rate: float | None = None
    """Frames a second."""
    columns: Mapping[str, object] = field(default_factory=dict)
    """Further columns of the file."""

    def to_dict(self) -> dict[str, Any]:
        """Return what the row says, and the caption as "prompt" too, as finetrainers has it."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        values = {**own.pop("columns"), **own, "prompt": self.caption}
        return {name: value for name, value in values.items() if value is not None}


class MissingFile(NamedTuple):
    """A file that a row names and that is not there."""

    row: int
    """From 0."""
    field: str
    path: str


class ValidationItem(NamedTuple):
    """A row for a replica."""

    row: int
    """From 0."""
    sample: ValidationSample
    is_padding: bool
    """Whether another replica has the row too: leave its result out."""


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """The rows of a file."""

    samples: tuple[ValidationSample, ...]
    missing: tuple[MissingFile, ...] = ()
    """Files that are not there; the samples lack their paths."""

    def for_rank(self, rank: int, *, dp: int = 1, tp: int = 1) -> tuple[ValidationItem, ...]:
        """Return the rows of a rank; every rank gets the same number.

        Replicas take turns. Ranks of one replica, which are neighbors, get the same rows. If rows
        do not go around, those from the start on are repeated as padding.

        Args:
            rank: of the process, from 0.
            dp: number of replicas of the model.
            tp: processes of a replica.

        Raises:
            ConfigurationError: a number is out of range.

        Example:
            >>> rows = ValidationSet((ValidationSample("A goat."),))
            >>> [item.is_padding for rank in (0, 1) for item in rows.for_rank(rank, dp=2)]
            [False, True]
        """
        checks.integer("dp", dp, 1)
        checks.integer("tp", tp, 1)
        checks.integer("rank", rank, 0, dp * tp - 1)
        count = len(self.samples)
        places = range(rank // tp, math.ceil(count / dp) * dp, dp)
        return tuple(
            ValidationItem(place % count, self.samples[place % count], place >= count)
            for place in places
        )
