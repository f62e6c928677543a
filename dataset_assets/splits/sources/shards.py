"""Shard sets as a source: the successes that their manifests name, and no other file.

If the sidecar has an index, a payload is one range read. Sets in the layout of img2dataset have
neither index nor manifest: their sample files are read once to build the index, and their commit
records replace the manifest. Of a set in the format `parquet`, one row group is in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Self

import pyarrow as pa

from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt, ShardIncomplete
from dataset_assets.records.causes import SUCCESS
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import Manifest, ShardFile, ShardRecord
from dataset_assets.records.splits import SourceSample
from dataset_assets.records.staged import License
from dataset_assets.shards.commits import (
    MANIFEST,
    RECORD_SUFFIX,
    list_records,
    read_manifest,
    stored_size,
)
from dataset_assets.shards.naming import member_extension
from dataset_assets.shards.reading import metadata_file, read_samples
from dataset_assets.shards.sidecar import read_schema, read_table
from dataset_assets.shards.writer import index_names
from dataset_assets.splits._shard_columns import merge_columns, plain_value
from dataset_assets.splits._shard_payloads import PayloadLocation, PayloadReader, check_content
from dataset_assets.splits.source import media_of
from dataset_assets.staging.summary import read_staged
from dataset_assets.storage.store import Store

_INDEX = {"extension", "offset", "bytes"}


class _ShardSet(NamedTuple):
    """One shard set."""

    store: Store
    shards: tuple[ShardRecord, ...]
    """The shards that have files."""
    license: License | None
    """License of the dataset that the set was staged from."""


class SplitSource:
    """Shard sets. Keys are those of the shards.

    If sets share keys, the key of each sample begins with the name of the folder of its set.
    """

    kind = "shards"
    options_class: ClassVar[type | None] = None
    detection_rank: ClassVar[int] = 0

    def __init__(self, folders: Sequence[Store]) -> None:
        """List the samples of shard sets.

        Raises:
            ObjectMissing: a folder is not a shard set.
            ShardIncomplete: a shard disagrees with the manifest.
            ConfigurationError: the sets cannot be combined, or hold no payloads.
        """
        if not folders:
            raise ConfigurationError(
                "shards: expected at least one folder with a shard set, got none"
            )
        # Sorted by content, not by place: a copy elsewhere gives the same result.
        sets = sorted((_open_set(store) for store in folders), key=_content)
        self.columns = merge_columns(_schemas(sets))
        samples_by_set = [list(_read_set(each, self.columns)) for each in sets]
        prefixes = _prefixes(sets, samples_by_set)
        samples = [
            _with_prefix(sample, prefix)
            for prefix, samples_of_set in zip(prefixes, samples_by_set, strict=True)
            for sample in samples_of_set
        ]
        self._samples = sorted(samples, key=lambda sample: sample.key)
        self.fingerprint = _fingerprint(prefixes, sets)
        self.restriction = _restriction(sets)
        self.media = media_of({sample.parts[0] for sample in samples})
        self._payloads = PayloadReader()

    @staticmethod
    def detect(store: Store) -> bool:
        """Tell whether a folder is a shard set, or holds some."""
        return bool(shard_sets(store))

    @classmethod
    def open(cls, stores: Sequence[Store], options: None = None) -> Self:
        """Open folders that are shard sets, or hold some."""
        del options
        return cls([each for store in stores for each in shard_sets(store) or [store]])

    def samples(self) -> Sequence[SourceSample]:
        return self._samples

    def read(self, sample: SourceSample) -> list[bytes]:
        return [self._payloads.read(sample.location)]


def shard_sets(store: Store) -> list[Store]:
    """Return a folder that is a shard set, or the shard sets right below it, sorted by name."""
    for info in store.list("", recursive=False):
        if info.key.endswith((MANIFEST, RECORD_SUFFIX)):
            return [store]
    paths = (info.key.split("/") for info in store.list())
    return [store.child(path[0]) for path in paths if len(path) == 2 and path[1] == MANIFEST]


def _content(each: _ShardSet) -> list[tuple[str, str]]:
    return [(shard.name, shard.fingerprint) for shard in each.shards]


def _restriction(sets: Sequence[_ShardSet]) -> License | None:
    for each in sets:
        if each.license and not each.license.redistributable:
            return each.license
    return None


def _with_prefix(sample: SourceSample, prefix: str) -> SourceSample:
    if not prefix:
        return sample
    return replace(sample, key=prefix + sample.key, group=prefix + sample.group)


def _prefixes(
    sets: Sequence[_ShardSet], samples_by_set: Sequence[Sequence[SourceSample]]
) -> list[str]:
    """Return what makes the keys of the sets distinct.

    Nothing where they are distinct already, so that adding a set leaves the others unchanged.
    """
    keys = [sample.key for samples in samples_by_set for sample in samples]
    if len(set(keys)) == len(keys):
        return ["" for _ in sets]
    return [f"{name}/" for name in _distinct_names([each.store.url for each in sets])]


def _distinct_names(urls: Sequence[str]) -> list[str]:
    """Name each set after the last folder of its URL that differs from that of another set.

    Raises:
        ConfigurationError: two sets get the same name.
    """
    paths = [url.rstrip("/").split("/") for url in urls]
    while all(len(path) > 1 for path in paths) and len({path[-1] for path in paths}) == 1:
        paths = [path[:-1] for path in paths]
    names = [path[-1] for path in paths]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigurationError(
            "shards: expected folders of distinct names for shard sets that share keys, got "
            f"several called {', '.join(repeated)}; rename the folders"
        )
    return names


def _open_set(store: Store) -> _ShardSet:
    shards, license_ = _shards(store)
    for shard in shards:
        for file in shard.files:
            _check_size(store, file)
        if shard.successes and not shard.files:
            raise ConfigurationError(
                f"{store.url}: expected shards with payloads, got the format 'dummy', which keeps "
                "none; download in another format"
            )
    return _ShardSet(store, tuple(shard for shard in shards if shard.files), license_)


def _check_size(store: Store, file: ShardFile) -> None:
    size = stored_size(store, file)
    if size == file.bytes:
        return
    found = "is missing" if size is None else f"has {size} bytes, expected {file.bytes}"
    raise ShardIncomplete(
        f"{store.locate(file.name)} {found}; run the download again to complete it"
    )


def _shards(store: Store) -> tuple[Sequence[ShardRecord], License | None]:
    """Return the shards of a set, and the license under which it was staged."""
    try:
        manifest = read_manifest(store)
    except ObjectMissing as exc:
        if records := list_records(store, with_files=False):
            return records, None
        raise ObjectMissing(
            f"no shards in {store.url}: expected {MANIFEST}; run the download again to complete it"
        ) from exc
    return manifest.shards, _license(store, manifest)


def _license(store: Store, manifest: Manifest) -> License | None:
    if manifest.output_format == "objects":
        raise ConfigurationError(
            f"{store.url}: expected a set staged in layout 'shards', got layout 'objects', whose "
            "payloads are not in shards; stage it in layout 'shards'"
        )
    staged = read_staged(store, manifest)
    return staged.license if staged is not None else None


def _schemas(sets: Sequence[_ShardSet]) -> Iterator[tuple[str, pa.Schema]]:
    """Yield address and metadata columns of every table of rows."""
    for each in sets:
        for shard in each.shards:
            if table := metadata_file(shard):
                schema = read_schema(each.store, table.name)
                if len(shard.files) == 1:
                    schema = schema.remove(len(schema) - 1)  # the payload of the format `parquet`
                index = index_names(schema.names)
                metadata = pa.schema([field for field in schema if field.name not in index])
                yield each.store.locate(table.name), metadata


def _fingerprint(prefixes: Sequence[str], sets: Sequence[_ShardSet]) -> str:
    """Digest what the manifests state of every file.

    A folder of files has no hash: the fingerprint of its shard and its size stand for it.
    """
    shards = []
    for prefix, each in zip(prefixes, sets, strict=True):
        for shard in each.shards:
            files = [[file.name, file.bytes, file.sha256] for file in shard.files]
            shards.append([prefix, shard.name, shard.fingerprint, files])
    return fingerprint_of(sorted(shards))


def _read_set(each: _ShardSet, kinds: dict[str, str]) -> Iterator[SourceSample]:
    for shard in each.shards:
        for values, location in _successes(each.store, shard, kinds):
            yield SourceSample(
                key=location.key,
                group=location.key,
                bytes=location.bytes,
                parts=(location.extension,),
                columns={name: plain_value(values.get(name), kind) for name, kind in kinds.items()},
                location=location,
            )


def _successes(
    store: Store, shard: ShardRecord, columns: dict[str, str]
) -> Iterator[tuple[dict[str, Any], PayloadLocation]]:
    """Yield metadata and location of every sample of a shard."""
    table = metadata_file(shard)
    if table is None:
        raise ShardCorrupt(f"{store.locate(shard.name)}: the shard has no table of its rows")
    file = shard.files[0]
    if table != file:  # payloads are hashed when they are read
        check_content(store, table)
    names = set(read_schema(store, table.name).names)
    has_index = names >= _INDEX
    wanted = sorted(names & {"key", "status", *columns, *(_INDEX if has_index else ())})
    rows = enumerate(read_table(store, table.name, columns=wanted))
    successes = ((row, values) for row, values in rows if values["status"] == SUCCESS)
    entries = _from_index(successes) if has_index else _from_samples(store, shard, successes)
    count = 0
    for values, extension, row, offset, size in entries:
        count += 1
        yield values, PayloadLocation(store, file, values["key"], extension, row, offset, size)
    if count != shard.successes:
        raise ShardCorrupt(
            f"{store.locate(table.name)}: expected {shard.successes} successes, got {count}"
        )


_Row = tuple[int, dict[str, Any]]
#: Metadata, extension, row, offset and bytes of a payload.
_Entry = tuple[dict[str, Any], str, int, int | None, int]


def _from_index(successes: Iterator[_Row]) -> Iterator[_Entry]:
    for row, values in successes:
        extension = member_extension(values["extension"] or "")
        yield values, extension, row, values["offset"], values["bytes"]


def _from_samples(store: Store, shard: ShardRecord, successes: Iterator[_Row]) -> Iterator[_Entry]:
    samples = read_samples(store, shard)
    for row, values in successes:
        sample = next(samples, None)
        if sample is None or sample.key != values["key"]:
            found = sample.key if sample else "none"
            raise ShardCorrupt(
                f"{store.locate(shard.files[0].name)}: expected sample {values['key']} next, "
                f"got {found}"
            )
        yield values, sample.extension, row, sample.offset, len(sample.payload)
