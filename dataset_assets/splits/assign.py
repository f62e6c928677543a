"""Which split a group goes to: decided by seed, names and weights alone, never by the order in which a source is listed.

`exact` deals the groups out one by one, stratum after stratum, in an order that the seed shuffles, each to the split that lacks most. Counts of samples
stay within about one and a half times the largest group of the ratios, in every stratum and over all. `stable` throws each group by itself: counts are
only near the ratios, a small split can stay empty, and no group moves when others come (a new duplicate joins two groups to one, which goes by the
smaller name).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dataset_assets.errors import ConfigurationError
from dataset_assets.splits.groups import Group
from dataset_assets.splits.options import SplitOptions

_DIGITS = 6  # deficits that differ by less are equal, on every machine


def assign(groups: Sequence[Group], options: SplitOptions) -> dict[str, str]:
    """Return the split of each group, by its name, in name order.

    Raises:
        ConfigurationError: there are fewer groups than splits to fill (method exact).
    """
    groups = sorted(groups, key=lambda group: group.name)
    return _exact(groups, options) if options.method == "exact" else _stable(groups, options)


def find_leaks(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name what is in two splits: groups, contents (`digest`, where one is given), keys. Empty when nothing is.

    Rows have `key`, `group`, `split` and `digest`.
    """
    first: dict[tuple[str, Any], tuple[str, str]] = {}
    leaks = []
    for row in rows:
        for column in ("key", "group", "digest"):
            if not row.get(column):
                continue
            split, key = first.setdefault((column, row[column]), (row["split"], row["key"]))
            if split != row["split"]:
                leaks.append(
                    f"{column} {row[column]!r} is in {split} ({key}) and in {row['split']} ({row['key']})"
                )
    return leaks


def _draw(seed: int, name: str) -> int:
    """Return a number below 2**64 that looks random."""
    return int.from_bytes(
        hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest(),
        "big",
    )


def _stable(groups: Sequence[Group], options: SplitOptions) -> dict[str, str]:
    bounds, reached = [], 0.0
    for name, share in options.shares.items():
        reached += share
        bounds.append((reached, name))
    last = bounds[-1][1]  # rounding may leave the last bound just below 1
    draws = ((group.name, _draw(options.seed, group.name) / 2**64) for group in groups)
    return {
        name: next((split for bound, split in bounds if draw < bound), last) for name, draw in draws
    }


def _exact(groups: Sequence[Group], options: SplitOptions) -> dict[str, str]:
    shares = options.shares
    if len(groups) < len(shares):
        raise ConfigurationError(
            f"{len(groups)} group(s) can not fill {len(shares)} splits ({', '.join(shares)}); give more data, fewer splits, "
            "group_by: sample when samples need not stay together, or method: stable, which may leave a split empty"
        )
    order = sorted(
        groups, key=lambda group: (group.stratum, _draw(options.seed, group.name), group.name)
    )
    splits: dict[str, str] = {}
    given, total = dict.fromkeys(shares, 0), 0
    for group in order:
        total += group.weight
        lacks = {
            name: round(share * total - given[name], _DIGITS) for name, share in shares.items()
        }
        split = max(
            shares, key=lambda name: (lacks[name], -shares[name])
        )  # a tie goes to the smaller split
        given[split] += group.weight
        splits[group.name] = split
    _fill(splits, order, shares)
    return {group.name: splits[group.name] for group in groups}


def _fill(splits: dict[str, str], order: Sequence[Group], shares: Mapping[str, float]) -> None:
    """Move a group to each split that has none: the lightest of the split with most groups."""
    for empty in shares:
        counts = {name: sum(split == name for split in splits.values()) for name in shares}
        if not counts[empty]:
            richest = max(shares, key=lambda name: counts[name])
            lightest = min(
                (group for group in order if splits[group.name] == richest),
                key=lambda group: group.weight,
            )
            splits[lightest.name] = empty
