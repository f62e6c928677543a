"""Writes the files of one version. Every sample is read once and goes into its archive and its table; no more than one is in memory.

A file that is committed has a record, `_records/<name>.json`: what a killed run has finished is not made again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Self

from dataset_assets.archives.tar_header import SPLIT
from dataset_assets.archives.tar_writer import TarWriter
from dataset_assets.errors import ObjectMissing, ShardCorrupt
from dataset_assets.records.splits import ArchiveFile, SourceSample
from dataset_assets.splits.plan import ArchiveOptions, FilePlan, sample_members
from dataset_assets.splits.source import Source
from dataset_assets.splits.table import TableWriter
from dataset_assets.splits.versions import RECORDS
from dataset_assets.storage.store import Store

Progress = Callable[[int, int], None]


class VersionWriter:
    """Makes what is missing of a version. A context manager: after an error nothing half written stays."""

    def __init__(
        self,
        folder: Store,
        source: Source,
        options: ArchiveOptions,
        known: Sequence[ArchiveFile] = (),
    ) -> None:
        self._folder, self._source, self._options = folder, source, options
        self._known = {file.name: file for file in known}  # besides the records
        self._open: dict[str, _TarFile | _TableFile] = {}

    def write(
        self,
        plans: Sequence[FilePlan],
        splits: Mapping[str, Sequence[SourceSample]],
        progress: Progress | None,
    ) -> list[ArchiveFile]:
        """Write the planned files and return all of them, in plan order.

        `splits` has the samples in the order in which the plans hold them.

        Raises:
            ShardCorrupt: the source has changed since its samples were listed.
            DiskFull, StorageError: the store refuses the bytes; committed files stay.
        """
        done = {plan.name: file for plan in plans if (file := self._committed(plan)) is not None}
        missing = [plan for plan in plans if plan.name not in done]
        plans_of: dict[str, list[FilePlan]] = {}
        for plan in missing:
            for sample in plan.samples:
                plans_of.setdefault(sample.key, []).append(plan)
        done |= {plan.name: self._finish(plan) for plan in missing if not plan.samples}
        total = sum(len(samples) for samples in splits.values())
        count = total - len(plans_of)
        for sample in (
            sample for samples in splits.values() for sample in samples if sample.key in plans_of
        ):
            done |= self._add(sample, plans_of[sample.key])
            count += 1
            if progress is not None:
                progress(count, total)
        return [done[plan.name] for plan in plans]

    def _add(self, sample: SourceSample, plans: Sequence[FilePlan]) -> dict[str, ArchiveFile]:
        """Add a sample to its files; return those that are complete with it."""
        payloads = self._read(sample)
        done = {}
        for plan in plans:
            self._writer(plan).add(sample, payloads)
            if plan.samples[-1].key == sample.key:
                done[plan.name] = self._finish(plan)
        return done

    def _read(self, sample: SourceSample) -> list[bytes]:
        payloads = self._source.read(sample)
        found = len(payloads), sum(len(payload) for payload in payloads)
        if found != (len(sample.parts), sample.bytes):
            raise ShardCorrupt(
                f"the source has changed: sample {sample.key!r} has {found[0]} payloads of {found[1]} bytes, "
                f"expected {len(sample.parts)} of {sample.bytes}; start again when it is at rest"
            )
        return payloads

    def _writer(self, plan: FilePlan) -> "_TarFile | _TableFile":
        if plan.name not in self._open:
            is_table = plan.kind == "parquet"
            self._open[plan.name] = (_TableFile if is_table else _TarFile)(
                self._folder, self._source, plan, self._options
            )
        return self._open[plan.name]

    def _finish(self, plan: FilePlan) -> ArchiveFile:
        size, sha256, members = self._writer(plan).commit()
        del self._open[plan.name]
        file = ArchiveFile(
            plan.name, plan.split, plan.kind, size, sha256, len(plan.samples), members
        )
        self._folder.write(_record_name(plan), json.dumps(asdict(file)).encode())
        return file

    def _committed(self, plan: FilePlan) -> ArchiveFile | None:
        file = self._read_record(plan) or self._known.get(plan.name)
        return file if file is not None and self._folder.size(file.name) == file.bytes else None

    def _read_record(self, plan: FilePlan) -> ArchiveFile | None:
        try:
            file = ArchiveFile(**json.loads(self._folder.read(_record_name(plan))))
        except (ObjectMissing, ValueError, TypeError):
            return None  # not committed yet
        return file if file.name == plan.name else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for writer in self._open.values():
            writer.discard()
        self._open.clear()


def _record_name(plan: FilePlan) -> str:
    return f"{RECORDS}/{plan.name}.json"


class _TarFile:
    """An archive that takes samples."""

    def __init__(
        self, folder: Store, source: Source, plan: FilePlan, options: ArchiveOptions
    ) -> None:
        del source
        self._layout = options.layout
        self._writer = TarWriter(folder.stage(plan.name), SPLIT, plan.kind)
        self.commit, self.discard = self._writer.commit, self._writer.discard

    def add(self, sample: SourceSample, payloads: Sequence[bytes]) -> None:
        self._writer.add(sample_members(sample, payloads, self._layout))


class _TableFile:
    """A table that takes samples."""

    def __init__(
        self, folder: Store, source: Source, plan: FilePlan, options: ArchiveOptions
    ) -> None:
        self._writer = TableWriter(folder, plan.name, source.media, source.columns, options)
        self.add, self.commit, self.discard = (
            self._writer.add,
            self._writer.commit,
            self._writer.discard,
        )
