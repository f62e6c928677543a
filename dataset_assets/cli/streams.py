"""The standard streams: present, writable, and without control characters of names and lists."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dataset_assets.errors import StorageError

#: Control characters but tab and line feed: a terminal would obey them.
_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}


def printable(text: str) -> str:
    """Return a text with its control characters as escapes: hexadecimal, after a backslash."""
    return text.translate(_CONTROLS)


class PrintableFormatter(logging.Formatter):
    """Formats messages without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        return printable(super().format(record))


def open_closed_streams() -> None:
    """Open streams that the caller has closed (`2>&-`) on the null device.

    Otherwise the next file or socket that is opened would be taken for standard error.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(null, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 - stays open


@contextmanager
def writing_results() -> Iterator[None]:
    """Turn a failure to write to standard output into one expected error.

    Raises:
        StorageError: standard output cannot be written. What it should have said is done.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # the reader has seen enough: `| head`
    except OSError as exc:
        # Python writes what is left once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StorageError(
            f"the work is done, but its results cannot be written to standard output: "
            f"{exc.strerror}; send them elsewhere, the files are complete"
        ) from exc
