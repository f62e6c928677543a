"""One split of a split dataset of this package: its current version, or a published one.

Archives without compression are read in place; without them, the tables.
"""

from collections.abc import Iterator
from typing import ClassVar

from dataset_assets.errors import UnreadableSource
from dataset_assets.records.splits import SplitManifest
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.records.training import MediaSample
from dataset_assets.splits.versions import ASSIGNMENT, CURRENT, MANIFEST, folder_of, load_split
from dataset_assets.training.layout import Claim, LeftOut, SourceOptions
from dataset_assets.training.layouts.parquet import table_samples
from dataset_assets.training.layouts.webdataset import tar_samples
from dataset_assets.training.places import Place


class Layout:
    """Reads a split."""

    is_exclusive: ClassVar[bool] = True

    @staticmethod
    def claim(place: Place) -> Claim | None:
        if CURRENT in place.files:
            own = (key for key in place.files if key == CURRENT or key.startswith("versions/"))
            return Claim(CURRENT, frozenset(own))
        manifest = published_split(place)
        if manifest is None:
            return None
        names = {MANIFEST, ASSIGNMENT, *(file.name for file in manifest.files)}
        return Claim(f"the {MANIFEST} of a published split", frozenset(names & set(place.files)))

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        manifest, folder = _version(place)
        _check(place, manifest, options)
        names = [file.name for file in manifest.files if file.split == options.split]
        tars = [f"{folder}{name}" for name in names if name.endswith(".tar")]
        tables = [f"{folder}{name}" for name in names if name.endswith(".parquet")]
        if tars:
            yield from tar_samples(place, tars, options, left_out)
        elif tables:
            yield from table_samples(place, tables, options, left_out)
        else:
            raise UnreadableSource(
                f"{place.url}: expected archives without compression or tables of the split "
                f"{options.split!r}, got {', '.join(names) or 'no files'}; split again with "
                "compression 'none'"
            )


def published_split(place: Place) -> SplitManifest | None:
    """Return the manifest of a version at the top of a place; None if it is something else."""
    return read_or_none(place.store.read, MANIFEST, SplitManifest.from_json)


def _version(place: Place) -> tuple[SplitManifest, str]:
    """Return the manifest, and the prefix of the keys of its files."""
    if CURRENT in place.files:
        manifest = load_split(place.store)
        folder = folder_of(place.store, manifest.version).url.removeprefix(place.url).strip("/")
        return manifest, f"{folder}/"
    published = published_split(place)
    if published is None:
        raise UnreadableSource(
            f"{place.url}: expected a split, got neither {CURRENT} nor its {MANIFEST}; correct "
            "the path"
        )
    return published, ""


def _check(place: Place, manifest: SplitManifest, options: SourceOptions) -> None:
    if options.split not in manifest.splits:
        raise UnreadableSource(
            f"{place.url}: expected one of the splits {', '.join(manifest.splits)}, got "
            f"{options.split!r}; set split to one of them"
        )
    if manifest.media == "frames":
        raise UnreadableSource(
            f"{place.url}: expected a split of images or of video files, got videos as folders of "
            "frames; encode them as video files and split again"
        )
