"""Measures the samples of a source, and writes their table and summary."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf

from dataset_assets import checks
from dataset_assets.errors import ForeignFiles, SourceError, TooManyBadSamples
from dataset_assets.records.causes import Cause
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.shards import SCHEMA_VERSION
from dataset_assets.records.staged import SampleError
from dataset_assets.records.stored_json import read_or_none
from dataset_assets.records.training import MediaSample
from dataset_assets.records.training_sets import SUMMARY, SampleTable, TrainingSetSummary
from dataset_assets.shards.lease import PREFIX, Lease
from dataset_assets.storage.parquet import ParquetSink
from dataset_assets.storage.store import Store
from dataset_assets.training.buckets import Bucket
from dataset_assets.training.captions import arrange_columns, choose_caption
from dataset_assets.training.estimates import estimate_embedding_bytes
from dataset_assets.training.options import SampleOptions
from dataset_assets.training.payloads import SampleReader
from dataset_assets.training.sample_table import SCHEMA, MeasuredSample, rows_to_table
from dataset_assets.training.samples import ReadPayload
from dataset_assets.training.sizes import assign_bucket, measure
from dataset_assets.training.source import TrainingSource

Progress = Callable[[int, int], None]
_TABLES = "samples-"
_PICTURE = "contact_sheet"  # of the page of the asset
_CHUNK = 1024  # rows of a row group, and samples that are measured before they are written
#: What the options leave out on purpose.
_BY_OPTION = frozenset({Cause.IMAGE_TOO_SMALL, Cause.VIDEO_TOO_SHORT})


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipPolicy:
    """How samples are measured, and how many may be unusable.

    Raises:
        ConfigurationError: a value is invalid.
    """

    threads: int = 8
    """Samples that are read at a time."""
    max_skipped_fraction: float = 0.1
    """Share of samples that may be damaged or lack a caption."""

    def __post_init__(self) -> None:
        checks.integer("threads", self.threads, 1)
        checks.number("max_skipped_fraction", self.max_skipped_fraction, 0, 1)


class _Counts:
    """What the summary says about all rows."""

    def __init__(self) -> None:
        self.buckets: Counter[Bucket] = Counter()
        self.causes: Counter[Cause] = Counter()
        self.payload_bytes = 0
        self.first_error: tuple[str, SampleError] | None = None

    def add(self, row: MeasuredSample) -> None:
        if row.bucket is not None:
            self.buckets[row.bucket] += 1
            self.payload_bytes += row.bytes
        if row.error is not None:
            self.causes[row.error.cause] += 1
            self.first_error = self.first_error or (row.sample.key, row.error)

    def check(self, url: str, samples: int, policy: SkipPolicy) -> None:
        """Refuse a set without samples, or with too many that are unusable."""
        if self.first_error is None:
            return
        key, error = self.first_error
        causes = ", ".join(f"{count} {cause}" for cause, count in sorted(self.causes.items()))
        first = f"the first is {key}: {error.message}"
        if not self.buckets:
            raise SourceError(
                f"{url}: expected samples with a bucket, got none of {samples} ({causes}); {first}"
            )
        bad = sum(count for cause, count in self.causes.items() if cause not in _BY_OPTION)
        if bad > policy.max_skipped_fraction * samples:
            raise TooManyBadSamples(
                f"{url}: expected at most {policy.max_skipped_fraction:.0%} unusable samples, got "
                f"{bad} of {samples} ({causes}); {first}; repair them, or raise "
                "max_skipped_fraction"
            )


def write_training_set(
    source: TrainingSource,
    store: Store,
    options: SampleOptions,
    policy: SkipPolicy | None = None,
    *,
    read: ReadPayload | None = None,
    progress: Progress | None = None,
) -> TrainingSetSummary:
    """Write the table of the samples of a source, then the summary. Idempotent.

    Args:
        source: the samples.
        store: a folder for the set alone.
        options: buckets and captions.
        policy: threads, and how many samples may be unusable. None: the defaults.
        read: reads payloads, from any thread. None: from where the samples say.
        progress: called with (samples done, samples).

    Raises:
        ForeignFiles: the folder has other files.
        SetInUse: another run is at work in the folder.
        SourceError, TooManyBadSamples: none, or too few, of the samples are usable.
        StorageError: a store cannot be read or written.
    """
    policy = policy or SkipPolicy()
    fingerprint = fingerprint_of([SCHEMA_VERSION, source.fingerprint, options.to_json()])
    store.check_writable()
    with Lease(store) as lease:
        store.sweep(older_than_s=-inf)  # no other run is at work
        _check_ours(store)
        summary = _complete_summary(store, fingerprint)
        if summary is None:
            name = f"{_TABLES}{fingerprint[:16]}.parquet"
            with ParquetSink(store.stage(name), SCHEMA, compression="zstd") as sink:
                counts = _write_rows(
                    sink, source, options, policy, read or SampleReader().read, progress
                )
                lease.check()
                sink.commit()
            staged = sink.staged
            table = SampleTable(name, staged.bytes, staged.sha256)
            summary = _summary(source, fingerprint, counts, options, table)
            lease.check()
            store.write(SUMMARY, summary.to_json())
        _sweep(store, summary)
        lease.is_complete = True
    return summary


def _write_rows(
    sink: ParquetSink,
    source: TrainingSource,
    options: SampleOptions,
    policy: SkipPolicy,
    read: ReadPayload,
    progress: Progress | None,
) -> _Counts:
    counts = _Counts()
    done = 0
    for rows in _measured(source.samples, options, policy, read):
        sink.write(rows_to_table(rows))
        for row in rows:
            counts.add(row)
        done += len(rows)
        if progress is not None:
            progress(done, len(source.samples))
    counts.check(source.url, len(source.samples), policy)
    return counts


def _measured(
    samples: Sequence[MediaSample],
    options: SampleOptions,
    policy: SkipPolicy,
    read: ReadPayload,
) -> Iterator[list[MeasuredSample]]:
    """Yield the rows of all samples in their order, some at a time."""

    def measured(sample: MediaSample) -> MeasuredSample:
        return _measure(sample, options, read)

    with ThreadPoolExecutor(policy.threads, "measure") as pool:
        for start in range(0, len(samples), _CHUNK):
            yield list(pool.map(measured, samples[start : start + _CHUNK]))


def _measure(sample: MediaSample, options: SampleOptions, read: ReadPayload) -> MeasuredSample:
    payload = read(sample)
    size = None
    try:
        size = measure(payload, sample.medium)
        bucket = assign_bucket(size, sample.medium, options)
        _check_caption(sample, options)
    except SampleError as exc:
        return MeasuredSample(sample, len(payload), size, None, exc)
    return MeasuredSample(sample, len(payload), size, bucket)


def _check_caption(sample: MediaSample, options: SampleOptions) -> None:
    captions, _ = arrange_columns(sample.captions, sample.columns, options.captions)
    wanted = options.captions.caption_columns
    if not captions or (wanted and not any(column in captions for column in wanted)):
        got = ", ".join(captions) or "none"
        raise SampleError(
            Cause.NO_CAPTION, f"expected {' or '.join(wanted) or 'a caption'}, got {got}"
        )
    choose_caption(captions, options.captions, key=sample.key)


def _summary(
    source: TrainingSource,
    fingerprint: str,
    counts: _Counts,
    options: SampleOptions,
    table: SampleTable,
) -> TrainingSetSummary:
    return TrainingSetSummary(
        fingerprint=fingerprint,
        source=source.url,
        layout=source.layout,
        medium=source.medium,
        because=source.because,
        samples=counts.buckets.total(),
        skipped={cause.value: count for cause, count in sorted(counts.causes.items())},
        left_out=dict(source.skipped),
        buckets={str(bucket): count for bucket, count in sorted(counts.buckets.items())},
        payload_bytes=counts.payload_bytes,
        embedding_bytes=estimate_embedding_bytes(counts.buckets),
        options=options.to_json(),
        table=table,
    )


def _complete_summary(store: Store, fingerprint: str) -> TrainingSetSummary | None:
    """Return the summary of the same set; None if there is another, or its table is damaged."""
    found = read_or_none(store.read, SUMMARY, TrainingSetSummary.from_json)
    if found is None or found.fingerprint != fingerprint:
        return None
    return found if store.size(found.table.name) == found.table.bytes else None


def _check_ours(store: Store) -> None:
    """Refuse a folder with files of others, which a run could hide or delete.

    Raises:
        ForeignFiles: there are some.
    """
    ours = (SUMMARY, _TABLES, _PICTURE, PREFIX)
    others = [info.key for info in store.list() if not info.key.startswith(ours)]
    if others:
        raise ForeignFiles(
            f"{store.url}: expected an empty folder or a training set, got {others[0]!r}; choose "
            "another output"
        )


def _sweep(store: Store, summary: TrainingSetSummary) -> None:
    """Delete the tables of earlier sets."""
    for info in list(store.list(_TABLES, recursive=False)):
        if info.key != summary.table.name:
            store.delete(info.key)
