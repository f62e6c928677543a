"""webdataset tars: `00000.tar` with KEY.jpg, KEY.json and KEY.txt of every success, in row order.

`00000.parquet` has all rows. The members of a sample are adjacent and sorted by extension, as
webdataset and Hugging Face `datasets` require. `offset` and `bytes` in the sidecar locate the
payload for one range read; each part (KEY.seg.png) has such columns of its own. In a sample with
parts, the payload is the member whose extension has no dot.
Format: https://github.com/webdataset/webdataset#the-webdataset-format
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from typing import ClassVar

from dataset_assets.archives.tar_header import SHARD
from dataset_assets.archives.tar_reader import TarMember, read_tar
from dataset_assets.archives.tar_writer import TarWriter
from dataset_assets.errors import ConfigurationError, ShardCorrupt
from dataset_assets.records.shards import Row, ShardFile
from dataset_assets.shards._text import to_json, utf8
from dataset_assets.shards.naming import RESERVED, member_extension
from dataset_assets.shards.sidecar import Sidecar
from dataset_assets.shards.writer import StoredSample, WriterOptions
from dataset_assets.storage.store import Store


class Writer:
    """Writes successes as members of a tar."""

    sidecar: ClassVar[bool] = True
    suffix: ClassVar[str | None] = ".tar"

    def __init__(self, store: Store, options: WriterOptions) -> None:
        self._has_caption = options.has_caption
        self._parts = frozenset(options.parts)
        self._closed = False
        with ExitStack() as undo:
            self._staged = undo.enter_context(store.stage(options.name + ".tar"))
            self._tar = TarWriter(self._staged, SHARD)
            self._sidecar = Sidecar(store, options)
            undo.pop_all()

    def write(self, row: Row) -> None:
        if row.payload is None:
            self._sidecar.add(row)
            return
        extension = member_extension(row.extension)
        members = [
            (extension, row.payload),
            ("json", to_json(row.columns)),
            *self._checked_parts(row, extension),
        ]
        if self._has_caption:
            members.append(("txt", utf8("" if row.caption is None else row.caption)))
        members.sort()
        offsets = self._tar.add([(f"{row.key}.{name}", data) for name, data in members])
        at = {name: offset for (name, _), offset in zip(members, offsets, strict=True)}
        self._sidecar.add(row, at[extension], at)

    def _checked_parts(self, row: Row, extension: str) -> Iterable[tuple[str, bytes]]:
        unknown = ", ".join(sorted(row.parts.keys() - self._parts))
        if unknown:
            expected = ", ".join(sorted(self._parts)) or "none"
            raise ConfigurationError(
                f"sample {row.key}: expected parts of the shard ({expected}), got {unknown}"
            )
        if row.parts and "." in extension:
            raise ConfigurationError(
                f"sample {row.key}: expected a payload extension without a dot in a sample with "
                f"parts, got {extension!r}"
            )
        return row.parts.items()

    def close(self) -> None:
        if not self._closed:
            self._tar.finish()
            self._sidecar.close()
            self._closed = True

    def commit(self) -> tuple[ShardFile, ...]:
        self.close()
        self._staged.commit()
        tar = ShardFile(self._staged.key, self._staged.bytes, self._staged.sha256)
        return tar, self._sidecar.commit()

    def discard(self) -> None:
        self._closed = True
        self._staged.discard()
        self._sidecar.discard()

    @staticmethod
    def samples(store: Store, file: ShardFile) -> Iterator[StoredSample]:
        with store.open_read(file.name) as opened:
            members = read_tar(opened, file.name, SHARD)
            for key, group in groupby(members, key=lambda member: member.name.partition(".")[0]):
                yield _sample(file.name, key, list(group))


def _sample(label: str, key: str, members: list[TarMember]) -> StoredSample:
    found = {member.name.partition(".")[2]: member for member in members}
    others = [extension for extension in found if extension not in RESERVED]
    payloads = others
    if len(others) > 1:
        payloads = [extension for extension in others if "." not in extension]
    if len(found) != len(members) or len(payloads) != 1 or "json" not in found:
        names = ", ".join(member.name for member in members)
        raise ShardCorrupt(
            f"{label}: expected one payload and one {key}.json for sample {key}, got {names}"
        )
    payload = found.pop(payloads[0])
    parts = {extension: found[extension] for extension in others if extension in found}
    return StoredSample(
        key,
        payloads[0],
        payload.data,
        payload.offset,
        parts={extension: part.data for extension, part in parts.items()},
        part_offsets={extension: part.offset for extension, part in parts.items()},
    )
