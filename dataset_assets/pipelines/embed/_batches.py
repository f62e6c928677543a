"""Samples of a shard in batches: prepared in threads, encoded in order, written as they come.

While the model runs, the next samples are prepared. At most two batches of prepared samples wait
for each group, so memory does not grow with the shard.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dataset_assets.embeddings.encoder import Encoder, Prepared
from dataset_assets.embeddings.store.writer import Sample, ShardWriter
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import Row
from dataset_assets.records.staged import SampleError

#: Batches of a group that are sorted by length together.
_SORTED_BATCHES = 8


@dataclass(frozen=True, slots=True)
class _Refused:
    cause: Cause
    message: str


@dataclass(frozen=True, slots=True)
class _Ready:
    number: int
    sample: Sample
    prepared: Prepared


class BatchEncoder:
    """Encodes the samples of shards, one shard after another.

    Args:
        encoder: what runs.
        batch_size: samples in one run of the model.
        threads: threads that prepare samples.
        caption_column: column that is encoded; None: the caption of the row.
    """

    def __init__(
        self, encoder: Encoder, batch_size: int, threads: int, caption_column: str | None
    ) -> None:
        self._encoder = encoder
        self._batch_size = batch_size
        self._threads = threads
        self._caption_column = caption_column
        self._pool = ThreadPoolExecutor(threads, "prepare")

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def write(self, rows: Iterator[Row], writer: ShardWriter) -> Iterator[Row]:
        """Encode samples into a writer; yield each row once its result is known."""
        waiting: dict[str, list[_Ready]] = {}
        for number, row, sample, result in self._prepared(rows, writer):
            if isinstance(result, _Refused):
                writer.add_failure(number, sample, result.cause, result.message)
                row.cause = result.cause
                row.columns["error_message"] = result.message
                yield row
                continue
            group = waiting.setdefault(result.group, [])
            group.append(_Ready(number, sample, result))
            if len(group) >= self._batch_size * (_SORTED_BATCHES if result.length else 1):
                self._flush(waiting.pop(result.group), writer)
            yield row
        for group in waiting.values():
            self._flush(group, writer)

    def _prepared(
        self, rows: Iterator[Row], writer: ShardWriter
    ) -> Iterator[tuple[int, Row, Sample, Prepared | _Refused]]:
        """Prepare samples ahead of the model; yield them in the order of the rows."""
        ahead: deque[tuple[int, Row, Sample, Future[Prepared | _Refused]]] = deque()
        for row in rows:
            payload = row.payload if "image" in self._encoder.medium else None
            caption = self._caption(row)
            sample = Sample(row.key, _digest(payload, caption))
            row.payload = None  # it is with the thread from here on
            future = self._pool.submit(self._prepare, payload, caption)
            ahead.append((writer.expect(), row, sample, future))
            if len(ahead) > self._batch_size + 2 * self._threads:
                yield _result(ahead.popleft())
        while ahead:
            yield _result(ahead.popleft())

    def _caption(self, row: Row) -> str | None:
        if "text" not in self._encoder.medium:
            return None
        if self._caption_column is None:
            return row.caption
        value = row.columns.get(self._caption_column)
        return None if value is None else str(value)

    def _prepare(self, payload: bytes | None, caption: str | None) -> Prepared | _Refused:
        try:
            return self._encoder.prepare(payload, caption)
        except SampleError as exc:
            return _Refused(exc.cause, exc.message)

    def _flush(self, group: list[_Ready], writer: ShardWriter) -> None:
        if group[0].prepared.length:
            group = sorted(group, key=lambda each: each.prepared.length)
        for start in range(0, len(group), self._batch_size):
            self._encode(group[start : start + self._batch_size], writer)

    def _encode(self, batch: Sequence[_Ready], writer: ShardWriter) -> None:
        """Run the model; where memory does not suffice, on halves."""
        try:
            arrays = self._encoder.encode([each.prepared for each in batch])
        except RuntimeError as exc:
            if len(batch) == 1 or not _is_out_of_memory(exc):
                raise
            middle = len(batch) // 2
            self._batch_size = min(self._batch_size, middle)
            self._encode(batch[:middle], writer)
            self._encode(batch[middle:], writer)
            return
        numbers = [each.number for each in batch]
        writer.add(numbers, [each.sample for each in batch], batch[0].prepared.group, arrays)


def _result(entry: tuple[int, Row, Sample, Future[Any]]) -> tuple[int, Row, Sample, Any]:
    number, row, sample, future = entry
    return number, row, sample, future.result()


def _digest(payload: bytes | None, caption: str | None) -> str:
    digest = hashlib.sha256(payload or b"")
    if caption is not None:
        digest.update(b"\0" + caption.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _is_out_of_memory(error: RuntimeError) -> bool:
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in str(error).lower()
