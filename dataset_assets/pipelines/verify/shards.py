"""`verify_set`: checks that the shards of a set agree with their records and the manifest."""

from collections.abc import Iterator, Mapping

from dataset_assets.embeddings.store.description import FORMAT as EMBEDDINGS
from dataset_assets.errors import ObjectMissing
from dataset_assets.pipelines.stage.objects import FORMAT as OBJECTS
from dataset_assets.pipelines.stage.objects import open_objects_store, verify_objects
from dataset_assets.pipelines.verify.embeddings import verify_embeddings
from dataset_assets.records.shards import Manifest, ShardRecord
from dataset_assets.shards.commits import MANIFEST, RECORD_SUFFIX, list_records, read_manifest
from dataset_assets.shards.verify import file_sha256, size_problem, verify_shard
from dataset_assets.storage.store import Store


def verify_set(
    store: Store,
    *,
    deep: bool = True,
    objects_url: str | None = None,
    manifest: Manifest | None = None,
) -> list[str]:
    """List the problems of a shard set.

    Args:
        store: the set.
        deep: read and hash every byte, and match every member with its row.
        objects_url: that of `StageOptions`, for a set in layout `objects`.
        manifest: that of the set, if the caller has read it.

    Returns:
        One sentence for each problem; an empty list when every shard agrees with its record and the
        manifest names them all. A set in the layout of img2dataset has no manifest.

    Raises:
        ObjectMissing: the folder holds no shard of this package.
        ShardCorrupt: the manifest is malformed.
    """
    records = {record.name: record for record in list_records(store, with_files=False)}
    if manifest is None and store.size(MANIFEST) is None:
        return _problems_without_manifest(store, records, deep=deep)
    manifest = manifest or read_manifest(store)
    problems = []
    sound = set()
    for shard in manifest.shards:
        record = records.pop(shard.name, None)
        if record is None:
            problems.append(
                f"{store.locate(shard.record_name)}: the manifest names this shard, but its record "
                "is missing or malformed; run again what made the set"
            )
            continue
        has_tars = manifest.output_format not in (OBJECTS, EMBEDDINGS)
        found = verify_shard(store, record, deep=deep and has_tars)
        if not found and manifest.output_format == OBJECTS:
            objects = open_objects_store(store, objects_url)
            found = list(verify_objects(store, record, objects, deep=deep))
        elif not found:
            sound.add(record.name)
        problems += found
    if manifest.output_format == EMBEDDINGS:
        problems += verify_embeddings(store, manifest, sound, deep=deep)
    problems += [
        f"{store.locate(name)}: committed, but not in the manifest; run again to add it"
        for name, record in records.items()
        if not verify_shard(store, record, deep=False)
    ]
    return [*problems, *_extra_file_problems(store, manifest, deep=deep)]


def _problems_without_manifest(
    store: Store, records: Mapping[str, ShardRecord], *, deep: bool
) -> list[str]:
    """List the problems of a set that has records only."""
    if not records:
        raise ObjectMissing(
            f"{store.url}: expected a shard set of this package or a split, got neither "
            f"{MANIFEST}, nor records of shards, nor current.json; check the path, or run again "
            "what should have made it"
        )
    names = (info.key for info in store.list("", recursive=False))
    stems = {name.removesuffix(RECORD_SUFFIX) for name in names if name.endswith(RECORD_SUFFIX)}
    problems = [
        f"{store.locate(stem + RECORD_SUFFIX)}: expected a record of this package, got something "
        "else; run again what made the set"
        for stem in sorted(stems - records.keys())
    ]
    for record in records.values():
        problems += verify_shard(store, record, deep=deep)
    return problems


def _extra_file_problems(store: Store, manifest: Manifest, *, deep: bool) -> Iterator[str]:
    for file in manifest.extra_files:
        where = store.locate(file.name)
        if problem := size_problem(where, file.bytes, store.size(file.name)):
            yield f"{problem}; run again to make it"
        elif deep and (found := file_sha256(store, file)) != file.sha256:
            yield (
                f"{where} has changed: expected sha256 {file.sha256}, got {found}; "
                "delete it and run again"
            )
