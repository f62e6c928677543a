"""webdataset tars: members of equal names up to the first dot are a sample.

    00000.tar: 0001.jpg 0001.txt 0001.json 0002.jpg ...

Payloads are not read: a sample says where its member lies. Texts are captions, the fields of
`.json` captions or columns by their names. Keys begin with the name of the tar if tars share some.
Format: https://github.com/webdataset/webdataset#the-webdataset-format
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO, ClassVar

from dataset_assets.archives.opening import open_archive
from dataset_assets.archives.published_tar import TarArchive
from dataset_assets.archives.tar_reader import TarEntry
from dataset_assets.errors import UnreadableSource
from dataset_assets.records.training import MediaSample
from dataset_assets.records.typed_json import load_object
from dataset_assets.training.caption_columns import is_caption, split_columns
from dataset_assets.training.layout import (
    CAPTION,
    PAYLOAD,
    Claim,
    LeftOut,
    SourceOptions,
    named_split,
    some,
)
from dataset_assets.training.media import medium_of, stem_of
from dataset_assets.training.places import Place

_PACKED = (".tar.gz", ".tgz", ".tar.zst", ".tar.xz")
_MAX_TEXT_BYTES = 64 << 20
#: Members that become columns as text.
_TEXTS = ("cls", "id", "index", "url")


class Layout:
    """Reads tars."""

    is_exclusive: ClassVar[bool] = False

    @staticmethod
    def claim(place: Place) -> Claim | None:
        tars = [key for key in place.files if key.lower().endswith((".tar", *_PACKED))]
        if not tars:
            return None
        return Claim(f"{len(tars)} tars, such as {tars[0]}", frozenset(tars))

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        tars = [key for key in place.files if key.lower().endswith(".tar")]
        packed = [key for key in place.files if key.lower().endswith(_PACKED)]
        if packed or not tars:
            raise UnreadableSource(
                f"{place.url}: expected tars without compression, which can be read from any "
                f"position, got {some(packed) or 'none'}; unpack them"
            )
        yield from tar_samples(place, named_split(place, tars, options.split), options, left_out)


def tar_samples(
    place: Place, tars: Iterable[str], options: SourceOptions, left_out: LeftOut
) -> Iterator[MediaSample]:
    """Yield the samples of tars, with distinct keys.

    Raises:
        ArchiveCorrupt: a file is no tar, or damaged.
        UnreadableSource: a sample has several images or videos, or text that is not UTF-8.
    """
    samples = {tar: list(_samples(place, tar, options, left_out)) for tar in tars}
    keys = Counter(sample.key for each in samples.values() for sample in each)
    are_distinct = max(keys.values(), default=0) <= 1
    for tar, each in samples.items():
        for sample in each:
            yield sample if are_distinct else replace(sample, key=f"{stem_of(tar)}/{sample.key}")


def _samples(
    place: Place, tar: str, options: SourceOptions, left_out: LeftOut
) -> Iterator[MediaSample]:
    url = place.store.locate(tar)
    members: dict[str, dict[str, TarEntry]] = {}
    values: dict[str, dict[str, Any]] = {}
    with place.store.open_read(tar) as file:
        archive = open_archive(file, url)
        if not isinstance(archive, TarArchive) or archive.kind != "tar":
            raise UnreadableSource(
                f"{url}: expected a tar without compression, got a {archive.kind}; unpack it"
            )
        for entry in archive.entries():
            key, suffix = _key_and_suffix(entry.name)
            if suffix in members.setdefault(key, {}):
                raise UnreadableSource(
                    f"{url}: expected one member {entry.name}, got two; pack the tar again"
                )
            members[key][suffix] = entry
            if _is_text(suffix, options):
                data = _read_text(file, entry, url)
                values.setdefault(key, {}).update(_values(suffix, data, f"{url}: {entry.name}"))
    for key, found in members.items():
        payload = _payload(found, options, f"{url}: sample {key}")
        texts, columns = _captions(values.get(key, {}), options)
        if payload is None:
            if not any(medium_of(_last(suffix)) for suffix in found):
                left_out.add(PAYLOAD, f"{key} in {tar}")
        elif not texts:
            left_out.add(CAPTION, f"{key} in {tar}")
        else:
            entry = found[payload]
            yield MediaSample(
                key,
                medium_of(_last(payload)),
                url,
                _last(payload),
                size=entry.bytes,
                offset=entry.offset,
                captions=texts,
                columns=columns,
            )


def _read_text(file: BinaryIO, entry: TarEntry, url: str) -> bytes:
    if entry.bytes > _MAX_TEXT_BYTES:
        raise UnreadableSource(
            f"{url}: expected texts of at most {_MAX_TEXT_BYTES >> 20} MiB, got {entry.bytes:,} "
            f"bytes in {entry.name}; shorten it"
        )
    file.seek(entry.offset)
    return file.read(entry.bytes)


def _key_and_suffix(name: str) -> tuple[str, str]:
    """Split a member's name at the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", suffix.lower()


def _last(suffix: str) -> str:
    return suffix.rpartition(".")[2]


def _is_text(suffix: str, options: SourceOptions) -> bool:
    return suffix == "json" or suffix in _TEXTS or is_caption(suffix, options) or suffix == "txt"


def _values(suffix: str, data: bytes, where: str) -> dict[str, Any]:
    try:
        return load_object(data) if suffix == "json" else {suffix: str(data, "utf-8-sig")}
    except ValueError as exc:
        expected = "a JSON object" if suffix == "json" else "text in UTF-8"
        raise UnreadableSource(
            f"{where}: expected {expected}, got something else ({exc}); pack the tar again"
        ) from exc


def _captions(
    values: Mapping[str, Any], options: SourceOptions
) -> tuple[dict[str, str], dict[str, object]]:
    """Divide the values of a sample into captions and columns; members count before fields."""
    wanted = options.caption_columns or [name for name in values if is_caption(name, options)]
    return split_columns(values, list(wanted))


def _payload(found: Mapping[str, TarEntry], options: SourceOptions, where: str) -> str | None:
    """Return the suffix of the image or video; None without one that is wanted."""
    if options.payload_column is not None:
        wanted = [suffix for suffix in found if suffix == options.payload_column.lower()]
    else:
        wanted = [suffix for suffix in found if options.wants(medium_of(suffix))]
    if len(wanted) > 1:
        raise UnreadableSource(
            f"{where}: expected one image or video, got members {' and '.join(wanted)}; set "
            "payload_column to one of them, or medium"
        )
    return wanted[0] if wanted else None
