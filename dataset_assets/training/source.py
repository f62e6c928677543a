"""Opens a training set: finds its layout and medium, lists its samples, says what it took and why.

A place with two layouts, or with images and videos, is refused, with the option that decides.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from dataset_assets import registry
from dataset_assets.errors import EmptyList, UnreadableSource
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.training import MediaSample
from dataset_assets.training.layout import (
    Claim,
    Layout,
    LeftOut,
    SourceOptions,
    payload_files,
    some,
)
from dataset_assets.training.media import suffix_of
from dataset_assets.training.places import Place, open_place

logger = logging.getLogger(__name__)

_EXPECTED = (
    "captions.txt with images.txt or videos.txt (two_file), text files beside images or videos "
    "(pairs), metadata.csv, .json, .jsonl or .parquet (folder), tars (webdataset), Parquet files "
    "(parquet), or a shard set or split of this package"
)
#: Suffix of a file that is opened itself -> layout.
_LAYOUT_OF_FILE = {
    **dict.fromkeys(("csv", "json", "jsonl", "arrow"), "folder"),
    "parquet": "parquet",
    "tar": "webdataset",
}


@dataclass(frozen=True, slots=True)
class TrainingSource:
    """An opened training set."""

    url: str
    """Where it is; a repository on the Hub with the commit that was opened."""
    layout: str
    """Name of the layout."""
    medium: str
    """"image" or "video"."""
    because: str
    """What spoke for the layout."""
    samples: tuple[MediaSample, ...]
    """In the order of the source, with distinct keys."""
    skipped: Mapping[str, int]
    """What samples that were left out lacked -> how many of them."""
    fingerprint: str
    """Hex digest that changes with the options and with the files of the place."""


def open_training_source(url: str, options: SourceOptions | None = None) -> TrainingSource:
    """Open a training set of any layout, in any place, of images or videos.

    Args:
        url: a folder, a URL of a store (`s3://...`), a repository on the Hub (`org/name` or
            `hf://datasets/org/name`), or a shard set or split of this package; or one file in such
            a place: a tar, a Parquet file, or a list of samples as csv, json, jsonl or arrow.
        options: how to read it; None is the defaults, which look at everything.

    Raises:
        ConfigurationError: an option does not fit.
        ObjectMissing: there are no files.
        UnreadableSource: the place has no layout, or several, or both media, or its files are not
            as the layout asks; or samples are incomplete.
        MissingColumn: a table has no column of captions, or of images or videos.
        EmptyList: there are no samples.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.jpg").write_bytes(b"...")
        >>> _ = (folder / "a.txt").write_text("A goat.")
        >>> source = open_training_source(str(folder))
        >>> source.layout, source.medium, source.samples[0].captions
        ('pairs', 'image', {'caption': 'A goat.'})
    """
    options = options or SourceOptions()
    place = open_place(url, options.revision)
    if place.file:
        place, options = _only_file(place, options)
    name, because = _layout(place, options)
    layout: type[Layout] = registry.load("training_layout", name)
    left_out = LeftOut()
    samples = tuple(_distinct(layout.samples(place, options, left_out), place.url))
    _check_complete(place, options, left_out)
    medium = _medium(place, samples, options)
    logger.info("%s: layout %s, because of %s; %d samples", place.url, name, because, len(samples))
    chosen = {**asdict(options), "layout": name, "revision": None}  # files tell of the revision
    return TrainingSource(
        place.url,
        name,
        medium,
        because,
        samples,
        left_out.counts,
        fingerprint_of([chosen, place.fingerprint()]),
    )


def _only_file(place: Place, options: SourceOptions) -> tuple[Place, SourceOptions]:
    """Return what reads one file: its folder without other lists, and the layout.

    Raises:
        UnreadableSource: the file is of no format that lists samples.
    """
    layout = _LAYOUT_OF_FILE.get(suffix_of(place.file))
    if layout is None or options.layout not in ("auto", layout):
        raise UnreadableSource(
            f"{place.store.locate(place.file)}: expected a folder, or a file of the formats "
            f"{', '.join(_LAYOUT_OF_FILE)} in its layout, got another file; give the folder"
        )
    wanted = {place.file, *payload_files(place.files)}
    files = {key: info for key, info in place.files.items() if key in wanted}
    metadata_file = place.file if layout == "folder" else None
    chosen = replace(options, layout=layout, metadata_file=metadata_file)
    return replace(place, files=files), chosen


def _layout(place: Place, options: SourceOptions) -> tuple[str, str]:
    """Return the layout of a place, and why.

    Raises:
        UnreadableSource: there is none, or there are several.
    """
    if options.layout != "auto":
        return options.layout, f"the file {place.file}" if place.file else "the option layout"
    claims = _claims(place)
    if not claims:
        raise UnreadableSource(
            f"{place.url}: expected {_EXPECTED}, got {len(place.files)} other files "
            f"({some(place.files)}); add captions, or set layout"
        )
    if len(claims) > 1:
        got = " and ".join(f"{name} ({claim.because})" for name, claim in claims.items())
        names = " or ".join(repr(name) for name in claims)
        raise UnreadableSource(
            f"{place.url}: expected one layout, got {got}; set layout to {names}, or move the "
            "other files"
        )
    return next((name, claim.because) for name, claim in claims.items())


def _claims(place: Place) -> dict[str, Claim]:
    """Return layout -> what speaks for it, without those that see only files of a set of ours."""
    layouts = {name: registry.load("training_layout", name) for name in _names()}
    found = {name: layout.claim(place) for name, layout in layouts.items()}
    claims = {name: claim for name, claim in found.items() if claim is not None}
    exclusive = [name for name in claims if layouts[name].is_exclusive]
    owned = frozenset[str]().union(*(claims[name].files for name in exclusive))
    return {
        name: claim
        for name, claim in claims.items()
        if name in exclusive or not claim.files <= owned
    }


def _names() -> tuple[str, ...]:
    return registry.names("training_layout")


def _distinct(samples: Iterable[MediaSample], url: str) -> Iterator[MediaSample]:
    """Make keys distinct: a payload that is listed again gets the keys "a~2", "a~3" ...

    Raises:
        UnreadableSource: two payloads have one key.
    """
    seen: dict[str, list[MediaSample]] = {}
    for sample in samples:
        same = seen.setdefault(sample.key, [])
        same.append(sample)
        if _payload(same[0]) != _payload(sample):
            raise UnreadableSource(
                f"{url}: expected distinct names without suffixes, got {same[0].url} and "
                f"{sample.url} for {sample.key}; rename one of them"
            )
        yield sample if len(same) == 1 else replace(sample, key=f"{sample.key}~{len(same)}")


def _payload(sample: MediaSample) -> tuple[object, ...]:
    return sample.url, sample.offset, sample.cell


def _check_complete(place: Place, options: SourceOptions, left_out: LeftOut) -> None:
    if not left_out.names:
        return
    if options.incomplete == "error":
        raise UnreadableSource(
            f"{place.url}: {left_out.describe()}; add what is missing, or set incomplete to 'skip'"
        )
    logger.warning("%s: samples were left out: %s", place.url, left_out.describe())


def _medium(place: Place, samples: tuple[MediaSample, ...], options: SourceOptions) -> str:
    by_medium = {sample.medium: sample for sample in reversed(samples)}
    if not samples:
        wanted = "images or videos" if options.medium == "auto" else f"{options.medium}s"
        raise EmptyList(
            f"{place.url}: expected {wanted}, got none; correct the path, or the options medium "
            "and split"
        )
    if len(by_medium) > 1:
        got = " and ".join(f"{medium}s ({each.key})" for medium, each in sorted(by_medium.items()))
        raise UnreadableSource(
            f"{place.url}: expected images or videos, got {got}; set medium to 'image' or 'video'"
        )
    return samples[0].medium
