"""Any folder of files: each is a sample, with the caption and the columns that lie beside it under its name (`a/1.jpg`, `a/1.txt`, `a/1.json`).

Files of one folder are one group, unless a regular expression says otherwise; files at the top stand alone. The listing and the metadata are read once,
when the source is made.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fsspec.utils import glob_translate

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.splits import _scan
from dataset_assets.splits._sidecars import CAPTION, SIDECARS, Columns, caption_of, fields_of
from dataset_assets.storage.store import ObjectInfo, Store

IMAGES = frozenset(
    {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "pbm", "pgm", "ppm", "pnm"}
)
_BATCH = 64  # files held in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """Which files are samples.

    Raises:
        ConfigurationError: a value that can not work.
    """

    pattern: str = "**/*"  # of samples; `**/` is any folders
    extensions: tuple[
        str, ...
    ] = ()  # of samples, in any case; none: all but txt and json, which are metadata
    group: str | None = (
        None  # regular expression found in the key; its first group names the sample's. None: the folder
    )
    ignore: tuple[str, ...] = (
        *_scan.JUNK,
        "README*",
        "LICENSE*",
        "*.md",
    )  # patterns of files and folders that are no data
    drop: tuple[str, ...] = ("key",)  # fields of the .json files that become no columns
    digests: bool = (
        False  # read everything, so that equal files are found: becomes the column `sha256`
    )

    def __post_init__(self) -> None:
        for name in ("extensions", "ignore", "drop"):
            object.__setattr__(self, name, _scan.texts(name, getattr(self, name)))
        object.__setattr__(
            self,
            "extensions",
            tuple(extension.lower().lstrip(".") for extension in self.extensions),
        )
        _scan.check_switch("digests", self.digests)
        try:
            re.compile(glob_translate(self.pattern))
        except (ValueError, TypeError, AttributeError, re.error) as exc:
            raise ConfigurationError(
                f"pattern: expected one such as '**/*.jpg', got {self.pattern!r} ({exc})"
            ) from exc
        try:
            groups = re.compile(self.group).groups if self.group is not None else 1
        except (TypeError, re.error) as exc:
            raise ConfigurationError(
                f"group: expected a regular expression, got {self.group!r} ({exc})"
            ) from exc
        if groups < 1:
            raise ConfigurationError(
                f"group: expected a regular expression with a group in parentheses, such as '^([^/]+)/', got {self.group!r}"
            )


class Source:
    """Files with their metadata. See `splits._base.Source`."""

    kind = "files"

    def __init__(self, store: Store, options: FileOptions | None = None) -> None:
        """List the folder and read the metadata.

        Raises:
            UnreadableSource: something in it is not as expected, or nothing is there.
        """
        self._store = store
        self._options = options or FileOptions()
        scan = _Scan(store, self._options)
        payloads = scan.payloads()
        fields, columns = scan.metadata(payloads)
        self.columns = columns.types()
        self.media = (
            "image"
            if all(_scan.extension_of(info.key) in IMAGES for info in payloads.values())
            else "file"
        )
        self.fingerprint = _scan.fingerprint_of(
            {"kind": self.kind, "options": asdict(self._options)},
            [*payloads.values(), *scan.sidecars_of(payloads)],
        )
        self._samples = tuple(
            self._sample(key, info, columns.row(fields[key])) for key, info in payloads.items()
        )

    def samples(self) -> Sequence[SourceSample]:
        """See `splits._base.Source`."""
        return self._samples

    def read(self, sample: SourceSample) -> list[bytes]:
        """See `splits._base.Source`."""
        return _scan.read_all(self._store, [sample.location])

    def _sample(self, key: str, info: ObjectInfo, columns: dict[str, Any]) -> SourceSample:
        return SourceSample(
            key,
            _group_of(key, self._options.group),
            info.bytes,
            (_scan.extension_of(info.key),),
            columns,
            info,
        )


class _Scan:
    """One look at the folder: payloads and metadata, or everything that is wrong."""

    def __init__(self, store: Store, options: FileOptions) -> None:
        self._store, self._options = store, options
        self._matches = re.compile(glob_translate(options.pattern)).match
        self._is_ignored = _scan.ignoring(options.ignore)
        self._problems: list[str] = []
        self._payloads: dict[str, ObjectInfo] = {}
        self._sidecars: dict[str, dict[str, ObjectInfo]] = {
            extension: {} for extension in SIDECARS if extension not in options.extensions
        }

    def payloads(self) -> dict[str, ObjectInfo]:
        """Return the file of each sample, sorted by key."""
        for info in self._store.list():
            if not info.key.endswith("/") and not self._is_ignored(
                info.key
            ):  # object storage marks folders so
                self._add(info)
        if not self._options.extensions:
            self._check_orphans()
        self._check_groups()
        payloads = {key: self._payloads[key] for key in sorted(self._payloads)}
        for first, other in _scan.twins(payloads):
            self._refuse(
                payloads[other],
                f"differs from {first} only in case or accents: they would be one file on some disks; rename one",
            )
        if not self._problems and not payloads:
            wanted = (
                f" with an extension out of {', '.join(self._options.extensions)}"
                if self._options.extensions
                else ""
            )
            self._problems.append(
                f"{self._store.url}: no files match {self._options.pattern!r}{wanted}"
            )
        _scan.stop_at(self._problems)
        return payloads

    def sidecars_of(self, keys: Mapping[str, Any]) -> list[ObjectInfo]:
        """Return the metadata files of samples."""
        return [found[key] for found in self._sidecars.values() for key in keys if key in found]

    def metadata(
        self, payloads: Mapping[str, ObjectInfo]
    ) -> tuple[dict[str, dict[str, Any]], Columns]:
        """Read the fields of each sample, and tell the columns from them."""
        fields: dict[str, dict[str, Any]] = {key: {} for key in payloads}
        columns = Columns()
        for info, data in self._read(self.sidecars_of(payloads)):
            try:
                fields[_key_of(info)].update(
                    fields_of(data, self._options.drop)
                    if info.key[-4:].lower() == "json"
                    else {CAPTION: caption_of(data)}
                )
            except (ValueError, RecursionError) as exc:
                self._refuse(info, str(exc))
        for info, data in self._read(list(payloads.values()) if self._options.digests else []):
            fields[_key_of(info)]["sha256"] = _scan.content_digest([data])
        for key, found in fields.items():
            try:
                columns.add(found, key)
            except ValueError as exc:
                self._refuse(payloads[key], str(exc))
        _scan.stop_at(self._problems)
        return fields, columns

    def _read(self, infos: Sequence[ObjectInfo]) -> Iterator[tuple[ObjectInfo, bytes]]:
        for first in range(0, len(infos), _BATCH):
            some = infos[first : first + _BATCH]
            yield from zip(some, _scan.read_all(self._store, some), strict=True)

    def _refuse(self, info: ObjectInfo, why: str) -> None:
        self._problems.append(f"{_scan.place(self._store, info.key)}: {why}")

    def _add(self, info: ObjectInfo) -> None:
        key, extension = _key_of(info), _scan.extension_of(info.key)
        found = self._sidecars.get(extension)
        if found is None:
            if (
                self._options.extensions and extension not in self._options.extensions
            ) or not self._matches(info.key):
                return
            found = self._payloads
            if why := self._wrong_payload(info, key):
                self._refuse(info, f"{why}; rename it or add a pattern to ignore")
        if key in found:
            other = found[key].key.rpartition("/")[2]
            self._refuse(
                info,
                f"shares its name with {other}, but a sample is one file; choose with extensions, or add a pattern to ignore",
            )
        found[key] = info

    def _wrong_payload(self, info: ObjectInfo, key: str) -> str:
        if why := next(filter(None, map(_scan.odd_name, info.key.split("/"))), ""):
            return why
        name = key.rpartition("/")[2]
        if "." in name:
            return "a second dot in the name: readers of archives take what follows the first for the extension"
        if not name or not _scan.extension_of(info.key):
            return "a file without a name or an extension"
        return "" if info.bytes else "an empty file"

    def _check_orphans(self) -> None:
        for found in self._sidecars.values():
            for key, info in found.items():
                if key not in self._payloads and self._matches(info.key):
                    self._refuse(
                        info,
                        "metadata without its file; give extensions when such files are the samples, else add a pattern to ignore",
                    )

    def _check_groups(self) -> None:
        for key, info in self._payloads.items():
            if not _group_of(key, self._options.group):
                self._refuse(
                    info,
                    f"group {self._options.group!r} finds nothing in the key {key!r}; correct it, or add a pattern to ignore",
                )


def _key_of(info: ObjectInfo) -> str:
    name = info.key.rpartition("/")[2]
    return info.key.rpartition(".")[0] if "." in name else info.key


def _group_of(key: str, pattern: str | None) -> str:
    """Return the group of a key; "" when the pattern finds none."""
    if pattern is None:
        return key.rpartition("/")[0] or key
    found = re.search(pattern, key)
    return (found[1] or "") if found else ""
