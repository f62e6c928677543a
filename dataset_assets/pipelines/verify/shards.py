"""Look at committed shards: a few samples of one, and whether a set is what its records say."""

from collections.abc import Iterator
from itertools import islice

from dataset_assets.pipelines.stage.objects import FORMAT, open_objects_store, verify_objects
from dataset_assets.records.shards import Manifest, ShardRecord
from dataset_assets.shards.commits import list_records, read_manifest
from dataset_assets.shards.reading import read_samples
from dataset_assets.shards.verify import file_sha256, verify_shard
from dataset_assets.storage.store import Store

__all__ = ["read_manifest", "sample_payloads", "verify_set"]


def sample_payloads(store: Store, record: ShardRecord, count: int) -> list[tuple[str, bytes]]:
    """Return the keys and payloads of the first `count` samples of a shard."""
    return [(sample.key, sample.payload) for sample in islice(read_samples(store, record), count)]


def verify_set(store: Store, *, deep: bool = True, objects_url: str | None = None) -> list[str]:
    """List what is wrong with a shard set: nothing, when every shard agrees with its record and the manifest names them all.

    Deep: every byte is read and hashed, every member is matched with its row. `objects_url` is that of `StageOptions`.
    """
    manifest = read_manifest(store)
    problems = []
    records = {record.name: record for record in list_records(store)}
    for shard in manifest.shards:
        record = records.pop(shard.name, None)
        if record is None:
            problems.append(
                f"{store.locate(shard.record_name)}: the manifest names this shard, but its record is missing or disagrees in size"
            )
        elif manifest.output_format == FORMAT:
            problems += verify_objects(
                store, record, open_objects_store(store, objects_url), deep=deep
            )
        else:
            problems += verify_shard(store, record, deep=deep)
    problems += [
        f"{store.locate(name)}: committed, but not in the manifest; run the download again to add it"
        for name in records
    ]
    return [*problems, *_extra_files(store, manifest, deep=deep)]


def _extra_files(store: Store, manifest: Manifest, *, deep: bool) -> Iterator[str]:
    for file in manifest.extra_files:
        size = store.size(file.name)
        if size is None:
            yield f"{store.locate(file.name)} is missing; run again to make it"
        elif size != file.bytes:
            yield f"{store.locate(file.name)} has {size} bytes, expected {file.bytes}; run again to make it"
        elif deep and (found := file_sha256(store, file)) != file.sha256:
            yield f"{store.locate(file.name)} has changed: sha256 {found}, expected {file.sha256}; delete it and run again"
