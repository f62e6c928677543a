"""Which samples are never separated: those of one group, and those with equal content. Nothing here depends on the order of the samples."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.splits.options import DOMAIN, SAMPLE, SplitOptions

#: Columns that hold a digest of a sample's content, the most telling first.
DIGESTS = ("sha256", "sha512", "md5", "digest")
#: What registries put below a country, where names of others follow: example.co.uk, example.com.br.
_SECOND_LEVELS = frozenset(
    {
        "ac",
        "co",
        "com",
        "edu",
        "go",
        "gob",
        "gouv",
        "gov",
        "govt",
        "gv",
        "info",
        "ltd",
        "me",
        "mil",
        "ne",
        "net",
        "nom",
        "or",
        "org",
        "plc",
    }
)
_NUMERIC = re.compile(r"[0-9.]+|.*:.*")  # IPv4, IPv6


@dataclass(frozen=True, slots=True)
class Group:
    """Samples that go to one split together."""

    name: str  # the smallest of the groups that equal content has joined
    keys: tuple[str, ...]  # sorted
    weight: int  # samples
    stratum: str = ""


def group_samples(samples: Sequence[SourceSample], options: SplitOptions) -> list[Group]:
    """Return the groups, sorted by name.

    Raises:
        ConfigurationError: a column that the options name is not there, or a key is there twice.
    """
    _check_columns(samples, options)
    joined = _Joined()
    owners: dict[tuple[str, Any], str] = {}
    names = {sample.key: _group_of(sample, options.group_by) for sample in samples}
    if len(names) < len(samples):
        key, times = Counter(sample.key for sample in samples).most_common(1)[0]
        raise ConfigurationError(
            f"the source has {times} samples with the key {key!r}; expected each key once"
        )
    for sample in samples:
        name = names[sample.key]
        joined.add(name)
        for digest in _digests(sample) if options.keep_duplicates_together else ():
            joined.join(owners.setdefault(digest, name), name)
    members: dict[str, list[SourceSample]] = {}
    for sample in samples:
        members.setdefault(joined.first(names[sample.key]), []).append(sample)
    return [_group(name, members[name], options.stratify_by) for name in sorted(members)]


def digest_of(sample: SourceSample) -> str:
    """Return the digest of a sample's content as `<column>:<value>`, or "" when the source gives none."""
    return next((f"{column}:{value}" for column, value in _digests(sample)), "")


def domain_of(url: str) -> str:
    """Return what looks like the registered part of a url's host: the last two labels, three below co.uk and the like; "" without a host.

    A guess without the public suffix list: all hosts of one platform (github.io) count as one domain.
    """
    try:
        host = (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return ""
    labels = host.split(".")
    if _NUMERIC.fullmatch(host):
        return host
    is_country = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVELS
    return ".".join(labels[-3 if is_country else -2 :])


def _digests(sample: SourceSample) -> list[tuple[str, Any]]:
    return [(column, sample.columns[column]) for column in DIGESTS if sample.columns.get(column)]


def _group_of(sample: SourceSample, group_by: str | None) -> str:
    """Return the name of a sample's group. One that is null says nothing: the sample stands alone."""
    if group_by is None:
        return sample.group
    if group_by == SAMPLE:
        return sample.key
    value = sample.columns.get("url" if group_by == DOMAIN else group_by)
    if group_by == DOMAIN:
        value = domain_of(str(value or "")) or None
    return sample.key if value is None else str(value)


def _group(name: str, samples: Sequence[SourceSample], stratify_by: str | None) -> Group:
    return Group(
        name,
        tuple(sorted(sample.key for sample in samples)),
        len(samples),
        _stratum(samples, stratify_by),
    )


def _stratum(samples: Sequence[SourceSample], stratify_by: str | None) -> str:
    if stratify_by is None:
        return ""
    values = (sample.columns.get(stratify_by) for sample in samples)
    counts = Counter("" if value is None else str(value) for value in values)
    return min(counts, key=lambda value: (-counts[value], value))


def _check_columns(samples: Sequence[SourceSample], options: SplitOptions) -> None:
    wanted = {"stratify_by": options.stratify_by}
    if options.group_by not in (None, SAMPLE):
        wanted["group_by"] = "url" if options.group_by == DOMAIN else options.group_by
    for option, column in wanted.items():
        if (
            samples
            and column is not None
            and not any(column in sample.columns for sample in samples)
        ):
            there = (
                ", ".join(sorted(set().union(*(sample.columns for sample in samples)))) or "none"
            )
            raise ConfigurationError(
                f"{option} needs the column {column!r}, which the source does not have; it has: {there}"
            )


class _Joined:
    """Sets of names that have been joined, each known by its smallest."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def add(self, name: str) -> None:
        self._parents.setdefault(name, name)

    def first(self, name: str) -> str:
        """Return the smallest name of the set that a name is in."""
        parents = self._parents
        while parents[name] != name:
            parents[name] = name = parents[parents[name]]
        return name

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.first(one), self.first(other)))
        self._parents[high] = low
