"""Verifies a publication: its hashes, its counts, and whether `datasets` streams rows from it.

Every question is asked at the published revision and with an empty cache: `datasets` returns rows
of an older cache when a Hub fails.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import islice

import pyarrow.parquet as pq

from dataset_assets.errors import MissingDependency
from dataset_assets.hub.retry import failures
from dataset_assets.hub.target import MANIFEST, PublishTarget
from dataset_assets.records.publications import PublishFile, PublishResult
from dataset_assets.records.splits import ArchiveFile, SplitManifest
from dataset_assets.redaction import redact

_READERS = 8


def verify_publication(
    target: PublishTarget,
    published: PublishResult,
    files: Sequence[PublishFile],
    *,
    first_rows: int = 3,
) -> list[str]:
    """List the problems of a publication.

    Compares hashes at its revision, the rows of every table, the counts of the card, and the first
    rows of every split as `datasets` streams them.

    Args:
        target: the repository.
        published: what `publish` returned.
        files: what was published: see `publication_files`.
        first_rows: rows to stream from every split.

    Raises:
        HubError: the target does not respond.
        MissingDependency: `datasets` is not installed.
    """
    if find_spec("datasets") is None:
        raise MissingDependency(
            "verifying a publication needs the package datasets: pip install 'dataset-assets[hub]'"
        )
    problems = target.verify(files, published.revision)
    if problems:
        return problems  # further checks would only repeat them
    text = next(file.text or "" for file in files if file.path == MANIFEST)
    manifest = SplitManifest.from_json(text.encode())
    problems = list(_wrong_tables(target, published.revision, manifest))
    return problems or list(_wrong_rows(target, published.revision, manifest, first_rows))


def _wrong_tables(target: PublishTarget, revision: str, manifest: SplitManifest) -> Iterator[str]:
    tables = [file for file in manifest.files if file.kind == "parquet"]

    def problem(table: ArchiveFile) -> str:
        try:
            with target.open_read(table.name, revision) as file:
                rows = pq.ParquetFile(file).metadata.num_rows
        except failures() as exc:
            return f"{target.repo}: cannot read {table.name}: {_describe(exc, target, revision)}"
        if rows == table.samples:
            return ""
        return f"{target.repo}: {table.name}: expected {table.samples} rows, got {rows}"

    with ThreadPoolExecutor(_READERS) as readers:
        yield from filter(None, readers.map(problem, tables))
    for name, count in manifest.splits.items():
        rows = sum(table.samples for table in tables if table.split == name)
        if rows != count.samples:
            yield (
                f"{target.repo}: tables of {name}: expected {count.samples} samples as in the "
                f"manifest, got {rows}"
            )


def _wrong_rows(
    target: PublishTarget, revision: str, manifest: SplitManifest, first_rows: int
) -> Iterator[str]:
    from datasets.exceptions import DatasetsError

    for name, count in manifest.splits.items():
        if not count.samples:
            continue  # not on the card: `datasets` cannot load a split without rows
        expected = min(first_rows, count.samples)
        try:
            counted, streamed = _stream(target, revision, name, expected)
        except (*failures(), KeyError, TypeError, DatasetsError) as exc:
            detail = _describe(exc, target, revision)
            yield f"{target.repo}: datasets cannot load {name}: {detail}"
            continue
        if counted != count.samples:
            yield (
                f"{target.repo}: card: expected {count.samples} samples in {name} as in the "
                f"manifest, got {counted}"
            )
        if streamed != expected:
            yield f"{target.repo}: expected {expected} streamed rows of {name}, got {streamed}"


def _stream(target: PublishTarget, revision: str, split: str, rows: int) -> tuple[int, int]:
    """Load a split; return the samples that the card counts, and how many first rows decode."""
    from datasets import load_dataset

    with tempfile.TemporaryDirectory(
        prefix="dataset-assets-check-", ignore_cleanup_errors=True
    ) as cache:
        loaded = load_dataset(
            target.load_path(revision),
            split=split,
            streaming=True,
            cache_dir=cache,
            **target.load_options(revision),
        )
        return loaded.info.splits[split].num_examples, sum(1 for _ in islice(loaded, rows))


def _describe(exc: Exception, target: PublishTarget, revision: str) -> str:
    """Describe an error in one line, without the token."""
    text = " ".join(f"{type(exc).__name__}: {exc}".split())
    return redact(text, [target.load_options(revision).get("token") or ""])
