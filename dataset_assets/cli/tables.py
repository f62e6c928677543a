"""Results as tables on the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dataset_assets.cli.streams import printable, writing_results


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their headings, integers with thousands separators."""
    table = Table(*columns)
    for row in rows:
        cells = (f"{value:,}" if isinstance(value, int) else str(value) for value in row)
        table.add_row(*map(printable, cells))
    with writing_results():
        Console().print(table)


def print_line(text: str) -> None:
    """Print a text as it is: not wrapped, not highlighted, no markup."""
    with writing_results():
        Console().print(printable(text), soft_wrap=True, highlight=False, markup=False)
