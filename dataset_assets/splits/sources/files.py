"""Any folder of files: each file is a sample.

The caption and the columns of `a/1.jpg` lie beside it under its name, in `a/1.txt` and `a/1.json`.
Files of one folder are one group unless a regular expression says otherwise; each file at the top
is a group of its own. The listing and the metadata are read once, when the source is created.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

from fsspec.utils import glob_translate

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.records.staged import License
from dataset_assets.splits import _scan
from dataset_assets.splits._sidecars import CAPTION, SIDECARS, ColumnTypes, caption_of, fields_of
from dataset_assets.splits.source import media_of, only_folder
from dataset_assets.storage.store import ObjectInfo, Store

#: Files that are in memory at a time.
_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """Options of which files are samples.

    Raises:
        ConfigurationError: an invalid value.
    """

    pattern: str = "**/*"
    """Glob of the samples; `**/` stands for any folders."""
    extensions: tuple[str, ...] = ()
    """Extensions of samples, in any case. Empty: all but txt and json, which are metadata."""
    group: str | None = None
    """Regular expression searched in the key; its first group names the group. None: the folder."""
    ignore: tuple[str, ...] = (*_scan.JUNK, "README*", "LICENSE*", "*.md")
    """Patterns of files and folders that are not data."""
    drop: tuple[str, ...] = ("key",)
    """Fields of the .json files that do not become columns."""
    digests: bool = False
    """Read every file to find equal ones. Adds the column `sha256`."""

    def __post_init__(self) -> None:
        for name in ("extensions", "ignore", "drop"):
            object.__setattr__(self, name, checks.texts(name, getattr(self, name)))
        object.__setattr__(self, "extensions", _scan.without_dots(self.extensions))
        checks.boolean("digests", self.digests)
        try:
            re.compile(glob_translate(self.pattern))
        except (ValueError, TypeError, AttributeError, re.error) as exc:
            raise ConfigurationError(
                f"pattern: expected a glob such as '**/*.jpg', got {self.pattern!r} ({exc})"
            ) from exc
        if self.group is not None:
            _check_group(self.group)


def _check_group(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except (TypeError, re.error) as exc:
        raise ConfigurationError(
            f"group: expected a regular expression, got {pattern!r} ({exc})"
        ) from exc
    if groups < 1:
        raise ConfigurationError(
            "group: expected a regular expression with a group in parentheses, such as "
            f"'^([^/]+)/', got {pattern!r}"
        )


class SplitSource:
    """Files with their metadata."""

    kind = "files"
    options_class: ClassVar[type] = FileOptions
    detection_rank: ClassVar[int] = 2
    restriction: License | None = None

    def __init__(self, store: Store, options: FileOptions | None = None) -> None:
        """List the folder and read the metadata.

        Raises:
            UnreadableSource: the folder is empty, or something in it is not as expected.
        """
        self._store = store
        self._options = options or FileOptions()
        listing = _FileListing(store, self._options)
        payloads = listing.payloads()
        fields, columns = listing.metadata(payloads)
        self.columns = columns.types()
        extensions = {_scan.extension_of(info.key) for info in payloads.values()}
        self.media = media_of(extensions)
        self.fingerprint = _scan.listing_fingerprint(
            {"kind": self.kind, "options": asdict(self._options)},
            [*payloads.values(), *listing.sidecars_of(payloads)],
        )
        self._samples = tuple(
            self._sample(key, info, columns.row(fields[key])) for key, info in payloads.items()
        )

    @staticmethod
    def detect(store: Store) -> bool:
        """Tell whether there is any file."""
        return next(iter(store.list()), None) is not None

    @classmethod
    def open(cls, stores: Sequence[Store], options: FileOptions) -> Self:
        """Open one folder."""
        return cls(only_folder(cls.kind, stores), options)

    def samples(self) -> Sequence[SourceSample]:
        return self._samples

    def read(self, sample: SourceSample) -> list[bytes]:
        return _scan.read_all(self._store, [sample.location])

    def _sample(self, key: str, info: ObjectInfo, columns: dict[str, Any]) -> SourceSample:
        return SourceSample(
            key=key,
            group=_group_of(key, self._options.group),
            bytes=info.bytes,
            parts=(_scan.extension_of(info.key),),
            columns=columns,
            location=info,
        )


class _FileListing(_scan.Listing):
    """One listing of the folder: its payloads and metadata, or everything that is wrong."""

    def __init__(self, store: Store, options: FileOptions) -> None:
        super().__init__(store, options.ignore)
        self._options = options
        self._matches = re.compile(glob_translate(options.pattern)).match
        self._payloads: dict[str, ObjectInfo] = {}
        self._sidecars: dict[str, dict[str, ObjectInfo]] = {
            extension: {} for extension in SIDECARS if extension not in options.extensions
        }

    def payloads(self) -> dict[str, ObjectInfo]:
        """Return the file of each sample, sorted by key."""
        for info in self._store.list():
            is_folder = info.key.endswith("/")  # object storage marks folders so
            if not is_folder and not self._is_ignored(info.key):
                self._add(info)
        if not self._options.extensions:
            self._check_orphans()
        self._check_groups()
        payloads = {key: self._payloads[key] for key in sorted(self._payloads)}
        self._check_collisions({key: info.key for key, info in payloads.items()}, "file")
        if not self._problems and not payloads:
            self._problems.append(self._nothing_found())
        self._raise_problems()
        return payloads

    def sidecars_of(self, keys: Mapping[str, Any]) -> list[ObjectInfo]:
        """Return the metadata files of samples."""
        return [found[key] for found in self._sidecars.values() for key in keys if key in found]

    def metadata(
        self, payloads: Mapping[str, ObjectInfo]
    ) -> tuple[dict[str, dict[str, Any]], ColumnTypes]:
        """Read the fields of each sample and derive the columns from them."""
        fields: dict[str, dict[str, Any]] = {key: {} for key in payloads}
        columns = ColumnTypes()
        for info, data in self._read(self.sidecars_of(payloads)):
            try:
                fields[_key_of(info)].update(self._parse_sidecar(info, data))
            except (ValueError, RecursionError) as exc:
                self._add_problem(info.key, str(exc))
        if self._options.digests:
            for info, data in self._read(list(payloads.values())):
                fields[_key_of(info)]["sha256"] = _scan.content_digest([data])
        for key, found in fields.items():
            try:
                columns.add(found, key)
            except ValueError as exc:
                self._add_problem(payloads[key].key, str(exc))
        self._raise_problems()
        return fields, columns

    def _parse_sidecar(self, info: ObjectInfo, data: bytes) -> dict[str, Any]:
        if _scan.extension_of(info.key) == "json":
            return fields_of(data, self._options.drop)
        return {CAPTION: caption_of(data)}

    def _read(self, infos: Sequence[ObjectInfo]) -> Iterator[tuple[ObjectInfo, bytes]]:
        for first in range(0, len(infos), _BATCH):
            batch = infos[first : first + _BATCH]
            yield from zip(batch, _scan.read_all(self._store, batch), strict=True)

    def _nothing_found(self) -> str:
        expected = f"files that match {self._options.pattern!r}"
        if self._options.extensions:
            expected += f" with an extension out of {', '.join(self._options.extensions)}"
        return f"{self._store.url}: expected {expected}, got none"

    def _add(self, info: ObjectInfo) -> None:
        key = _key_of(info)
        extension = _scan.extension_of(info.key)
        found = self._sidecars.get(extension)
        if found is None:
            is_wanted = not self._options.extensions or extension in self._options.extensions
            if not is_wanted or not self._matches(info.key):
                return
            found = self._payloads
            if problem := self._payload_problem(info, key):
                self._add_problem(info.key, f"{problem}; rename it or add a pattern to ignore")
        if key in found:
            other = found[key].key.rpartition("/")[2]
            self._add_problem(
                info.key,
                f"shares its name with {other}, but a sample is one file; choose with extensions, "
                "or add a pattern to ignore",
            )
        found[key] = info

    def _payload_problem(self, info: ObjectInfo, key: str) -> str:
        for part in info.key.split("/"):
            if problem := _scan.unsafe_name_problem(part):
                return problem
        name = key.rpartition("/")[2]
        if "." in name:
            return (
                "a second dot in the name: readers of archives take what follows the first for the "
                "extension"
            )
        if not name or not _scan.extension_of(info.key):
            return "a file without a name or an extension"
        return "" if info.bytes else "an empty file"

    def _check_orphans(self) -> None:
        for found in self._sidecars.values():
            for key, info in found.items():
                if key not in self._payloads and self._matches(info.key):
                    self._add_problem(
                        info.key,
                        "metadata without its file; set extensions if such files are the samples, "
                        "or add a pattern to ignore",
                    )

    def _check_groups(self) -> None:
        for key, info in self._payloads.items():
            if not _group_of(key, self._options.group):
                self._add_problem(
                    info.key,
                    f"group {self._options.group!r} finds nothing in the key {key!r}; correct it, "
                    "or add a pattern to ignore",
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
