"""Metadata values for the pages of the Dagster UI. Small, escaped, and free of secrets; numbers stay numbers so that they can be plotted.

What is below 1,000 characters shows at once, so charts are tiny SVGs; a picture goes inline below 10 KB and is linked above.
Every value is one event row per partition: a materialization stays below 100 KB.
"""

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pyarrow as pa

MAX_CELL = 120
MAX_TABLE_ROWS = 50
MAX_INLINE_BYTES = 10_000
_CHART_POINTS = 40


def plain_text(value: object, limit: int = MAX_CELL) -> str:
    """Return a value as one line without control characters. A url loses its query, fragment and password."""
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", "" if value is None else str(value))
    text = re.sub(r"https?://\S+", lambda found: _bare_url(found.group()), text)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def markdown_text(value: object, limit: int = MAX_CELL) -> str:
    """Return a value as text that markdown and HTML show as it is."""
    return re.sub(
        r"([\\`*_{}\[\]()#+!|~>])", r"\\\1", html.escape(plain_text(value, limit), quote=True)
    )


def table(rows: Iterable[Mapping[str, object]]) -> dg.MetadataValue:
    """Show rows as a table. At most `MAX_TABLE_ROWS`. Cells are numbers or plain text, which the UI escapes."""
    records = [
        dg.TableRecord({name: _cell(value) for name, value in row.items()})
        for row, _ in zip(rows, range(MAX_TABLE_ROWS), strict=False)
    ]
    if not records:
        return dg.MetadataValue.text("none")
    columns = [dg.TableColumn(name, _column_type(value)) for name, value in records[0].data.items()]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


_COLUMNS = {
    "url": "as in the list",
    "caption": "as in the list",
    "key": "name of the sample in the shard",
    "status": "success, failed_to_download or failed_to_resize",
    "error_message": "what went wrong, in words",
    "width": "px, as stored",
    "height": "px, as stored",
    "original_width": "px, as fetched",
    "original_height": "px, as fetched",
    "exif": "tags as JSON",
    "md5": "of the bytes as fetched",
    "sha256": "of the bytes as fetched",
    "sha512": "of the bytes as fetched",
    "cause": "why there is no sample, out of a fixed list",
    "http_status": "of the last answer",
    "content_type": "as the server says",
    "final_url": "where redirects led to",
    "extension": "of the stored payload",
    "trailing_bytes": "behind the end of the image as fetched",
    "offset": "of the payload in the sample file, bytes",
    "bytes": "length of the payload",
}


def column_schema(schema: pa.Schema) -> dg.MetadataValue:
    """Show the columns of a Parquet file."""
    columns = [
        dg.TableColumn(
            field.name,
            str(field.type),
            description=_COLUMNS.get(field.name),
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in schema
    ]
    return dg.MetadataValue.table_schema(dg.TableSchema(columns))


def causes_table(causes: Mapping[str, int], rows: int) -> dg.MetadataValue:
    """Show failed rows by cause, most frequent first."""
    return table(
        {"cause": cause, "rows": count, "share": share(count, rows)}
        for cause, count in causes.items()
    )


def share(part: int, whole: int) -> float:
    """Return a part of a whole, 0 to 1, with four digits."""
    return round(part / whole, 4) if whole else 0.0


def sparkline(shares: Sequence[float]) -> dg.MetadataValue:
    """Draw values between 0 and 1 as a line, below 1,000 characters whatever their number."""
    step = max(1, -(-len(shares) // _CHART_POINTS))
    means = [
        sum(part := shares[start : start + step]) / len(part)
        for start in range(0, len(shares), step)
    ]
    width = max(1, len(means) - 1) * 6
    points = " ".join(
        f"{index * 6},{round(30 * (1 - value)) + 2}" for index, value in enumerate(means)
    )
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width + 4}' height='34' viewBox='-2 0 {width + 4} 34'>"
        f"<path d='M0 2H{width}M0 32H{width}' stroke='#ccc'/><polyline points='{points}' fill='none' stroke='#2a7' stroke-width='2'/></svg>"
    )
    return _inline_picture(
        f"success, {min(shares):.1%} to {max(shares):.1%}", "svg+xml", svg.encode()
    )


def picture(jpeg: bytes) -> dg.MetadataValue:
    """Show a small JPEG inline.

    Raises:
        ValueError: it is too large for an event row: write it to the store and link it.
    """
    if len(jpeg) > MAX_INLINE_BYTES:
        raise ValueError(f"expected at most {MAX_INLINE_BYTES} bytes, got {len(jpeg)}")
    return _inline_picture("samples", "jpeg", jpeg)


def link(address: str) -> dg.MetadataValue:
    """Link to an object of a store: a path with a copy button, or a url."""
    return (
        dg.MetadataValue.url(address)
        if address.startswith(("http://", "https://"))
        else dg.MetadataValue.path(address)
    )


def _inline_picture(title: str, kind: str, data: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(
        f"![{title}](data:image/{kind};base64,{base64.b64encode(data).decode()})"
    )


def _bare_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.partition("?")[0]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{'?…' if parts.query else ''}"


def _cell(value: object) -> Any:
    return value if isinstance(value, int | float) else plain_text(value)


def _column_type(value: object) -> str:
    return "string" if isinstance(value, str) else "float" if isinstance(value, float) else "int"
