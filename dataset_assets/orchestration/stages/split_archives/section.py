"""`splits:` of a `defs.yaml`: how samples are assigned to splits, and how archives are written.

A key that is left out has the library's default.
"""

from collections.abc import Iterator
from typing import Self

from pydantic import model_validator

from dataset_assets.orchestration.common.mirror import mirrors
from dataset_assets.orchestration.common.section import Problem, Section, check_by, errors_at_keys
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.stages.staged.section import layout_problems
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions

SPLIT_ARCHIVES = "split_archives"

_USUAL = ("train", "validation", "test")
_ARCHIVE_KEYS = {
    "max_archive_mb": "max_archive_bytes",
    "max_table_mb": "max_table_bytes",
    "row_group_mb": "row_group_bytes",
}


@mirrors(ArchiveOptions, renamed=_ARCHIVE_KEYS)
class Archives(Section):
    """The files of a split: tars for sequential readers, tables for `datasets`."""

    max_archive_mb: float | None = None
    """Maximum size of a tar before compression, 10^6 bytes. A sample is never cut."""
    max_table_mb: float | None = None
    """Maximum size of a table, 10^6 bytes."""
    row_group_mb: float | None = None
    """Payloads in one row group, 10^6 bytes; a reader holds one group in memory."""


@mirrors(SplitOptions)
class Splits(Section):
    """Shares of the splits: `{train: 0.9, test: 0.1}`, or `ratios` for custom names."""

    train: float | None = None
    validation: float | None = None
    test: float | None = None
    ratios: dict[str, float] | None = None
    """Share of each split, by name."""
    archives: Archives = Archives()

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        usual = self._usual()
        if self.ratios is not None and usual:
            text = f"expected `ratios`, or shares of {', '.join(_USUAL)}, got both"
            raise errors_at_keys("Splits", [("ratios", self.ratios, text)])
        first = next(iter(usual), "ratios")
        check_by(self.split_options, self, {"ratios": first})
        return self

    def split_options(self) -> SplitOptions:
        """Build the options of the library."""
        usual = self._usual()
        return self.build(SplitOptions, **({"ratios": usual} if usual else {}))

    def archive_options(self) -> ArchiveOptions:
        """Build the options of the library."""
        return self.archives.build(ArchiveOptions)

    def _usual(self) -> dict[str, float]:
        shares = {name: getattr(self, name) for name in _USUAL}
        return {name: share for name, share in shares.items() if share is not None}


def problems(spec: DatasetSpec) -> Iterator[Problem]:
    """Find a staged layout without shards."""
    yield from layout_problems(spec, "splits")
