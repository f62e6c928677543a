"""How samples are dealt out to splits. Values are checked here, once, so that nothing below has to."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dataset_assets.errors import ConfigurationError

METHODS = ("exact", "stable")
#: Values of `group_by` that are no column.
SAMPLE, DOMAIN = "sample", "domain"
_NAME = re.compile(r"\w+(\.\w+)*")  # what `datasets` takes for the name of a split
_RESERVED = "all"  # to `datasets`: every split


def _default_ratios() -> dict[str, float]:
    return {"train": 0.75, "validation": 0.15, "test": 0.10}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitOptions:
    """Ratios, seed, method, and what is never separated.

    Raises:
        ConfigurationError: a value that can not work.
    """

    ratios: Mapping[str, float] = field(
        default_factory=_default_ratios
    )  # of samples; any positive scale, order kept; 0: a split without samples
    seed: int = 42
    method: str = "exact"  # "exact": as close to the ratios as whole groups allow; "stable": later data never moves a group
    group_by: str | None = (
        None  # None: the source's own; "sample": each alone; "domain": of the column `url`; else a column
    )
    stratify_by: str | None = None  # a column; its values are spread over the splits alike
    keep_duplicates_together: bool = True  # samples with equal content digests

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", _checked_ratios(self.ratios))
        if not isinstance(self.seed, int) or isinstance(self.seed, bool):
            raise ConfigurationError(f"seed: expected a whole number, got {self.seed!r}")
        if self.method not in METHODS:
            raise ConfigurationError(
                f"method: expected one of {', '.join(METHODS)}, got {self.method!r}"
            )
        for name in ("group_by", "stratify_by"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise ConfigurationError(
                    f"{name}: expected the name of a column or nothing, got {value!r}"
                )
        if not isinstance(self.keep_duplicates_together, bool):
            raise ConfigurationError(
                f"keep_duplicates_together: expected true or false, got {self.keep_duplicates_together!r}"
            )
        if self.stratify_by is not None and self.method == "stable":
            raise ConfigurationError(
                "stratify_by needs method: exact; method: stable looks at each group alone and can balance nothing"
            )

    @property
    def shares(self) -> dict[str, float]:
        """The splits that get samples, with their part of the whole, adding up to 1."""
        total = sum(self.ratios.values())
        return {name: ratio / total for name, ratio in self.ratios.items() if ratio > 0}

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, for the manifest. The order of the ratios counts."""
        return asdict(self)


def _checked_ratios(ratios: Any) -> dict[str, float]:
    """Return a copy of the ratios."""
    if not isinstance(ratios, Mapping) or not ratios:
        raise ConfigurationError(
            f"ratios: expected a number for each split, such as train: 0.75, got {ratios!r}"
        )
    for name, ratio in ratios.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.casefold() == _RESERVED:
            raise ConfigurationError(
                f"ratios: expected names of letters, digits, '_' and single dots between them, other than {_RESERVED!r}, got {name!r}"
            )
        if (
            not isinstance(ratio, int | float)
            or isinstance(ratio, bool)
            or not (math.isfinite(ratio) and ratio >= 0)
        ):
            raise ConfigurationError(
                f"ratios: expected a number of at least 0 for {name}, got {ratio!r}"
            )
    if len({name.casefold() for name in ratios}) < len(ratios):
        raise ConfigurationError(
            f"ratios: two names differ only in case, and would be one file on some disks: {', '.join(ratios)}"
        )
    if not sum(ratios.values()) > 0:
        raise ConfigurationError("ratios: expected at least one above 0, all are 0")
    return dict(ratios)
