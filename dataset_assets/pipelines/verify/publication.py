"""Whether a publication is what was published: its hashes, its counts, and whether `datasets` streams rows out of it.

Everything is asked at the published revision and with a cache of its own: `datasets` answers out of an older cache when a Hub fails.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import islice

import pyarrow.parquet as pq

from dataset_assets.errors import MissingDependency
from dataset_assets.hub.retry import failures
from dataset_assets.hub.target import PublishTarget
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
    """List what is wrong with a publication: hashes at its revision, rows of every table, card, and the first rows of every split as streamed.

    Raises:
        HubError: the target can not be asked.
        MissingDependency: `datasets` is not installed.
    """
    if find_spec("datasets") is None:
        raise MissingDependency(
            "checking a publication needs the package datasets: pip install 'dataset-assets[hub]'"
        )
    problems = target.verify(files, published.revision)
    if problems:
        return problems  # what follows would only say the same in other words
    manifest = SplitManifest.from_json(
        next(file.text or "" for file in files if file.path == "manifest.json").encode()
    )
    problems = list(_wrong_tables(target, published.revision, manifest))
    return problems or list(_wrong_rows(target, published.revision, manifest, first_rows))


def _wrong_tables(target: PublishTarget, revision: str, manifest: SplitManifest) -> Iterator[str]:
    tables = [file for file in manifest.files if file.kind == "parquet"]

    def problem(table: ArchiveFile) -> str:
        try:
            with target.open_read(table.name, revision) as file:
                rows = pq.ParquetFile(file).metadata.num_rows
        except failures() as exc:
            return f"{target.repo}: {table.name} can not be read: {_said(exc, target, revision)}"
        return (
            ""
            if rows == table.samples
            else f"{target.repo}: {table.name} has {rows} rows, expected {table.samples}"
        )

    with ThreadPoolExecutor(_READERS) as readers:
        yield from filter(None, readers.map(problem, tables))
    for name, count in manifest.splits.items():
        rows = sum(table.samples for table in tables if table.split == name)
        if rows != count.samples:
            yield f"{target.repo}: the tables of {name} hold {rows} samples, the manifest counts {count.samples}"


def _wrong_rows(
    target: PublishTarget, revision: str, manifest: SplitManifest, first_rows: int
) -> Iterator[str]:
    from datasets.exceptions import DatasetsError

    for name, count in manifest.splits.items():
        if not count.samples:
            continue  # not in the card: `datasets` can not load a split without rows
        expected = min(first_rows, count.samples)
        try:
            counted, came = _stream(target, revision, name, expected)
        except (*failures(), KeyError, TypeError, DatasetsError) as exc:
            yield f"{target.repo}: datasets can not load {name}: {_said(exc, target, revision)}"
            continue
        if counted != count.samples:
            yield f"{target.repo}: the card counts {counted} samples in {name}, the manifest {count.samples}"
        if came != expected:
            yield f"{target.repo}: {came} rows of {name} came, expected {expected}"


def _stream(target: PublishTarget, revision: str, split: str, rows: int) -> tuple[int, int]:
    """Load a split as anybody would. Return the samples that the card counts, and how many of the first rows came, decoded."""
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


def _said(exc: Exception, target: PublishTarget, revision: str) -> str:
    """Return an error in one line, without the token."""
    text = " ".join(f"{type(exc).__name__}: {exc}".split())
    token = target.load_options(revision).get("token")
    return redact(text.replace(token, "***") if token else text)
