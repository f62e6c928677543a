"""Columns have one type in all lists of a plan: that of the first list.

Other lists are converted where no value changes, and refused by name where one would. Which type a
column has within one list is decided in `urls`.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from dataset_assets.errors import UnreadableList
from dataset_assets.pipelines.download._fingerprint import type_name

_NOT_CONVERTIBLE = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


def convert(
    tables: Iterator[pa.Table], schema: pa.Schema, name: str, first: str
) -> Iterator[pa.Table]:
    """Yield tables with the types of a schema.

    Args:
        tables: the rows of a list.
        schema: the types of the first list.
        name: the list.
        first: the first list.

    Raises:
        UnreadableList: a value would change.
    """
    for table in tables:
        converted = table
        for index, field in enumerate(schema):
            column = table.column(index)
            if type_name(column.type) != type_name(field.type):
                same = _converted(column, field.type)
                if same is None:
                    raise UnreadableList(
                        f"{name}: expected {field.type} in column {field.name!r} as in {first}, "
                        f"got {column.type} with values that are none; give the column one type "
                        "in all lists, or leave it out of save_additional_columns"
                    )
                converted = converted.set_column(index, field.name, same)
        yield converted


def _converted(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """Convert a column; None if the way back does not lead to the same values."""
    try:
        converted = column.cast(kind)
        back = converted.cast(column.type)
    except _NOT_CONVERTIBLE:
        return None
    return converted if _is_same(column, back) else None


def _is_same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    if pa.types.is_floating(one.type):  # not a number is not equal to itself
        numbers = pc.fill_null(pc.is_nan(one), False)
        if not numbers.equals(pc.fill_null(pc.is_nan(other), False)):
            return False
        one = pc.if_else(numbers, pa.scalar(0, one.type), one)
        other = pc.if_else(numbers, pa.scalar(0, other.type), other)
    return bool(one.equals(other))
