"""Where lists come from: a file, a folder or a glob in any store, or memory.

A folder stands for the files directly in it whose names end in `input_format`, with any
compression. Hidden files (`.x`, `_x`) and the files of a shard set in the folder are no lists.
"""

import logging
import lzma
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, EmptyList, ListChanged, UnreadableList
from dataset_assets.redaction import redact
from dataset_assets.storage.store import ObjectInfo, Store, open_store
from dataset_assets.urls._memory import memory_list
from dataset_assets.urls.columns import checked_urls
from dataset_assets.urls.lists import (
    AUTO,
    COMPRESSIONS,
    ListFile,
    ListOptions,
    UrlList,
    split_format,
)

logger = logging.getLogger(__name__)

#: The format that takes whatever a file holds.
_ANY_LINES = "txt"
_OTHER_SUFFIXES = {"ndjson": "jsonl"}
_RECORD = "_stats.json"
_UNREADABLE = (
    pa.ArrowException,
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    UnicodeError,
    RecursionError,
)


def open_lists(source: Any, options: ListOptions) -> list[UrlList]:
    """Find the lists of a source, sorted by name. Nothing is read yet.

    Raises:
        EmptyList: there is no list.
        ConfigurationError: the source is of a type that cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        found = find_files(os.fspath(source), options.input_format)
        _warn_of_other_names([file for file, _ in found])
        return [
            UrlList(file.name, partial(_read, file, options), info.bytes, info.modified)
            for file, info in found
        ]
    return [memory_list(source, options)]


def _warn_of_other_names(files: Sequence[ListFile]) -> None:
    """Say so when files are read as txt, which takes any line for a URL, against their names."""
    others = [file for file in files if file.input_format == _ANY_LINES]
    others = [file for file in others if _format_of(file.key, AUTO) not in (None, _ANY_LINES)]
    if others:
        logger.warning(
            "expected names of txt lists, got %s%s: each line is read as a URL; set input_format "
            "to the format of the list, or to 'auto' to go by the name",
            others[0].name,
            f" and {len(others) - 1} more" if len(others) > 1 else "",
        )


def find_files(source: str, input_format: str) -> list[tuple[ListFile, ObjectInfo]]:
    """Find the files of a path, folder or glob."""
    parent, key = _split(source)
    store = open_store(parent)
    info = store.info(key) if key else None
    if info is not None:
        return [(_list_file(store, info, _format_of_file(key, input_format)), info)]
    # A glob selects the files, unless their formats are detected from their names.
    by_name = not _is_glob(source) or input_format == AUTO
    if _is_glob(source):
        store, pattern = _split_glob(source)
        there = list(store.list(recursive="/" in pattern or "**" in pattern))
        from fsspec.utils import glob_translate  # takes 25 ms to import, for globs only

        chosen = [info for info in there if re.match(glob_translate(pattern), info.key)]
    else:
        store = store.child(key) if key else store
        there = chosen = list(store.list(recursive=False))
    shard_files = _shard_files(there)
    files = []
    for info in chosen:
        name = _format_of(info.key, input_format) if by_name else split_format(input_format)[0]
        if name and not _is_hidden(info.key) and info.key not in shard_files:
            files.append((_list_file(store, info, name), info))
    if not files:
        raise EmptyList(_nothing_found(source, input_format, chosen))
    return files


def _list_file(store: Store, info: ObjectInfo, name: str) -> ListFile:
    try:
        store.locate(info.key).encode()
    except UnicodeEncodeError as exc:
        shown = store.locate(info.key).encode(errors="backslashreplace").decode()
        raise ConfigurationError(
            f"url_list: expected a file name in UTF-8, got {shown}; rename the file"
        ) from exc
    return ListFile(store.locate(info.key), name, store, info.key)


def _read(file: ListFile, options: ListOptions) -> Iterator[pa.Table]:
    """Read a list with the reader of its format.

    Raises:
        UnreadableList: the list is not of its format, or has no URLs in their column.
        ListChanged: the file was written to while it was read.
    """
    before = file.info()
    rows = 0
    try:
        tables = registry.load("input_format", file.input_format)(options).read(file)
        for table in checked_urls(tables, options.url_col, file.name):
            yield table
            rows += table.num_rows
    except _UNREADABLE as exc:
        raise UnreadableList(
            f"{file.name} cannot be read as {file.input_format} after row {rows:,}: "
            f"{redact(str(exc))}; check that the file is complete, or correct input_format"
        ) from exc
    if file.info() != before:
        raise ListChanged(
            f"{file.name} was changed while it was read, and nothing of it was planned; run again "
            "when it is complete"
        )


def _split(source: str) -> tuple[str, str]:
    """Split a path or URL into the URL of the store around it and its key ("" for a root)."""
    if not source:
        raise ConfigurationError("url_list: expected a path or URL, got an empty text")
    scheme, separator, rest = source.partition("://")
    if not separator or scheme == "file":
        path = os.path.expanduser(rest if separator else source)
        parent, key = os.path.split(os.path.abspath(path))
        return (f"file://{parent}" if separator else parent), key
    parent, slash, key = rest.rstrip("/").rpartition("/")
    return (f"{scheme}://{parent}", key) if slash else (source, "")


def _is_glob(source: str) -> bool:
    # In a web address, "?" starts the query.
    pattern = r"[*\[]" if source.startswith(("http://", "https://")) else r"[*?\[]"
    return re.search(pattern, source) is not None


def _split_glob(pattern: str) -> tuple[Store, str]:
    """Split a glob into the store of its fixed folders and the rest."""
    base = re.split(r"[*?\[]", pattern, maxsplit=1)[0].rpartition("/")[0]
    rest = pattern[len(base) :].lstrip("/")
    if base.endswith(":/"):
        return open_store(f"{base}/"), rest
    return open_store(base or ("/" if pattern.startswith("/") else ".")), rest


def _format_of(key: str, input_format: str) -> str | None:
    """Return the reader of a file, None if its name does not end in `input_format`."""
    suffixes = key.rpartition("/")[2].lower().split(".")[1:]
    compression = suffixes.pop() if suffixes and suffixes[-1] in COMPRESSIONS else ""
    suffix = suffixes[-1] if suffixes else ""
    name = _OTHER_SUFFIXES.get(suffix, suffix)
    wanted, wanted_compression = split_format(input_format)
    if wanted_compression and compression.removesuffix("d") != wanted_compression.removesuffix("d"):
        return None
    return name if wanted in (AUTO, name) and registry.has("input_format", name) else None


def _format_of_file(key: str, input_format: str) -> str:
    if input_format != AUTO:
        return split_format(input_format)[0]
    name = _format_of(key, input_format)
    if name is None:
        known = ", ".join(registry.names("input_format"))
        raise ConfigurationError(
            f"input_format 'auto': expected a file name that ends in one of {known}, got {key!r}; "
            "set input_format"
        )
    return name


def _is_hidden(key: str) -> bool:
    return any(part.startswith((".", "_")) for part in key.split("/"))


def _shard_files(infos: Sequence[ObjectInfo]) -> set[str]:
    """Return the keys of shards: those beside a record of the same name, and their manifests."""
    stems = {info.key.removesuffix(_RECORD) for info in infos if info.key.endswith(_RECORD)}
    manifests = {f"{stem.rpartition('/')[0]}/manifest.json".lstrip("/") for stem in stems}
    beside = {f"{stem}{suffix}" for stem in stems for suffix in (_RECORD, ".parquet")}
    return manifests | beside


def _nothing_found(source: str, input_format: str, infos: Sequence[ObjectInfo]) -> str:
    there = Counter(
        "." + info.key.rpartition("/")[2].partition(".")[2]
        for info in infos
        if not _is_hidden(info.key)
    )
    found = f"No file found at path {redact(source)} with extension {input_format}"
    if not there:
        return (
            f"{found}: no such file or folder with files; check the path, and that the credentials "
            "may list it"
        )
    holds = ", ".join(f"{count} {suffix}" for suffix, count in there.most_common(5))
    return (
        f"{found}: there is {holds}. Set input_format to the format of the lists, or name a file, "
        "a folder or a glob that has some"
    )
