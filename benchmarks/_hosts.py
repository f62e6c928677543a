"""The plan of a simulated web: host names with their addresses and behavior, and a URL list.

All follows from a seed. Here: shares, popularity, names, addresses. Not here: the servers that
behave so (`_web`), what the tools make of it (`web`).
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _photos import PhotoSet

#: Names that do not resolve, as shares of all hosts.
NAME_FAILURES = {"nxdomain": 0.04, "servfail": 0.02, "silent_name": 0.015}
#: Behavior of the hosts whose names resolve, as shares of them.
BEHAVIORS = {
    "fast": 0.35,
    "medium": 0.45,
    "slow": 0.14,
    "slowest": 0.02,
    "dead": 0.025,
    "refusing": 0.015,
}
#: Kind -> seconds to the first byte.
DELAYS_S = {"fast": 0.05, "medium": 0.25, "slow": 1.0, "slowest": 4.0, "rate": 0.25}
#: Kinds of which a host never has an image.
UNREACHABLE = (*NAME_FAILURES, "dead", "refusing", "hang", "limited")
LOOKUP_MEDIAN_S = 0.06
LOOKUP_SIGMA = 0.8
MAX_LOOKUP_S = 4.0  # resolvers ask again after 5
RETRY_AFTER_S = 5  # of a host that always answers 429
REQUESTS_PER_S = 20  # that a host with a rate allows

#: Hosts for a number of URLs, and how fast the number of URLs falls with the rank of a host.
HOSTS_PER_URL = 4278 / 15000
POPULARITY_EXPONENT = 0.8
LARGE_HOSTS = 10  # the most popular ones always answer, so that no seed decides the result

#: Addresses of each kind that answers, shared by its hosts as hosting companies share them. A host
#: that does not answer has one of its own.
SHARED_ADDRESSES = 250

#: Arrangement -> (kind of one further host, its share of the rows).
ARRANGEMENTS: dict[str, tuple[str, float] | None] = {
    "web": None,
    "dead": ("dead", 0.3),
    "hang": ("hang", 0.3),
    "limited": ("limited", 0.1),
    "rate": ("rate", 0.1),
}
#: Every kind has a network of its own: 127.N.0.0/16.
_NETWORKS = {
    kind: number for number, kind in enumerate([*BEHAVIORS, "hang", "limited", "rate"], start=1)
}


@dataclass(frozen=True, slots=True)
class Host:
    """One host name."""

    name: str
    kind: str
    """A key of NAME_FAILURES, BEHAVIORS or `_NETWORKS`."""
    address: str
    """Empty if the name does not resolve."""
    lookup_s: float
    """Until the name server answers."""


@dataclass(frozen=True, slots=True)
class WebPlan:
    """The hosts of an arrangement, and the host of every row."""

    arrangement: str
    hosts: tuple[Host, ...]
    rows: tuple[int, ...]
    """Row -> number of its host."""
    seed: int

    def write_list(self, path: Path, photo_set: PhotoSet, fast_rows: int | None = None) -> None:
        """Write a parquet list (column `url`) of all rows, or of a few on fast hosts only."""
        hosts = [self.hosts[number] for number in self.rows]
        if fast_rows is not None:
            hosts = [host for host in hosts if host.kind == "fast"][:fast_rows]
        urls = [
            f"http://{host.name}/{row:06d}/photo_{row % photo_set.photos:06d}.jpg"
            for row, host in enumerate(hosts)
        ]
        pq.write_table(pa.table({"url": urls}), path)

    def kinds(self) -> dict[str, str]:
        """Map host names to kinds."""
        return {host.name: host.kind for host in self.hosts}

    def reachable_rows(self) -> int:
        """Count the rows whose host serves its image."""
        return sum(self.hosts[number].kind not in UNREACHABLE for number in self.rows)

    def one_of(self, kind: str) -> Host | None:
        """Return a host of a kind, if there is one."""
        return next((host for host in self.hosts if host.kind == kind), None)


def plan_web(arrangement: str, urls: int, seed: int) -> WebPlan:
    """Draw the hosts and rows of an arrangement.

    Args:
        arrangement: a key of ARRANGEMENTS.
        urls: number of rows.
        seed: the hosts and their rows are the same in all arrangements of a seed, but for the rows
            that the arrangement moves to its further host.
    """
    rng = np.random.default_rng([seed, urls])
    counts = _urls_per_host(urls)
    hosts = _draw_hosts(rng, len(counts))
    rows = np.repeat(np.arange(len(counts)), counts)
    rng.shuffle(rows)
    further = ARRANGEMENTS[arrangement]
    if further is not None:
        kind, share = further
        moved = rng.choice(urls, round(share * urls), replace=False)
        rows[moved] = len(hosts)
        hosts.append(_host("the-one", kind, 0xFFFE, LOOKUP_MEDIAN_S))
    return WebPlan(arrangement, tuple(hosts), tuple(rows.tolist()), seed)


def _urls_per_host(urls: int) -> np.ndarray:
    """Return the number of URLs of each host, the most popular first; the sum is `urls`."""
    ranks = np.arange(1, max(LARGE_HOSTS, round(urls * HOSTS_PER_URL)) + 1)

    def counts(largest: float) -> np.ndarray:
        return np.maximum(1, np.rint(largest * ranks**-POPULARITY_EXPONENT)).astype(int)

    low, high = 1.0, float(urls)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if counts(middle).sum() <= urls else (low, middle)
    found = counts(low)
    found[: urls - found.sum()] += 1
    return found


def _draw_hosts(rng: np.random.Generator, count: int) -> list[Host]:
    resolving = 1 - sum(NAME_FAILURES.values())
    shares = {**NAME_FAILURES, **{kind: s * resolving for kind, s in BEHAVIORS.items()}}
    kinds = rng.choice(list(shares), count, p=list(shares.values()))
    answering = [kind for kind in BEHAVIORS if kind not in UNREACHABLE and kind != "slowest"]
    kinds[:LARGE_HOSTS] = rng.choice(answering, LARGE_HOSTS)
    lookups_s = rng.lognormal(np.log(LOOKUP_MEDIAN_S), LOOKUP_SIGMA, count)
    return [
        _host(f"photos-{number:05d}", str(kind), number, min(float(lookup_s), MAX_LOOKUP_S))
        for number, (kind, lookup_s) in enumerate(zip(kinds, lookups_s, strict=True))
    ]


def _host(label: str, kind: str, number: int, lookup_s: float) -> Host:
    """Return a host with a registered domain of its own."""
    address = ""
    if kind in _NETWORKS:
        if kind not in UNREACHABLE:
            number %= SHARED_ADDRESSES
        address = str(ipaddress.IPv4Address(f"127.{_NETWORKS[kind]}.0.1") + number)
    return Host(f"{label}.test", kind, address, lookup_s)
