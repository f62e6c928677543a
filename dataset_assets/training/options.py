"""Options of a training set: buckets, reshaping, short videos and captions of its samples."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.training.buckets import Bucket, default_buckets, parse_buckets
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.frames import SHORT_VIDEOS
from dataset_assets.training.reshape import RESHAPE_MODES


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOptions:
    """Options for the samples of a dataset, validated on construction.

    Raises:
        ConfigurationError: a value is invalid.

    Example:
        >>> options = SampleOptions(image_resolution_buckets=[[512, 512], [512, 768]])
        >>> options.buckets("image")[1]
        Bucket(frames=1, height=512, width=768)
    """

    image_resolution_buckets: tuple[tuple[int, ...], ...] | None = None
    """Sizes (height, width) of images. None: 12 x 12 sides from 256 to 1536."""
    video_resolution_buckets: tuple[tuple[int, ...], ...] | None = None
    """Sizes (frames, height, width) of videos. None: those sides, with 49 frames."""
    reshape_mode: str = "bicubic"
    """How samples get the size of their bucket: "bicubic" (both sides scaled), "resize_crop",
    "center_crop" or "random_crop"."""
    upscale: bool = True
    """Whether samples may be enlarged. False: those that fill no bucket are left out."""
    short_videos: str = "repeat"
    """For videos with fewer frames than any bucket: "repeat", "pad" with the last frame, "drop"."""
    captions: CaptionOptions = field(default_factory=CaptionOptions)
    """Options of their captions."""
    seed: int = 0
    """Seed of the choice of captions and of random crops."""

    def __post_init__(self) -> None:
        self._set_buckets("image_resolution_buckets", "image")
        self._set_buckets("video_resolution_buckets", "video")
        checks.one_of("reshape_mode", self.reshape_mode, RESHAPE_MODES)
        checks.one_of("short_videos", self.short_videos, SHORT_VIDEOS)
        checks.boolean("upscale", self.upscale)
        checks.integer("seed", self.seed, 0)
        if not isinstance(self.captions, CaptionOptions):
            raise ConfigurationError(f"captions: expected CaptionOptions, got {self.captions!r}")

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; `from_json` makes equal options of them."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Make options of what `to_json` returned.

        Raises:
            ConfigurationError: a value is invalid, or an option is unknown.
        """
        known = {each.name for each in fields(cls)}
        checks.some_of("options of samples", list(values), known)
        captions = values.get("captions", {})
        if not isinstance(captions, Mapping):
            raise ConfigurationError(f"captions: expected an object, got {captions!r}")
        known = {each.name for each in fields(CaptionOptions)}
        checks.some_of("options of captions", list(captions), known)
        return cls(**{**values, "captions": CaptionOptions(**captions)})

    def _set_buckets(self, name: str, medium: str) -> None:
        """Make tuples of lists, so that equal options are equal."""
        if getattr(self, name) is None:
            return
        first = 0 if medium == "video" else 1
        sizes = tuple(bucket[first:] for bucket in parse_buckets(name, getattr(self, name), medium))
        object.__setattr__(self, name, sizes)

    def buckets(self, medium: str) -> tuple[Bucket, ...]:
        """Return the buckets of a medium, "image" or "video"."""
        given = {"image": self.image_resolution_buckets, "video": self.video_resolution_buckets}
        if given.get(medium) is None:
            return default_buckets(medium)
        return parse_buckets(f"{medium}_resolution_buckets", given[medium], medium)
