"""A progress bar for work that reports (done, total): splitting, staging."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal, and yield the function that moves it.

    It takes (done, total); a total of 0 is unknown. Where there is no terminal, None is yielded.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import Progress  # not loaded where no bar is shown

    with Progress(console=console) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
