"""Rows out of the members of an archive, the same in every `datasets` version. Standard library only: the text of this module is part of the legacy loading script.

Two layouts are understood, by the names alone: `rec/cam.0000.pgm` ... `rec/cam.json` (WebDataset), and `rec/cam/frame_0.pgm` (one folder per video).
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

_VALUES = {"double": "float64", "float": "float32"}  # Arrow name -> name in `datasets`


def row_features(media: str, columns: dict[str, str]) -> dict[str, Any]:
    """Return the features of the rows, as JSON that every `datasets` understands. `media` and `columns` are those of the manifest."""
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
    """Yield (unique id, row) of every sample of an archive, the last one too. `expected` samples; -1 when nobody knows.

    Raises:
        ValueError: the archive is cut, or its members are not what an archive of samples has.
    """
    count = 0
    for key, members in _samples(archive, label, media):
        yield f"{label}:{count}", _row(key, members, media, columns)
        count += 1
    if expected not in (
        -1,
        count,
    ):  # tarfile does not notice a tar that was cut between two members
        raise ValueError(
            f"{label}: {count} samples, expected {expected}; the archive is cut or is another version: download it again"
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
                f"{label}: the members of {key!r} are not together; sort the archive by name"
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
            f"{label}: refused the member {name!r}: expected a relative name that stays in its folder"
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
        payloads.sort(
            key=lambda payload: _frame_number(payload[0])
        )  # stable: frames without a number stay as they are
        row.update(
            video=[{"bytes": data, "path": field} for field, data in payloads],
            n_frames=len(payloads),
        )
    else:
        part, data = payloads[0]
        stored = {"bytes": data, "path": part if "." in part else f"{folders[-1]}.{part}"}
        row.update(
            {"image": stored}
            if media == "image"
            else {"file": stored, "extension": part.rpartition(".")[2]}
        )
    return row


def _from_folders(folders: list[str]) -> dict[str, Any]:
    return {"recording": folders[0], "camera": "/".join(folders[1:]) or None}


def _frame_number(name: str) -> int:
    numbers = re.findall(r"\d+", name.rpartition(".")[0])
    return int(numbers[-1]) if numbers else -1
