"""Shard sets of this package, in any of their formats: the successes that their manifests name."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from dataset_assets.errors import ObjectMissing, UnreadableSource
from dataset_assets.records.splits import SourceSample
from dataset_assets.records.training import MediaSample, TableCell
from dataset_assets.shards.commits import (
    MANIFEST,
    RECORD_SUFFIX,
    list_records,
    read_manifest,
)
from dataset_assets.shards.sidecar import read_schema
from dataset_assets.splits.sources.shards import SplitSource, shard_sets
from dataset_assets.splits.versions import CURRENT
from dataset_assets.storage.store import Store
from dataset_assets.training.caption_columns import is_caption, split_columns
from dataset_assets.training.layout import CAPTION, Claim, LeftOut, SourceOptions
from dataset_assets.training.layouts.split import published_split
from dataset_assets.training.media import medium_of
from dataset_assets.training.places import Place


class Layout:
    """Reads shard sets."""

    is_exclusive: ClassVar[bool] = True

    @staticmethod
    def claim(place: Place) -> Claim | None:
        sets = shard_sets(place.store)
        if not sets or _is_split(place):
            return None
        names = ", ".join(each.url for each in sets)
        return Claim(f"the shard sets {names}", _files_of(place, sets))

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        if not shard_sets(place.store):
            raise UnreadableSource(
                f"{place.url}: expected a shard set, got no manifest.json; correct the path"
            )
        source = SplitSource.open([place.store])
        for sample in source.samples():
            if not options.wants(medium_of(sample.parts[0])):
                continue
            captions = [name for name in sample.columns if is_caption(name, options)]
            texts, columns = split_columns(sample.columns, captions)
            if texts:
                yield _described(sample, texts, columns)
            else:
                left_out.add(CAPTION, sample.key)


def _files_of(place: Place, sets: Sequence[Store]) -> frozenset[str]:
    """Return the files that sets name, with their records."""
    found: set[str] = set()
    for store in sets:
        folder = store.url.removeprefix(place.url).strip("/")
        if folder:  # whatever lies there belongs to the set
            found |= {key for key in place.files if key.startswith(f"{folder}/")}
            continue
        named = _names(store)
        found |= {key for key in place.files if key in named or key.endswith(RECORD_SUFFIX)}
        found |= {key for key in place.files if key.partition("/")[0] in named}  # folders of files
    return frozenset(found)


def _names(store: Store) -> set[str]:
    try:
        manifest = read_manifest(store)
    except ObjectMissing:  # a set in the layout of img2dataset
        return {file.name for record in list_records(store) for file in record.files}
    files = [file for record in manifest.shards for file in record.files]
    return {MANIFEST, *(file.name for file in (*files, *manifest.extra_files))}


def _is_split(place: Place) -> bool:
    return CURRENT in place.files or published_split(place) is not None


def _described(
    sample: SourceSample, texts: dict[str, str], columns: dict[str, object]
) -> MediaSample:
    """Say where the payload of a sample lies: in a tar, in a table, or in a file of its own."""
    location = sample.location
    store, file = location.store, location.file
    suffix = sample.parts[0]
    url = store.locate(file.name)
    cell = None
    if location.offset is None and file.sha256 is None:
        url = store.locate(f"{file.name}/{location.key}.{location.extension}")
    elif location.offset is None:
        cell = TableCell(read_schema(store, file.name).names[-1], location.row)
    return MediaSample(
        sample.key,
        medium_of(suffix),
        url,
        suffix,
        size=location.bytes,
        offset=location.offset,
        cell=cell,
        captions=texts,
        columns=columns,
    )
