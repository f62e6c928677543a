"""`verify_set`: checks that the shards of a set agree with their records and the manifest."""

from collections.abc import Iterator

from dataset_assets.embeddings.store.description import FORMAT as EMBEDDINGS
from dataset_assets.pipelines.stage.objects import FORMAT, open_objects_store, verify_objects
from dataset_assets.pipelines.verify.embeddings import verify_embeddings
from dataset_assets.records.shards import Manifest
from dataset_assets.shards.commits import list_records, read_manifest
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
        manifest names them all.

    Raises:
        ObjectMissing: there is no manifest.
        ShardCorrupt: the manifest is malformed.
    """
    manifest = manifest or read_manifest(store)
    problems = []
    records = {record.name: record for record in list_records(store)}
    for shard in manifest.shards:
        record = records.pop(shard.name, None)
        if record is None:
            problems.append(
                f"{store.locate(shard.record_name)}: the manifest names this shard, but its record "
                "is missing or disagrees in size"
            )
        elif manifest.output_format == FORMAT:
            problems += verify_objects(
                store, record, open_objects_store(store, objects_url), deep=deep
            )
        elif manifest.output_format == EMBEDDINGS:
            problems += verify_embeddings(store, manifest, record, deep=deep)
        else:
            problems += verify_shard(store, record, deep=deep)
    problems += [
        f"{store.locate(name)}: committed, but not in the manifest; run again to add it"
        for name in records
    ]
    return [*problems, *_extra_file_problems(store, manifest, deep=deep)]


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
