"""Which columns of a source are captions. Which of them a sample uses is decided in `captions`."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from dataset_assets.errors import MissingColumn, UnreadableSource
from dataset_assets.training.layout import SourceOptions

_KINDS = ("caption", "prompt", "description")
_PREFIXES = ("", "alt_", "image_", "image_alt_", "video_", "video_alt_")
#: Names that mean a caption when no columns are given: those of finetrainers.
CAPTION_COLUMNS = (
    "txt",
    "text",
    "short_caption",
    "long_caption",
    "short_prompt",
    "long_prompt",
    *(f"{prefix}{kind}{s}" for prefix in _PREFIXES for kind in _KINDS for s in ("", "s")),
    *(f"{prefix}alt_text{s}" for prefix in ("", "image_", "video_") for s in ("", "s")),
)
_KNOWN = frozenset(CAPTION_COLUMNS)


def caption_columns(available: Collection[str], options: SourceOptions, where: str) -> list[str]:
    """Return the columns with captions, in the order of the options, or else of the source.

    Args:
        available: columns of the source.
        options: which ones are captions.
        where: the file, for the error.

    Raises:
        MissingColumn: the source lacks one that the options name, or has none with a common name.
    """
    if options.caption_columns:
        missing = [name for name in options.caption_columns if name not in available]
        if missing:
            raise MissingColumn(
                f"{where}: expected the caption columns {', '.join(options.caption_columns)}, got "
                f"no {', '.join(missing)} among {_shown(available)}; correct caption_columns"
            )
        return list(options.caption_columns)
    found = [name for name in available if name in _KNOWN]
    if not found:
        raise MissingColumn(
            f"{where}: expected a column with a common name of captions (caption, text, prompt, "
            f"...), got {_shown(available)}; set caption_columns"
        )
    return found


def is_caption(name: str, options: SourceOptions) -> bool:
    """Tell whether a column of a sample is a caption, where samples differ in their columns."""
    return name in (options.caption_columns or _KNOWN)


def split_columns(
    values: Mapping[str, Any], captions: Sequence[str], but: Collection[str] = ()
) -> tuple[dict[str, str], dict[str, object]]:
    """Divide a row into captions and other columns.

    A list of captions counts as its first text, and stays whole among the other columns. Captions
    that are null or have only white space are left out.

    Args:
        values: column -> value.
        captions: the columns with captions.
        but: columns to leave out.
    """
    texts = {name: caption_text(values.get(name)) for name in captions}
    columns = {
        name: plain(value)
        for name, value in values.items()
        if name not in but and (name not in texts or isinstance(value, list))
    }
    return {name: text for name, text in texts.items() if text}, columns


def caption_text(value: Any) -> str:
    """Return the text of a caption; "" for a missing one.

    Raises:
        UnreadableSource: the value is not text.
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, bytes):
        value = _decoded(value)
    if isinstance(value, Mapping | list):
        raise UnreadableSource(
            f"expected text in each caption column, got {str(value)[:80]}; set caption_columns"
        )
    return "" if value is None else str(value).strip()


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as exc:
        raise UnreadableSource(
            f"expected captions in UTF-8, got {value[:40]!r}; convert them, or set caption_columns"
        ) from exc


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it; bytes become their number."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return len(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _shown(available: Collection[str]) -> str:
    return ", ".join(available) or "no columns"
