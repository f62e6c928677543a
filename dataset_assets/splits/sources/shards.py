"""Shard sets as a source of archives: the successes that their manifests name, and nothing else that may lie in the folders.

Where the sidecar has an index, a payload is one range read. Sets in the layout of img2dataset have neither index nor manifest: their sample files are
read once to make the one, and their commit records stand for the other. Of a set in the format `parquet` one row group is held.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pyarrow as pa

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt, ShardIncomplete
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.shards import Manifest, ShardRecord
from dataset_assets.records.splits import SourceSample
from dataset_assets.records.staged import License
from dataset_assets.shards.commits import MANIFEST, list_records, read_manifest, stored_size
from dataset_assets.shards.naming import member_extension
from dataset_assets.shards.reading import metadata_file, read_samples
from dataset_assets.shards.sidecar import read_schema, read_table
from dataset_assets.shards.writer import index_names
from dataset_assets.splits._shard_columns import merge_columns, plain_value
from dataset_assets.splits._shard_payloads import PayloadReader, Place
from dataset_assets.splits.sources.files import IMAGES
from dataset_assets.staging.summary import read_staged
from dataset_assets.storage.store import Store

_INDEX = {"extension", "offset", "bytes"}


class _Set(NamedTuple):
    """One shard set."""

    store: Store
    shards: tuple[ShardRecord, ...]  # those with files
    license: License | None  # of the dataset that it was staged from


class ShardSource:
    """See `splits._base.Source`. Keys are those of the shards; of sets that use the same ones, those with the name of the set's folder before them.

    Raises:
        ObjectMissing: a folder is no shard set.
        ShardIncomplete: a shard is not what the manifest says.
        ConfigurationError: the sets do not go together, or hold no payloads.
    """

    kind = "shards"

    def __init__(self, folders: Sequence[Store]) -> None:
        if not folders:
            raise ConfigurationError(
                "shards: expected at least one folder with a shard set, came none"
            )
        sets = sorted(
            (_open_set(store) for store in folders), key=_content
        )  # never by place: a copy elsewhere gives the same
        self.columns = merge_columns(_schemas(sets))
        found = [list(_read_set(each, self.columns)) for each in sets]
        prefixes = _prefixes(sets, found)
        self._samples = sorted(
            (
                _prefixed(sample, prefix)
                for prefix, some in zip(prefixes, found, strict=True)
                for sample in some
            ),
            key=_key,
        )
        self.fingerprint = _fingerprint(prefixes, sets)
        #: The license of a set that must not be published.
        self.restriction = next(
            (each.license for each in sets if each.license and not each.license.redistributable),
            None,
        )
        self.media = (
            "image" if all(sample.parts[0] in IMAGES for sample in self._samples) else "file"
        )
        self._payloads = PayloadReader()

    def samples(self) -> Sequence[SourceSample]:
        """See `splits._base.Source`."""
        return self._samples

    def read(self, sample: SourceSample) -> list[bytes]:
        """See `splits._base.Source`."""
        return [self._payloads.read(sample.location)]


def _content(each: _Set) -> list[tuple[str, str]]:
    return [(shard.name, shard.fingerprint) for shard in each.shards]


def _key(sample: SourceSample) -> str:
    return sample.key


def _prefixed(sample: SourceSample, prefix: str) -> SourceSample:
    return (
        replace(sample, key=prefix + sample.key, group=prefix + sample.group) if prefix else sample
    )


def _prefixes(sets: Sequence[_Set], samples: Sequence[Sequence[SourceSample]]) -> list[str]:
    """Return what tells the keys of the sets apart. Nothing where they differ anyway, so that a set that is added later leaves the others alone."""
    keys = [sample.key for some in samples for sample in some]
    if len(set(keys)) == len(keys):
        return ["" for _ in sets]
    return [f"{name}/" for name in _distinct_names([each.store.url for each in sets])]


def _distinct_names(urls: Sequence[str]) -> list[str]:
    """Name each set after the last folder of its url that the others do not have in common.

    Raises:
        ConfigurationError: their folders do not tell them apart.
    """
    paths = [url.rstrip("/").split("/") for url in urls]
    while all(len(path) > 1 for path in paths) and len({path[-1] for path in paths}) == 1:
        paths = [path[:-1] for path in paths]
    names = [path[-1] for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"several shard sets with equal keys are called {', '.join(twice)}: their samples could not be told apart; rename the folders"
        )
    return names


def _open_set(store: Store) -> _Set:
    shards, staged_license = _shards(store)
    for shard in shards:
        for file in shard.files:
            if (size := stored_size(store, file)) != file.bytes:
                found = "is missing" if size is None else f"has {size} bytes, expected {file.bytes}"
                raise ShardIncomplete(
                    f"{store.locate(file.name)} {found}: run the download again to make it whole"
                )
        if shard.successes and not shard.files:
            raise ConfigurationError(
                f"{store.url}: the format 'dummy' keeps no payloads, so there is nothing to split; download in another one"
            )
    return _Set(store, tuple(shard for shard in shards if shard.files), staged_license)


def _shards(store: Store) -> tuple[Sequence[ShardRecord], License | None]:
    """Return the shards of a set, and the license under which it was staged."""
    try:
        manifest = read_manifest(store)
    except ObjectMissing as exc:
        if records := list_records(store):
            return records, None
        raise ObjectMissing(
            f"no shards in {store.url}: expected {MANIFEST}; run the download again to finish it"
        ) from exc
    return manifest.shards, _license(store, manifest)


def _license(store: Store, manifest: Manifest) -> License | None:
    if manifest.output_format == "objects":
        raise ConfigurationError(
            f"{store.url} was staged in layout 'objects', whose payloads are not in shards; stage it in layout 'shards'"
        )
    staged = read_staged(store, manifest)
    return staged.license if staged is not None else None


def _schemas(sets: Sequence[_Set]) -> Iterator[tuple[str, pa.Schema]]:
    """Yield the columns of every table of rows. In the format `parquet` the last one is the payload."""
    for each in sets:
        for shard in each.shards:
            if table := metadata_file(shard):
                schema = read_schema(each.store, table.name)
                schema = schema if len(shard.files) > 1 else schema.remove(len(schema) - 1)
                index = index_names(schema.names)  # those of parts too
                yield (
                    each.store.locate(table.name),
                    pa.schema([field for field in schema if field.name not in index]),
                )


def _fingerprint(prefixes: Sequence[str], sets: Sequence[_Set]) -> str:
    """Digest what the manifests say of every file. A folder of files has no hash: its shard's fingerprint and its size stand for it."""
    shards = [
        [
            prefix,
            shard.name,
            shard.fingerprint,
            [[file.name, file.bytes, file.sha256] for file in shard.files],
        ]
        for prefix, each in zip(prefixes, sets, strict=True)
        for shard in each.shards
    ]
    return hashlib.sha256(json.dumps(sorted(shards)).encode()).hexdigest()


def _read_set(each: _Set, kinds: dict[str, str]) -> Iterator[SourceSample]:
    for shard in each.shards:
        for values, place in _successes(each.store, shard, kinds):
            columns = {name: plain_value(values.get(name), kind) for name, kind in kinds.items()}
            yield SourceSample(
                place.key, place.key, place.bytes, (place.extension,), columns, place
            )


def _successes(
    store: Store, shard: ShardRecord, columns: dict[str, str]
) -> Iterator[tuple[dict[str, Any], Place]]:
    """Yield metadata and place of every sample of a shard."""
    table, file = metadata_file(shard), shard.files[0]
    if table is None:
        raise ShardCorrupt(f"{store.locate(shard.name)}: the shard has no table of its rows")
    names = set(read_schema(store, table.name).names)
    has_index = names >= _INDEX
    wanted = sorted(names & {"key", "status", *columns, *(_INDEX if has_index else ())})
    rows = enumerate(read_table(store, table.name, columns=wanted))
    successes = ((row, values) for row, values in rows if values["status"] == SUCCESS)
    places = _indexed(successes) if has_index else _searched(store, shard, successes)
    count = 0
    for values, extension, row, offset, size in places:
        count += 1
        yield values, Place(store, file, values["key"], extension, row, offset, size)
    if count != shard.successes:
        raise ShardCorrupt(
            f"{store.locate(table.name)}: {count} successes, expected {shard.successes}"
        )


_Row = tuple[int, dict[str, Any]]
_Found = tuple[dict[str, Any], str, int, int | None, int]  # metadata, extension, row, offset, bytes


def _indexed(successes: Iterator[_Row]) -> Iterator[_Found]:
    for row, values in successes:
        yield (
            values,
            member_extension(values["extension"] or ""),
            row,
            values["offset"],
            values["bytes"],
        )


def _searched(store: Store, shard: ShardRecord, successes: Iterator[_Row]) -> Iterator[_Found]:
    samples = read_samples(store, shard)
    for row, values in successes:
        sample = next(samples, None)
        if sample is None or sample.key != values["key"]:
            found = sample.key if sample else "missing"
            raise ShardCorrupt(
                f"{store.locate(shard.files[0].name)}: expected sample {values['key']}, but the next one is {found}"
            )
        yield values, sample.extension, row, sample.offset, len(sample.payload)
