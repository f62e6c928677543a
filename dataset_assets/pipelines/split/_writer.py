"""Writes the files of one version.

Each sample is read once and goes into its archive and its table; one sample is in memory at a time.
A committed file has a record, `_records/<name>.json`, so that a run resumes after the files that an
interrupted one has finished.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Self

from dataset_assets.archives.tar_header import SPLIT
from dataset_assets.archives.tar_writer import TarWriter
from dataset_assets.errors import ShardCorrupt
from dataset_assets.records.splits import ArchiveFile, SourceSample
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.records.typed_json import decode, load_object
from dataset_assets.shards.lease import Lease
from dataset_assets.splits.plan import ArchiveOptions, FilePlan, sample_members
from dataset_assets.splits.source import SplitSource
from dataset_assets.splits.table import TableWriter
from dataset_assets.splits.versions import RECORDS
from dataset_assets.storage.store import Store

Progress = Callable[[int, int], None]


class VersionWriter:
    """Writes the missing files of a version.

    A context manager: after an error, no partial file stays.
    """

    def __init__(
        self, folder: Store, source: SplitSource, options: ArchiveOptions, lease: Lease
    ) -> None:
        """Prepare the writer.

        Args:
            folder: the folder of the version.
            source: where the payloads come from.
            options: what the files look like.
            lease: that of the split; it is checked before each file is committed.
        """
        self._folder = folder
        self._source = source
        self._options = options
        self._lease = lease
        self._open: dict[str, TarWriter | TableWriter] = {}

    def write(
        self,
        plans: Sequence[FilePlan],
        splits: Mapping[str, Sequence[SourceSample]],
        progress: Progress | None,
    ) -> list[ArchiveFile]:
        """Write the planned files that are missing; return all of them, in plan order.

        Args:
            plans: the files.
            splits: the samples of each split, in the order in which the plans hold them.
            progress: called with (samples done, samples) after each sample.

        Raises:
            ShardCorrupt: the source has changed since its samples were listed.
            DiskFull, StorageError: the store refuses the bytes; committed files stay.
            LeaseLost: another run has taken over.
        """
        files: dict[str, ArchiveFile] = {}
        plans_of: dict[str, list[FilePlan]] = {}
        for plan in plans:
            file = self._committed(plan)
            if file is None and not plan.samples:
                file = self._finish(plan)
            if file is not None:
                files[plan.name] = file
            else:
                for sample in plan.samples:
                    plans_of.setdefault(sample.key, []).append(plan)
        samples = [sample for of_split in splits.values() for sample in of_split]
        missing = [sample for sample in samples if sample.key in plans_of]
        for count, sample in enumerate(missing, start=len(samples) - len(missing) + 1):
            for file in self._add(sample, plans_of[sample.key]):
                files[file.name] = file
            if progress is not None:
                progress(count, len(samples))
        return [files[plan.name] for plan in plans]

    def _add(self, sample: SourceSample, plans: Sequence[FilePlan]) -> Iterator[ArchiveFile]:
        """Add a sample to its files; yield those that are complete with it."""
        payloads = self._read(sample)
        for plan in plans:
            writer = self._writer(plan)
            if isinstance(writer, TarWriter):
                writer.add(sample_members(sample, payloads, self._options.layout))
            else:
                writer.add(sample, payloads)
            if plan.samples[-1].key == sample.key:
                yield self._finish(plan)

    def _read(self, sample: SourceSample) -> list[bytes]:
        payloads = self._source.read(sample)
        count = len(payloads)
        size = sum(len(payload) for payload in payloads)
        if (count, size) != (len(sample.parts), sample.bytes):
            raise ShardCorrupt(
                f"sample {sample.key!r}: expected {len(sample.parts)} payloads of {sample.bytes} "
                f"bytes, got {count} of {size}; the source has changed: run again when nothing "
                "writes to it"
            )
        return payloads

    def _writer(self, plan: FilePlan) -> TarWriter | TableWriter:
        writer = self._open.get(plan.name)
        if writer is None:
            if plan.kind == "parquet":
                writer = TableWriter(
                    self._folder, plan.name, self._source.media, self._source.columns, self._options
                )
            else:
                writer = TarWriter(self._folder.stage(plan.name), SPLIT, plan.kind)
            self._open[plan.name] = writer
        return writer

    def _finish(self, plan: FilePlan) -> ArchiveFile:
        writer = self._writer(plan)
        self._lease.check()
        size, sha256, members = writer.commit()
        del self._open[plan.name]
        file = ArchiveFile(
            plan.name, plan.split, plan.kind, size, sha256, len(plan.samples), members
        )
        self._folder.write(_record_name(plan), json.dumps(asdict(file)).encode())
        return file

    def _committed(self, plan: FilePlan) -> ArchiveFile | None:
        """Return the file if it is committed and has the size that its record says."""
        file = read_or_none(self._folder.read, _record_name(plan), _parse_record)
        if file is None or file.name != plan.name or self._folder.size(file.name) != file.bytes:
            return None
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for writer in self._open.values():
            writer.discard()
        self._open.clear()


def _record_name(plan: FilePlan) -> str:
    return f"{RECORDS}/{plan.name}.json"


def _parse_record(data: bytes) -> ArchiveFile:
    return decode(ArchiveFile, load_object(data))
