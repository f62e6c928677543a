"""Metadata values for the pages of the Dagster UI: small, escaped, and without secrets.

Numbers stay numbers, so that the UI can plot them. The UI shows a value at once if it is below
1,000 characters, so charts are tiny SVGs; images up to 10 KB are inline, larger ones are linked.
Each value is one event row per partition: keep a materialization below 100 KB.
"""

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import dagster as dg
import pyarrow as pa

from dataset_assets.redaction import redact

MAX_CELL = 120
MAX_TABLE_ROWS = 50
MAX_INLINE_BYTES = 10_000
_CHART_POINTS = 40
_SHOWN_PROBLEMS = 20
_MAX_PROBLEM = 500

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_URL_TAIL = re.compile(r"(https?://[^\s?#]*)(\?[^\s#]*)?(#\S*)?")


def plain_text(value: object, limit: int = MAX_CELL) -> str:
    """Return a value as one redacted line without control characters.

    An http URL loses its query and fragment too, secret or not.
    """
    text = _CONTROLS.sub(" ", "" if value is None else str(value))
    text = _URL_TAIL.sub(lambda found: found[1] + ("?…" if found[2] else ""), redact(text))
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def markdown_text(value: object, limit: int = MAX_CELL) -> str:
    """Return a value as text that Markdown and HTML show literally."""
    escaped = html.escape(plain_text(value, limit), quote=True)
    return re.sub(r"([\\`*_{}\[\]()#+!|~>])", r"\\\1", escaped)


def problem_list(problems: Sequence[str]) -> str:
    """Return the first problems as a Markdown list; "" if there are none."""
    shown = problems[:_SHOWN_PROBLEMS]
    return "\n".join(f"* {markdown_text(problem, _MAX_PROBLEM)}" for problem in shown)


def table(rows: Iterable[Mapping[str, object]]) -> dg.MetadataValue:
    """Show at most `MAX_TABLE_ROWS` rows. Cells are numbers or plain text, which the UI escapes."""
    records = [
        dg.TableRecord({name: _cell(value) for name, value in row.items()})
        for row in islice(rows, MAX_TABLE_ROWS)
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
    "error_message": "details of the failure",
    "width": "px, as stored",
    "height": "px, as stored",
    "original_width": "px, as downloaded",
    "original_height": "px, as downloaded",
    "exif": "tags as JSON",
    "md5": "of the downloaded bytes",
    "sha256": "of the downloaded bytes",
    "sha512": "of the downloaded bytes",
    "cause": "why there is no sample, from a fixed list",
    "http_status": "of the last response",
    "content_type": "as sent by the server",
    "final_url": "after redirects",
    "extension": "of the stored payload",
    "trailing_bytes": "after the end of the image, as downloaded",
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
    """Draw values from 0 to 1 as a line, in less than 1,000 characters for any number of values."""
    size = max(1, -(-len(shares) // _CHART_POINTS))
    chunks = [shares[start : start + size] for start in range(0, len(shares), size)]
    means = [sum(chunk) / len(chunk) for chunk in chunks]
    width = max(1, len(means) - 1) * 6
    points = " ".join(
        f"{index * 6},{round(30 * (1 - value)) + 2}" for index, value in enumerate(means)
    )
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width + 4}' height='34' "
        f"viewBox='-2 0 {width + 4} 34'><path d='M0 2H{width}M0 32H{width}' stroke='#ccc'/>"
        f"<polyline points='{points}' fill='none' stroke='#2a7' stroke-width='2'/></svg>"
    )
    title = f"success, {min(shares):.1%} to {max(shares):.1%}"
    return _data_image(title, "svg+xml", svg.encode())


def inline_image(jpeg: bytes) -> dg.MetadataValue:
    """Show a small JPEG inline.

    Raises:
        ValueError: it is too large for an event row; write it to the store and link it.
    """
    if len(jpeg) > MAX_INLINE_BYTES:
        raise ValueError(f"expected at most {MAX_INLINE_BYTES} bytes, got {len(jpeg)}")
    return _data_image("samples", "jpeg", jpeg)


def link(address: str) -> dg.MetadataValue:
    """Link to an object of a store: a URL, or a path with a copy button."""
    if address.startswith(("http://", "https://")):
        return dg.MetadataValue.url(address)
    return dg.MetadataValue.path(address)


def _data_image(title: str, kind: str, data: bytes) -> dg.MetadataValue:
    encoded = base64.b64encode(data).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/{kind};base64,{encoded})")


def _cell(value: object) -> Any:
    return value if isinstance(value, int | float) else plain_text(value)


def _column_type(value: object) -> str:
    if isinstance(value, str):
        return "string"
    return "float" if isinstance(value, float) else "int"
