"""Groups samples that are never separated: those of one group, and those with equal content.

Nothing here depends on the order of the samples.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from urllib.parse import urlsplit

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import SourceSample
from dataset_assets.splits.options import DOMAIN, SAMPLE, SplitOptions

#: Columns that hold a digest of the content of a sample, the most specific first.
DIGESTS = ("sha256", "sha512", "md5", "digest")
#: IPv4 and IPv6 addresses.
_ADDRESS = re.compile(r"[0-9.]+|.*:.*")


@dataclass(frozen=True, slots=True)
class SampleGroup:
    """Samples that go to one split together."""

    name: str
    """The smallest name among the groups that equal content has joined."""
    keys: tuple[str, ...]
    """The keys of the samples, sorted."""
    weight: int
    """Number of samples."""
    stratum: str = ""
    """Most frequent value of the column `stratify_by`; "" without one."""


def group_samples(samples: Sequence[SourceSample], options: SplitOptions) -> list[SampleGroup]:
    """Return the groups of samples, sorted by name.

    Raises:
        ConfigurationError: a column that the options name does not exist, or a key occurs twice.
    """
    _check_columns(samples, options)
    _check_keys(samples)
    groups = _DisjointSets()
    owners: dict[tuple[str, Any], str] = {}
    names = {sample.key: _group_of(sample, options.group_by) for sample in samples}
    for sample in samples:
        name = names[sample.key]
        groups.add(name)
        for digest in _digests(sample) if options.keep_duplicates_together else ():
            groups.join(owners.setdefault(digest, name), name)
    members: dict[str, list[SourceSample]] = {}
    for sample in samples:
        members.setdefault(groups.smallest(names[sample.key]), []).append(sample)
    return [_group(name, members[name], options.stratify_by) for name in sorted(members)]


def digest_of(sample: SourceSample) -> str:
    """Return the content digest of a sample as `<column>:<value>`; "" when it has none."""
    return next((f"{column}:{value}" for column, value in _digests(sample)), "")


def domain_of(url: str) -> str:
    """Return the registered domain of the host of a URL; "" without a host.

    Addresses, and hosts without a public suffix, are their own domain: of the latter, at most the
    last two labels. All hosts of one platform (github.io) are one domain.
    Source: the ICANN part of the public suffix list in tldextract, https://publicsuffix.org.
    """
    try:
        host = (urlsplit(url.strip()).hostname or "").rstrip(".")
    except ValueError:
        return ""
    return host if _ADDRESS.fullmatch(host) else _registered_domain(host)


@lru_cache(maxsize=65_536)
def _registered_domain(host: str) -> str:
    found = _public_suffixes().extract_str(host)
    return found.top_domain_under_public_suffix or ".".join(host.split(".")[-2:])


@cache
def _public_suffixes() -> Any:
    """Return the public suffix list of the installed package; the network is never asked."""
    from tldextract import TLDExtract  # imports requests

    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def _digests(sample: SourceSample) -> list[tuple[str, Any]]:
    return [(column, sample.columns[column]) for column in DIGESTS if sample.columns.get(column)]


def _group_of(sample: SourceSample, group_by: str | None) -> str:
    """Return the name of the group of a sample. A sample without a value is a group of its own."""
    if group_by is None:
        return sample.group
    if group_by == SAMPLE:
        return sample.key
    if group_by == DOMAIN:
        return domain_of(str(sample.columns.get("url") or "")) or sample.key
    value = sample.columns.get(group_by)
    return sample.key if value is None else str(value)


def _group(name: str, samples: Sequence[SourceSample], stratify_by: str | None) -> SampleGroup:
    keys = tuple(sorted(sample.key for sample in samples))
    return SampleGroup(name, keys, len(samples), _stratum(samples, stratify_by))


def _stratum(samples: Sequence[SourceSample], stratify_by: str | None) -> str:
    if stratify_by is None:
        return ""
    values = (sample.columns.get(stratify_by) for sample in samples)
    counts = Counter("" if value is None else str(value) for value in values)
    return min(counts, key=lambda value: (-counts[value], value))


def _check_keys(samples: Sequence[SourceSample]) -> None:
    counts = Counter(sample.key for sample in samples)
    if len(counts) < len(samples):
        key, times = counts.most_common(1)[0]
        raise ConfigurationError(f"expected each key once, got {key!r} in {times} samples")


def _check_columns(samples: Sequence[SourceSample], options: SplitOptions) -> None:
    wanted = {"stratify_by": options.stratify_by}
    if options.group_by not in (None, SAMPLE):
        wanted["group_by"] = "url" if options.group_by == DOMAIN else options.group_by
    for option, column in wanted.items():
        if not samples or column is None:
            continue
        if not any(column in sample.columns for sample in samples):
            known = sorted(set().union(*(sample.columns for sample in samples)))
            expected = ", ".join(known) or "none"
            raise ConfigurationError(
                f"{option}: expected a column of the source ({expected}), got {column!r}"
            )


class _DisjointSets:
    """Disjoint sets of names (union-find), each known by its smallest name."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def add(self, name: str) -> None:
        self._parents.setdefault(name, name)

    def smallest(self, name: str) -> str:
        """Return the smallest name of the set that contains a name."""
        parents = self._parents
        while parents[name] != name:
            parents[name] = parents[parents[name]]  # shortens the path for later calls
            name = parents[name]
        return name

    def join(self, one: str, other: str) -> None:
        low, high = sorted((self.smallest(one), self.smallest(other)))
        self._parents[high] = low
