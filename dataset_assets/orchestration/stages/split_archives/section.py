"""`splits:` of a `defs.yaml`: who goes to train, validation and test, and the archives that are written. Left out: the library's defaults."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from dataset_assets.orchestration.common.section import Section, checked, errors_at_keys, given_keys
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions

_BYTES_PER_MB = 1_000_000
_USUAL = ("train", "validation", "test")
#: key here -> name in the library, where they differ
ARCHIVE_NAMES = {
    "max_archive_mb": "max_archive_bytes",
    "max_table_mb": "max_table_bytes",
    "row_group_mb": "row_group_bytes",
}


class Archives(Section):
    """The files of a split: tars for whoever reads them in order, tables for whoever opens them with `datasets`."""

    archives: bool | None = None
    """Write tars."""
    tables: bool | None = None
    """Write Parquet."""
    layout: str | None = None
    """Names in the tars. `webdataset`, or `frames` for a folder per video."""
    compression: str | None = None
    """Of the tars: `none`, `gz`, or `auto` (gz where payloads are uncompressed)."""
    max_archive_mb: float | None = None
    """A tar is closed before it grows larger, 10^6 bytes. No sample is cut in two."""
    max_table_mb: float | None = None
    row_group_mb: float | None = None

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        checked(self, self.options, ARCHIVE_NAMES)
        return self

    def options(self) -> ArchiveOptions:
        """Build the options of the library."""
        given = given_keys(self, ARCHIVE_NAMES)
        sizes = {
            name: round(given[name] * _BYTES_PER_MB)
            for name in ARCHIVE_NAMES.values()
            if name in given
        }
        return ArchiveOptions(**given | sizes)


class Splits(Section):
    """Who goes where. `{train: 0.9, test: 0.1}`, or `ratios` for names of one's own."""

    train: float | None = None
    validation: float | None = None
    test: float | None = None
    ratios: dict[str, float] | None = None
    """Name of a split: its share."""
    seed: int | None = None
    method: str | None = None
    """`exact`: shares are met as well as groups allow; `stable`: data that comes later never moves what is there."""
    group_by: str | None = None
    """What is never separated: `sample`, `domain` of the url, or a column. Left out: what the source says."""
    stratify_by: str | None = None
    """Column of which every split gets its share of each value."""
    keep_duplicates_together: bool | None = None
    archives: Archives = Archives()

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.ratios is not None and self._usual():
            problem = f"expected `ratios`, or shares of {', '.join(_USUAL)}, got both"
            raise errors_at_keys("Splits", [("ratios", self.ratios, problem)])
        first = next(iter(self._usual()), "ratios")
        checked(self, self.split_options, {first: "ratios"})
        return self

    def split_options(self) -> SplitOptions:
        """Build the options of the library."""
        given: dict[str, Any] = given_keys(
            self, {}, type(self).model_fields.keys() - {"archives", *_USUAL}
        )
        if usual := self._usual():
            given["ratios"] = usual
        return SplitOptions(**given)

    def archive_options(self) -> ArchiveOptions:
        """Build the options of the library."""
        return self.archives.options()

    def _usual(self) -> Mapping[str, float]:
        return {name: share for name in _USUAL if (share := getattr(self, name)) is not None}
