"""Validation sets: rows of captions and settings with which a model is sampled during training.

A csv, json (under "data"), jsonl, parquet or arrow file. `caption` is required; the other fields of
`ValidationSample` are optional, and `""`, null and NaN are as good as no value. Further columns are
kept.
Source: docs/dataset/README.md of finetrainers, "Validation Dataset Format".
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dataset_assets import checks
from dataset_assets.errors import EmptyList, MissingColumn, UnreadableSource
from dataset_assets.storage.store import open_store
from dataset_assets.training.caption_columns import plain
from dataset_assets.training.media import suffix_of
from dataset_assets.training.tables import FORMATS, read_rows
from dataset_assets.training.validation_set import MissingFile, ValidationSample, ValidationSet

logger = logging.getLogger(__name__)

MISSING_FILES = ("error", "warning")
PATHS = ("image_path", "video_path", "control_image_path", "control_video_path")
_INTEGERS = ("num_inference_steps", "height", "width", "num_frames")
_ON_THE_WEB = ("http://", "https://")


def open_validation_set(url: str, *, missing_files: str = "error") -> ValidationSet:
    r"""Read a validation set.

    Args:
        url: of the file, in any store. Paths in it are relative to its folder, unless they are
            absolute or URLs.
        missing_files: what to do about files that rows name and that are not there: "error", or
            "warning" to go on without them. Addresses on the web are not looked up.

    Raises:
        ConfigurationError: the option is neither of them.
        ObjectMissing: there is no such file.
        UnreadableSource: it is not of its format, has a value of another type, or names missing
            files.
        MissingColumn: it has no column `caption`.
        EmptyList: it has no rows.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / "validation.csv"
        >>> _ = path.write_text("caption,height,num_frames\nA goat.,480,\n")
        >>> rows = open_validation_set(str(path))
        >>> rows.samples[0].height, rows.samples[0].num_frames
        (480, None)
    """
    checks.one_of("missing_files", missing_files, MISSING_FILES)
    folder, slash, name = url.rpartition("/")
    data = open_store(folder or (slash or ".")).read(name)
    samples = parse_validation_set(data, suffix_of(name), url)
    found = [_with_files(sample, folder, row) for row, sample in enumerate(samples)]
    missing = tuple(each for _, lacks in found for each in lacks)
    if missing:
        _report(missing, url, missing_files)
    return ValidationSet(tuple(sample for sample, _ in found), missing)


def parse_validation_set(data: bytes, suffix: str, where: str) -> tuple[ValidationSample, ...]:
    """Parse the rows of a validation set; whether their files are there is not looked up.

    Args:
        data: the bytes of the file.
        suffix: its format: "csv", "json", "jsonl", "parquet" or "arrow".
        where: its address, for errors.

    Raises:
        UnreadableSource, MissingColumn, EmptyList: as `open_validation_set` does.
    """
    if suffix not in FORMATS:
        raise UnreadableSource(
            f"{where}: expected a file of the formats {', '.join(FORMATS)}, got {suffix!r}; "
            "convert it"
        )
    table = read_rows(data, suffix, where)
    if not table.rows:
        raise EmptyList(f"{where}: expected rows to validate with, got none; add some")
    if "caption" not in table.columns:
        raise MissingColumn(
            f"{where}: expected a column 'caption', got {', '.join(table.columns) or 'none'}; add "
            "it"
        )
    return tuple(_sample(row, f"{where}, row {number}") for number, row in enumerate(table.rows))


def _sample(values: Mapping[str, Any], where: str) -> ValidationSample:
    given = {name: value for name, value in values.items() if not _is_missing(value)}
    if "caption" not in given:
        raise UnreadableSource(f"{where}: expected a caption, got none; add it, or remove the row")
    typed = {
        name: _typed(name, given[name], convert, where)
        for name, convert in _FIELDS.items()
        if name in given
    }
    others = {name: plain(value) for name, value in given.items() if name not in _FIELDS}
    return ValidationSample(**typed, columns=others)


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _typed(name: str, value: Any, convert: Callable[[Any], Any], where: str) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, OverflowError) as exc:
        raise UnreadableSource(
            f"{where}: {name}: expected {_EXPECTED[convert]}, got {value!r}; correct it"
        ) from exc


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value.strip()


def _count(value: Any) -> int:
    """Accept 49, 49.0 (a column of numbers with gaps) and their text."""
    number = _rate(value)
    if not number.is_integer():
        raise ValueError("not an integer")
    return int(number)


def _rate(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError("a boolean")
    number = float(value)
    if not 0 < number < math.inf:
        raise ValueError("not above 0")
    return number


_EXPECTED: dict[Callable[[Any], Any], str] = {
    _text: "text",
    _count: "an integer above 0",
    _rate: "a number above 0",
}
_FIELDS: dict[str, Callable[[Any], Any]] = {
    "caption": _text,
    **dict.fromkeys(PATHS, _text),
    **dict.fromkeys(_INTEGERS, _count),
    "frame_rate": _rate,
}


def _with_files(
    sample: ValidationSample, folder: str, row: int
) -> tuple[ValidationSample, list[MissingFile]]:
    """Make paths absolute, and leave those out whose files are not there."""
    paths: dict[str, str | None] = {}
    missing = []
    for name in PATHS:
        path = getattr(sample, name)
        if path is None or path.startswith(_ON_THE_WEB):
            continue
        paths[name] = _absolute(path, folder)
        if not _is_there(_absolute(path, folder)):
            paths[name] = None
            missing.append(MissingFile(row, name, path))
    return replace(sample, **paths), missing  # type: ignore[arg-type]  # of PATHS only


def _absolute(path: str, folder: str) -> str:
    if path.startswith("/") or "://" in path or not folder:
        return path
    return f"{folder}/{path}"


def _is_there(url: str) -> bool:
    folder, slash, name = url.rpartition("/")
    return bool(name) and open_store(folder or (slash or ".")).size(name) is not None


def _report(missing: tuple[MissingFile, ...], url: str, policy: str) -> None:
    shown = ", ".join(f"{each.path} (row {each.row}, {each.field})" for each in missing[:3])
    more = ", ..." if len(missing) > 3 else ""
    message = f"{url}: expected the files that rows name, got none for {shown}{more}"
    if policy == "error":
        raise UnreadableSource(
            f"{message}; correct the paths, or set missing_files to 'warning' to go on without them"
        )
    logger.warning("%s; the rows are used without them", message)
