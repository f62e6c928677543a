"""A bar for work that says how much of how much is done: splitting, uploading."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal; give the function that moves it to (done, total; 0: not known). Elsewhere nothing is shown, and None given."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import Progress  # not loaded where no bar is shown

    with Progress(console=console) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
