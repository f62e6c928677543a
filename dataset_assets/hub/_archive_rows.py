"""Turns the members of an archive into rows, in the same way in every version of `datasets`.

The text of this module is part of the legacy loading script, so it imports the standard library
only. It knows two layouts, by member names alone: `rec/cam.0000.pgm` ... `rec/cam.json`
(WebDataset), and `rec/cam/frame_0.pgm` (one folder per video).
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

_VALUES = {"double": "float64", "float": "float32"}  # Arrow name -> name in `datasets`


def row_features(media: str, columns: dict[str, str]) -> dict[str, Any]:
    """Return the features of the rows, in the JSON form that every version of `datasets` reads.

    `media` and `columns` are those of the manifest.
    """
    file = {
        "bytes": {"dtype": "binary", "_type": "Value"},
        "path": {"dtype": "string", "_type": "Value"},
    }
    payload: dict[str, dict[str, Any]] = {
        "frames": {
            "video": {"feature": {"_type": "Image"}, "_type": "Sequence"},
            "n_frames": {"dtype": "int32", "_type": "Value"},
        },
        "image": {"image": {"_type": "Image"}},
        "file": {"file": file, "extension": {"dtype": "string", "_type": "Value"}},
    }
    values = {
        name: {"dtype": _VALUES.get(kind, kind), "_type": "Value"}
        for name, kind in {"key": "string", **columns}.items()
    }
    return {
        **payload[media],
        **{name: value for name, value in values.items() if name not in payload[media]},
    }


def archive_rows(
    archive: Iterable[tuple[str, BinaryIO]],
    label: str,
    expected: int,
    media: str,
    columns: dict[str, str],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (unique id, row) of every sample of an archive.

    `expected` is the number of samples, -1 when unknown.

    Raises:
        ValueError: the archive is truncated, or its members do not form samples.
    """
    count = 0
    for key, members in _samples(archive, label, media):
        yield f"{label}:{count}", _row(key, members, media, columns)
        count += 1
    # tarfile does not notice a tar that was truncated between two members.
    if expected not in (-1, count):
        raise ValueError(
            f"{label}: expected {expected} samples, got {count}; the archive is truncated or "
            "another version: download it again"
        )


def _samples(
    archive: Iterable[tuple[str, BinaryIO]], label: str, media: str
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    current = ""
    members: list[tuple[str, bytes]] = []
    seen: set[str] = set()
    for name, file in archive:
        key, field = _split_name(name, label, media)
        if members and key != current:
            yield current, members
            members = []
        if not members and key in seen:
            raise ValueError(
                f"{label}: the members of {key!r} are not adjacent; sort the archive by name"
            )
        current = key
        seen.add(key)
        members.append((field, file.read()))
    if members:
        yield current, members


def _split_name(name: str, label: str, media: str) -> tuple[str, str]:
    parts = name[2:].split("/") if name.startswith("./") else name.split("/")
    if "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(
            f"{label}: refused a member: expected a relative name inside the folder, got {name!r}"
        )
    stem, _, extension = parts[-1].partition(".")
    one_folder_per_sample = (
        media == "frames" and len(parts) > 1 and extension != "json" and "." not in extension
    )
    if one_folder_per_sample:
        return "/".join(parts[:-1]), parts[-1]
    return "/".join([*parts[:-1], stem]), extension


def _row(
    key: str, members: list[tuple[str, bytes]], media: str, columns: dict[str, str]
) -> dict[str, Any]:
    folders = key.split("/")
    row = dict.fromkeys(columns) | {
        name: value for name, value in _from_folders(folders).items() if name in columns
    }
    sidecar = [data for field, data in members if field == "json"] if len(members) > 1 else []
    payloads = [member for member in members if member[0] != "json" or not sidecar]
    for data in sidecar:
        row.update({name: value for name, value in json.loads(data).items() if name in columns})
    row["key"] = key
    if media == "frames":
        # A stable sort: frames without a number keep their order.
        payloads.sort(key=lambda payload: _frame_number(payload[0]))
        row.update(
            video=[{"bytes": data, "path": field} for field, data in payloads],
            n_frames=len(payloads),
        )
    else:
        part, data = payloads[0]
        stored = {"bytes": data, "path": part if "." in part else f"{folders[-1]}.{part}"}
        if media == "image":
            row["image"] = stored
        else:
            row.update(file=stored, extension=part.rpartition(".")[2])
    return row


def _from_folders(folders: list[str]) -> dict[str, Any]:
    return {"recording": folders[0], "camera": "/".join(folders[1:]) or None}


def _frame_number(name: str) -> int:
    numbers = re.findall(r"\d+", name.rpartition(".")[0])
    return int(numbers[-1]) if numbers else -1
