"""Files as text: decompressed by their first bytes, and decoded without losing a byte.

The text is UTF-8, or UTF-16 after a byte order mark. Bytes that are not UTF-8 are read as Latin-1,
one by one, and noted.
"""

import bz2
import gzip
import io
import lzma
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import BinaryIO, TextIO, TypeVar, cast

import pyarrow as pa

from dataset_assets.errors import MissingDependency, UnreadableList
from dataset_assets.urls.lists import BATCH_BYTES, BATCH_ROWS, ListFile

T = TypeVar("T")

MAX_LINE = 64 << 20  # characters
_BUFFER = 1 << 20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_NOT_TEXT = {
    b"PAR1": "a parquet file",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"ARROW1": "an Arrow file",
}
#: Bytes that are not UTF-8: decoded with "surrogateescape" -> as Latin-1.
_ESCAPED = {0xDC80 + number: 0x80 + number for number in range(128)}
_SURROGATE = re.compile("[\ud800-\udfff]")


def _open_zstd(file: BinaryIO) -> BinaryIO:
    if not pa.Codec.is_available("zstd"):
        raise MissingDependency(
            "a list compressed with zstd needs a pyarrow built with zstd, as its wheels are: "
            "pip install pyarrow"
        )
    return cast("BinaryIO", pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd"))


#: First bytes of a compressed file -> what opens it.
_OPENERS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda file: cast("BinaryIO", gzip.GzipFile(fileobj=file)),
    b"\x28\xb5\x2f\xfd": _open_zstd,
    b"BZh": lambda file: cast("BinaryIO", bz2.BZ2File(file)),
    b"\xfd7zXZ\x00": lambda file: cast("BinaryIO", lzma.LZMAFile(file)),  # noqa: SIM115 - closed by `open_bytes`
}


@contextmanager
def open_bytes(file: ListFile) -> Iterator[BinaryIO]:
    """Open a file, decompressed, to be read once."""
    with ExitStack() as stack:
        stored = stack.enter_context(file.open())
        buffered = stack.enter_context(io.BufferedReader(cast("io.RawIOBase", stored), _BUFFER))
        opener = _opener(buffered.peek(8))
        yield buffered if opener is None else stack.enter_context(opener(buffered))


@contextmanager
def open_seekable(file: ListFile) -> Iterator[BinaryIO]:
    """Open a file, decompressed, as a seekable one: a temporary file if it is compressed."""
    with ExitStack() as stack:
        stored = stack.enter_context(file.open())
        if _opener(stored.read(8)) is not None:
            stored = stack.enter_context(tempfile.TemporaryFile())
            with open_bytes(file) as plain:
                shutil.copyfileobj(plain, stored, _BUFFER)
        stored.seek(0)
        yield stored


def _opener(head: bytes) -> Callable[[BinaryIO], BinaryIO] | None:
    return next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)


@contextmanager
def open_text(file: ListFile, *, newline: str | None = None) -> Iterator[TextIO]:
    """Open a file as text. Bytes that are not UTF-8 are escaped; `repair` reads them as Latin-1.

    Raises:
        UnreadableList: the file is not text.
    """
    with open_bytes(file) as plain:
        buffered = io.BufferedReader(cast("io.RawIOBase", plain), _BUFFER)
        head = buffered.peek(8)
        for magic, what in _NOT_TEXT.items():
            if head.startswith(magic):
                raise UnreadableList(
                    f"{file.name}: expected {file.input_format}, got {what}; set input_format to "
                    "the format of the file, or use another file"
                )
        encoding = "utf-16" if head.startswith(_UTF_16) else "utf-8-sig"
        with io.TextIOWrapper(
            buffered, encoding=encoding, errors="surrogateescape", newline=newline
        ) as text:
            yield text


def read_lines(text: TextIO, name: str) -> Iterator[str]:
    """Yield the lines of a text with their line ends.

    Raises:
        UnreadableList: a line is longer than `MAX_LINE`.
    """
    for number, line in enumerate(iter(partial(text.readline, MAX_LINE), ""), start=1):
        if len(line) == MAX_LINE:
            raise UnreadableList(
                f"{name}: line {number}: expected at most {MAX_LINE >> 20} Mi characters, got more"
                "; check input_format"
            )
        yield line


def make_batches(items: Iterator[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Collect items into lists of at most `BATCH_ROWS` items and about `BATCH_BYTES`."""
    batch: list[T] = []
    held = 0
    for item in items:
        batch.append(item)
        held += size(item)
        if len(batch) == BATCH_ROWS or held >= BATCH_BYTES:
            yield batch
            batch = []
            held = 0
    if batch:
        yield batch


def repair(value: str) -> str:
    """Return text that UTF-8 can hold: escaped bytes as Latin-1, lone surrogates as U+FFFD."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value.translate(_ESCAPED))
