"""Images or videos with one metadata file: `metadata.csv`, `.json`, `.jsonl` or `.parquet`.

    metadata.csv  0001.jpg  0002.jpg ...        or        train/metadata.jsonl  train/0001.jpg ...

The column `file_name` (or `image_file_name`, `video_file_name`) has paths relative to the folder of
the metadata file.
Format: https://huggingface.co/docs/datasets/image_load#imagefolder; `metadata.json`, which
finetrainers names, is read too.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from dataset_assets.errors import MissingColumn, UnreadableSource
from dataset_assets.records.training import MediaSample
from dataset_assets.training.caption_columns import caption_columns, split_columns
from dataset_assets.training.layout import (
    CAPTION,
    PAYLOAD_FILE,
    Claim,
    LeftOut,
    SourceOptions,
    file_sample,
    named_split,
    payload_files,
    some,
)
from dataset_assets.training.media import medium_of, stem_of, suffix_of
from dataset_assets.training.places import Place
from dataset_assets.training.tables import Row, read_rows

METADATA = ("metadata.csv", "metadata.json", "metadata.jsonl", "metadata.parquet")
FILE_NAME_COLUMNS = ("file_name", "image_file_name", "video_file_name")


class Layout:
    """Reads metadata files."""

    is_exclusive: ClassVar[bool] = False

    @staticmethod
    def claim(place: Place) -> Claim | None:
        found = _metadata_files(place)
        if not found:
            return None
        return Claim(some(found), frozenset([*found, *payload_files(place.files)]))

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        listed: set[str] = set()
        chosen = _chosen(place, options)
        for name in chosen:
            for key, sample in _samples(place, name, options, left_out):
                listed.add(key)
                if sample is not None:
                    yield sample
        if options.metadata_file is not None:
            return  # one list of several has a part of the files
        folders = tuple(name.removesuffix(name.rpartition("/")[2]) for name in chosen)
        for key in payload_files(place.files):
            is_wanted = options.wants(medium_of(suffix_of(key)))
            if is_wanted and key not in listed and key.startswith(folders):
                left_out.add(CAPTION, f"{key}, which no metadata file lists")


def _metadata_files(place: Place) -> list[str]:
    return [key for key in place.files if key.rpartition("/")[2].lower() in METADATA]


def _chosen(place: Place, options: SourceOptions) -> list[str]:
    """Return the metadata files of the split, one for each folder.

    Raises:
        UnreadableSource: there is none, or a folder has several.
    """
    found = _metadata_files(place)
    if options.metadata_file is not None:
        if options.metadata_file not in place.files:
            raise UnreadableSource(
                f"{place.url}: expected the metadata file {options.metadata_file}, got "
                f"{some(found) or 'no metadata file'}; correct metadata_file"
            )
        return [options.metadata_file]
    if not found:
        raise UnreadableSource(
            f"{place.url}: expected a metadata file ({', '.join(METADATA)}), got none; add one"
        )
    by_folder: dict[str, list[str]] = {}
    for key in named_split(place, found, options.split):
        by_folder.setdefault(key.rpartition("/")[0], []).append(key)
    several = next((keys for keys in by_folder.values() if len(keys) > 1), None)
    if several:
        raise UnreadableSource(
            f"{place.url}: expected exactly one metadata file ({', '.join(METADATA)}), got "
            f"{' and '.join(several)}; keep one of them, or set metadata_file"
        )
    return [keys[0] for keys in by_folder.values()]


def _samples(
    place: Place, name: str, options: SourceOptions, left_out: LeftOut
) -> Iterator[tuple[str, MediaSample | None]]:
    """Yield the key of the file of each row, and its sample if it is complete."""
    where = place.store.locate(name)
    table = read_rows(place.store.read(name), suffix_of(name), where)
    file_column = _file_column(table.columns, options, where)
    captions = caption_columns(table.columns, options, where)
    for number, row in enumerate(table.rows, 1):
        path = _path(row, file_column, f"{where}, row {number}")
        key = place.resolve(path, name)
        if not options.wants(medium_of(suffix_of(path))):
            continue
        texts, columns = split_columns(row, captions, {file_column})
        if key not in place.files:
            left_out.add(PAYLOAD_FILE, f"{path} ({name}, row {number})")
            yield key, None
        elif not texts:
            left_out.add(CAPTION, f"{path} ({name}, row {number})")
            yield key, None
        else:
            yield key, file_sample(place, key, stem_of(key), texts, columns)


def _path(row: Row, column: str, where: str) -> str:
    path = row.get(column)
    if not isinstance(path, str) or not medium_of(suffix_of(path)):
        raise UnreadableSource(
            f"{where}: expected the path of an image or video in the column {column!r}, got "
            f"{path!r}; correct the row"
        )
    return path


def _file_column(available: Sequence[str], options: SourceOptions, where: str) -> str:
    wanted = [options.payload_column] if options.payload_column else FILE_NAME_COLUMNS
    found = [name for name in wanted if name in available]
    if len(found) > 1:
        found = [name for name in found if name == f"{options.medium}_file_name"] or found
    if len(found) != 1:
        got = " and ".join(found) if found else f"the columns {', '.join(available) or 'none'}"
        raise MissingColumn(
            f"{where}: expected one column of file names ({', '.join(wanted)}), got {got}; set "
            "payload_column"
        )
    return found[0]
