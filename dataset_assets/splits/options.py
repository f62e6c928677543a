"""Options of how samples are assigned to splits, validated on construction."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError

METHODS = ("exact", "stable")
#: Values of `group_by` that are not columns.
SAMPLE = "sample"
DOMAIN = "domain"
#: What `datasets` accepts as the name of a split.
_NAME = re.compile(r"\w+(\.\w+)*")
#: What `datasets` takes for all splits.
_RESERVED = "all"


def _default_ratios() -> dict[str, float]:
    return {"train": 0.75, "validation": 0.15, "test": 0.10}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Options of the assignment of samples to splits.

    Raises:
        ConfigurationError: an invalid value.
    """

    ratios: Mapping[str, float] = field(default_factory=_default_ratios)
    """Share of samples of each split, on any positive scale; 0 is a split without samples."""
    seed: int = 42
    """Seed of the shuffle that decides which group goes where."""
    method: str = "exact"
    """`exact` meets the ratios as closely as whole groups allow; `stable` never moves a group."""
    group_by: str | None = None
    """What stays together: `sample`, `domain` (of the column `url`), or a column.

    None: the groups of the source.
    """
    stratify_by: str | None = None
    """Column whose values are spread over the splits alike. None: no such column."""
    keep_duplicates_together: bool = True
    """Keep samples with equal content digests in one split."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", _checked_ratios(self.ratios))
        checks.integer("seed", self.seed)
        checks.one_of("method", self.method, METHODS)
        for name in ("group_by", "stratify_by"):
            if getattr(self, name) is not None:
                checks.text(name, getattr(self, name))
        checks.boolean("keep_duplicates_together", self.keep_duplicates_together)
        if self.stratify_by is not None and self.method == "stable":
            raise ConfigurationError(
                "stratify_by: expected method 'exact', got 'stable', which assigns each group "
                "alone and cannot balance values; set method: exact or leave stratify_by out"
            )

    @property
    def shares(self) -> dict[str, float]:
        """Share of each split that gets samples; the shares add up to 1."""
        total = sum(self.ratios.values())
        return {name: ratio / total for name, ratio in self.ratios.items() if ratio > 0}

    def to_json(self) -> dict[str, Any]:
        """Return JSON values for the manifest. The order of the ratios counts."""
        return asdict(self)


def _checked_ratios(ratios: Any) -> dict[str, float]:
    """Return a copy of valid ratios."""
    if not isinstance(ratios, Mapping) or not ratios:
        raise ConfigurationError(
            f"ratios: expected a number for each split, such as train: 0.75, got {ratios!r}"
        )
    for name, ratio in ratios.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.casefold() == _RESERVED:
            raise ConfigurationError(
                "ratios: expected names of letters, digits, '_' and single dots between them, "
                f"other than {_RESERVED!r}, got {name!r}"
            )
        checks.not_negative(f"ratios: {name}", ratio)
    if len({name.casefold() for name in ratios}) < len(ratios):
        raise ConfigurationError(
            "ratios: expected names that differ in more than case, since some disks ignore case, "
            f"got {', '.join(ratios)}"
        )
    if not sum(ratios.values()) > 0:
        raise ConfigurationError("ratios: expected at least one above 0, got only 0")
    return dict(ratios)
