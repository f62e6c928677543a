"""A staged object as a file for writers of other packages: `pa.PythonFile(sink, mode="w")`."""

from typing import Any

from dataset_assets.storage.store import Staged


class Sink:
    """Passes on what is written. Its owner, not `close`, commits or discards the object."""

    closed = False

    def __init__(self, staged: Staged) -> None:
        self._staged: Staged | None = staged
        self._position = 0

    def write(self, data: Any) -> int:
        """Append anything with the buffer protocol."""
        view = memoryview(data)
        if self._staged is not None:
            self._staged.write(view)
        self._position += len(view)
        return len(view)

    def tell(self) -> int:
        """Return how many bytes were written, dropped ones too."""
        return self._position

    def flush(self) -> None:
        """Do nothing: no bytes are buffered."""

    def close(self) -> None:
        """Do nothing: the owner of the object closes it."""

    def drop(self) -> None:
        """Ignore further writes, such as the footer that a Parquet writer adds on close."""
        self._staged = None
