"""What lies in a folder before a run writes there, and what the run must not touch."""

import re
from collections.abc import Collection, Iterable

from dataset_assets import registry
from dataset_assets.errors import ForeignFiles, PlanMismatch
from dataset_assets.pipelines.download.options import DownloadOptions
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.shards.commits import MANIFEST, RECORD_SUFFIX, is_own_record, parse_manifest
from dataset_assets.shards.naming import shard_name
from dataset_assets.shards.sidecar import SUFFIX
from dataset_assets.storage.store import Store

_SHOWN = 3
_NAME = re.compile(rf"(\d+)(?=\.|{re.escape(RECORD_SUFFIX)}$)")


def check_digits(store: Store, options: DownloadOptions) -> None:
    """Refuse a set whose shards have names of another length.

    Raises:
        PlanMismatch: there is such a shard.
    """
    digits = options.oom_shard_count
    for info in store.list("", recursive=False):
        name = info.key.removesuffix(RECORD_SUFFIX)
        if name != info.key and name.isdecimal() and name != shard_name(int(name), digits):
            raise PlanMismatch(
                f"{store.url}: expected names of {digits} digits (oom_shard_count), got the shard "
                f"{name}; use the same number of digits, or another output folder"
            )


def check_foreign(store: Store, names: Collection[str], output_format: str) -> None:
    """Refuse to write shards over files that no record of this package names.

    Args:
        store: the shard set.
        names: the shards that are to be made.
        output_format: the format that they will have.

    Raises:
        ForeignFiles: there are such files, of another tool or of a person.
    """
    suffix = registry.load("output_format", output_format).suffix
    present = {info.key for info in store.list("", recursive=False)}
    manifest = read_or_none(store.read, MANIFEST, parse_manifest)
    if manifest is None and any(is_own_record(store, name) for name in _recorded(present)):
        return  # a set in img2dataset's layout: deleting a record asks for the shard again
    recorded = {shard.name for shard in manifest.shards} if manifest is not None else set()
    foreign = []
    for name in names:
        if name in recorded or is_own_record(store, name):
            continue
        written = {f"{name}{SUFFIX}", f"{name}{RECORD_SUFFIX}", f"{name}{suffix or SUFFIX}"}
        foreign += sorted(written & present)
        if suffix == "":
            foreign += [info.key for info in store.list(f"{name}/", recursive=False)]
    if foreign:
        more = f" and {len(foreign) - _SHOWN:,} more" if len(foreign) > _SHOWN else ""
        raise ForeignFiles(
            f"{store.url}: expected no files but those of this package under names that it would "
            f"write, got {', '.join(foreign[:_SHOWN])}{more}; nothing was changed. Use another "
            "output folder, or move these files away (img2dataset and any2dataset can finish what "
            "they have begun), or choose incremental_mode 'overwrite' to delete them"
        )


def has_unrecorded(store: Store) -> bool:
    """Tell whether a set has files of shards without a record, of a run that was killed."""
    keys = [info.key for info in store.list("", recursive=False)]
    named = {found[1] for key in keys if (found := _NAME.match(key))}
    return not named <= set(_recorded(keys))


def _recorded(keys: Iterable[str]) -> list[str]:
    return [key.removesuffix(RECORD_SUFFIX) for key in keys if key.endswith(RECORD_SUFFIX)]
