"""A staged object as a file that others write to: what pyarrow wants for `pa.PythonFile(sink, mode="w")`."""

from typing import Any

from dataset_assets.storage.store import Staged


class Sink:
    """Passes on what is written. Closing it does nothing: who staged the object decides what becomes of it."""

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
        """Nothing is held back."""

    def close(self) -> None:
        """See the class."""

    def drop(self) -> None:
        """Throw away what is still to come, such as the footer that a parquet writer adds when it is closed."""
        self._staged = None
