"""What all layouts of training sets share: options, claims, and what is left out and why.

A layout is a module in `layouts/` with a class `Layout`; its name is the name that a user types.
Layouts know neither where a place is nor how to decode: any layout works in any place for any
medium.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol

from dataset_assets import checks, registry
from dataset_assets.errors import UnreadableSource
from dataset_assets.records.training import MEDIA, MediaSample
from dataset_assets.training.media import medium_of, suffix_of
from dataset_assets.training.places import Place

INCOMPLETE = ("error", "skip")
_MAX_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Options of how a training set is read, validated on construction.

    Raises:
        ConfigurationError: a value is invalid.

    Example:
        >>> SourceOptions(layout="pairs", medium="video").incomplete
        'error'
    """

    layout: str = "auto"
    """`auto`, or a layout: `two_file`, `pairs`, `folder`, `webdataset`, `parquet`, `shards`,
    `split`."""
    medium: str = "auto"
    """`image`, `video`, or `auto` for what is there, if it is only one of them."""
    caption_columns: tuple[str, ...] = ()
    """Columns with captions. (): those with common names, such as caption, text and prompt."""
    payload_column: str | None = None
    """Column, or suffix in a tar, of the image or video, or of its file name. None: found by
    name."""
    split: str = "train"
    """Which files to read where names say train, validation or test."""
    incomplete: str = "error"
    """What to do with samples without a caption or without a file: `error`, or `skip` and count."""
    subfolders: bool | None = None
    """Whether caption pairs in subfolders belong to the set. None: an error if there are some."""
    metadata_file: str | None = None
    """The metadata file of a folder that has several."""
    revision: str | None = None
    """Branch, tag or commit of a repository on the Hub. None: the newest of the main branch."""

    def __post_init__(self) -> None:
        if self.layout != "auto":
            registry.check("training_layout", self.layout)
        checks.one_of("medium", self.medium, ("auto", *MEDIA))
        object.__setattr__(
            self, "caption_columns", checks.texts("caption_columns", self.caption_columns)
        )
        checks.text("split", self.split)
        checks.one_of("incomplete", self.incomplete, INCOMPLETE)
        if self.subfolders is not None:
            checks.boolean("subfolders", self.subfolders)
        for name in ("payload_column", "metadata_file", "revision"):
            if getattr(self, name) is not None:
                checks.text(name, getattr(self, name))

    def wants(self, medium: str) -> bool:
        """Tell whether samples of a medium are read; "" is no medium."""
        return bool(medium) and self.medium in ("auto", medium)


class Claim(NamedTuple):
    """Why a place may have a layout."""

    because: str
    """What was seen, for people: "prompt.txt and videos.txt"."""
    files: frozenset[str]
    """Keys of the files that the layout explains."""


@dataclass
class LeftOut:
    """What was left out of a source: reason -> names. One error for all of them, unless skipped."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, expected: str, name: str) -> None:
        """Note a sample that is not complete.

        Args:
            expected: what it lacks: "a caption for each image and video".
            name: its name in the source.
        """
        self.names.setdefault(expected, []).append(name)

    @property
    def counts(self) -> dict[str, int]:
        """Expectation -> how many samples did not meet it."""
        return {expected: len(names) for expected, names in self.names.items()}

    def describe(self) -> str:
        """Describe all problems in one line."""
        parts = []
        for expected, names in self.names.items():
            parts.append(f"expected {expected}, got none for {len(names)} ({some(names)})")
        return "; ".join(parts)


#: What samples may lack.
CAPTION = "a caption for each image and video"
PAYLOAD_FILE = "a file for each name in a list"
PAYLOAD = "an image or video for each caption"


class Layout(Protocol):
    """How the files of a place make samples. Has no state."""

    is_exclusive: ClassVar[bool]
    """Whether files that it explains belong to it alone, because this package wrote them."""

    @staticmethod
    def claim(place: Place) -> Claim | None:
        """Return what speaks for this layout; None when nothing does."""

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        """Yield the samples, in the order of the source. Keys may occur in several files.

        Raises:
            UnreadableSource, MissingColumn: the files are not of this layout.
        """


def some(names: Iterable[str]) -> str:
    """Show the first few names."""
    names = list(names)
    shown = ", ".join(names[:_MAX_SHOWN])
    return f"{shown}, ..." if len(names) > _MAX_SHOWN else shown


def payload_files(keys: Iterable[str]) -> list[str]:
    """Return the keys of images and videos."""
    return [key for key in keys if medium_of(suffix_of(key))]


def file_sample(
    place: Place,
    key: str,
    name: str,
    captions: Mapping[str, str],
    columns: Mapping[str, object] | None = None,
) -> MediaSample:
    """Return a sample whose payload is a file of the place.

    Args:
        place: where the file is.
        key: of the file in its store.
        name: key of the sample.
        captions: its captions.
        columns: its other columns.
    """
    suffix = suffix_of(key)
    return MediaSample(
        name,
        medium_of(suffix),
        place.store.locate(key),
        suffix,
        size=place.files[key].bytes,
        captions=captions,
        columns=columns or {},
    )


def named_split(place: Place, keys: Iterable[str], split: str) -> list[str]:
    """Return the files of a split, by words in their names: `data/train-00000-of-00001.parquet`.

    Without such words in any name, all files are of every split.

    Raises:
        UnreadableSource: names have such words, but none that means this split.
    """
    by_split: dict[str, list[str]] = {}
    for key in keys:
        by_split.setdefault(_split_in(key), []).append(key)
    if set(by_split) <= {""}:
        return by_split.get("", [])
    wanted = _SPLITS.get(split, split)
    if wanted not in by_split or by_split.get(""):
        got = "; ".join(f"{name or 'none'}: {some(by_split[name])}" for name in sorted(by_split))
        raise UnreadableSource(
            f"{place.url}: expected files whose names say that they are of the split {split!r}, "
            f"got {got}; set split, or rename the files"
        )
    return by_split[wanted]


_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def _split_in(key: str) -> str:
    words = "".join(letter if letter.isalpha() else " " for letter in key.lower()).split()
    found = {_SPLITS[word] for word in words if word in _SPLITS}
    return found.pop() if len(found) == 1 else ""
