"""Assigns groups to splits, by seed, names and weights alone, never by the order of a listing.

`exact` goes through the groups one by one, stratum after stratum, in an order that the seed
shuffles, and gives each to the split that lacks most. The number of samples stays within about one
and a half times the largest group of the ratios, in every stratum and in total.

`stable` draws a split for each group alone. Numbers are only close to the ratios, and a small split
may stay empty, but new groups never move others. (A new duplicate joins two groups, which then go
by the smaller name.)
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dataset_assets.errors import ConfigurationError
from dataset_assets.splits.groups import SampleGroup
from dataset_assets.splits.options import SplitOptions

#: Deficits that differ in later digits count as equal, so that all machines agree.
_DIGITS = 6


def assign(groups: Sequence[SampleGroup], options: SplitOptions) -> dict[str, str]:
    """Return name -> split of each group, in name order.

    Raises:
        ConfigurationError: there are fewer groups than splits to fill (method `exact`).
    """
    groups = sorted(groups, key=lambda group: group.name)
    return _exact(groups, options) if options.method == "exact" else _stable(groups, options)


def find_leaks(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the keys, groups and digests that are in two splits.

    Args:
        rows: mappings with `key`, `group`, `split` and `digest`; an empty value is not compared.
    """
    first: dict[tuple[str, Any], tuple[str, str]] = {}
    leaks = []
    for row in rows:
        for column in ("key", "group", "digest"):
            value = row.get(column)
            if not value:
                continue
            split, key = first.setdefault((column, value), (row["split"], row["key"]))
            if split != row["split"]:
                leaks.append(
                    f"{column} {value!r} is in {split} ({key}) and in {row['split']} ({row['key']})"
                )
    return leaks


def _draw(seed: int, name: str) -> int:
    """Return a pseudo-random number below 2**64."""
    text = f"{seed}\0{name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _stable(groups: Sequence[SampleGroup], options: SplitOptions) -> dict[str, str]:
    bounds = []
    reached = 0.0
    for name, share in options.shares.items():
        reached += share
        bounds.append((reached, name))
    last = bounds[-1][1]  # rounding may leave the last bound just below 1
    draws = ((group.name, _draw(options.seed, group.name) / 2**64) for group in groups)
    return {
        name: next((split for bound, split in bounds if draw < bound), last) for name, draw in draws
    }


def _exact(groups: Sequence[SampleGroup], options: SplitOptions) -> dict[str, str]:
    shares = options.shares
    if len(groups) < len(shares):
        raise ConfigurationError(
            f"expected at least one group for each of the {len(shares)} splits "
            f"({', '.join(shares)}), got {len(groups)} group(s); add data, use fewer splits, set "
            "group_by: sample if samples need not stay together, or set method: stable, which may "
            "leave a split empty"
        )
    order = sorted(
        groups, key=lambda group: (group.stratum, _draw(options.seed, group.name), group.name)
    )
    splits: dict[str, str] = {}
    given = dict.fromkeys(shares, 0)
    total = 0
    for group in order:
        total += group.weight
        split = _neediest(shares, given, total)
        given[split] += group.weight
        splits[group.name] = split
    _fill_empty_splits(splits, order, shares)
    return {group.name: splits[group.name] for group in groups}


def _neediest(shares: Mapping[str, float], given: Mapping[str, int], total: int) -> str:
    """Return the split that lacks most samples; of equal ones, the smaller split."""

    def need(name: str) -> tuple[float, float]:
        lack = round(shares[name] * total - given[name], _DIGITS)
        return lack, -shares[name]

    return max(shares, key=need)


def _fill_empty_splits(
    splits: dict[str, str], order: Sequence[SampleGroup], shares: Mapping[str, float]
) -> None:
    """Move a group to each empty split: the lightest one of the split with most groups."""
    for empty in shares:
        counts = {name: sum(split == name for split in splits.values()) for name in shares}
        if not counts[empty]:
            largest = max(shares, key=lambda name: counts[name])
            candidates = (group for group in order if splits[group.name] == largest)
            lightest = min(candidates, key=lambda group: group.weight)
            splits[lightest.name] = empty
