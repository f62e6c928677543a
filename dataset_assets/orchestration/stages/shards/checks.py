"""Checks that run inside the `shards` asset, on the partitions of its run.

They need no extra process and do not read the data a second time.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.checks import verification_check, verification_result
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import ShardRecord, add_counts

READABLE = "shards_readable"
SUCCESS_RATE = "success_rate"
#: A larger share of failures points to the resolver rather than to the list.
MAX_DNS_SHARE = 0.05
_DNS = (Cause.DNS_NOT_FOUND, Cause.DNS_TEMPORARY)


def shard_checks(key: dg.AssetKey, min_success_rate: float) -> list[dg.AssetCheckSpec]:
    """Declare the checks."""
    return [
        verification_check(
            READABLE, key, "Files have the sizes in their records, and all input rows are counted."
        ),
        dg.AssetCheckSpec(
            SUCCESS_RATE,
            asset=key,
            description=(
                f"At least {min_success_rate:.0%} of the rows became samples, and name "
                "resolution works."
            ),
        ),
    ]


def readable_result(problems: Mapping[str, Sequence[str]]) -> dg.AssetCheckResult:
    """Report what verification found, by partition."""
    found = [f"{key}: {problem}" for key, entries in problems.items() for problem in entries]
    summary = "File sizes match the records, and all rows are counted."
    return verification_result(READABLE, found, summary, partitions=len(problems))


def success_result(records: Sequence[ShardRecord], min_success_rate: float) -> dg.AssetCheckResult:
    """Report how many rows became samples.

    Only a warning: the rate is a property of the list and the network, not of the shards.
    """
    rows = sum(record.count for record in records)
    causes = add_counts(record.causes for record in records)
    rate = metadata.share(sum(record.successes for record in records), rows)
    dns = metadata.share(sum(causes.get(cause, 0) for cause in _DNS), rows)
    problems = []
    if rows and rate < min_success_rate:
        problems.append(
            f"{rate:.1%} of {rows:,} rows became samples, expected at least {min_success_rate:.0%}."
        )
    if dns > MAX_DNS_SHARE:
        problems.append(
            f"{dns:.1%} of the rows failed in name resolution. Check the resolver before the "
            "list; a local caching resolver helps."
        )
    return dg.AssetCheckResult(
        check_name=SUCCESS_RATE,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(problems) or f"{rate:.1%} of {rows:,} rows became samples.",
        metadata={
            "success rate": rate,
            "name resolution failures": dns,
            "rows": rows,
            "causes": metadata.causes_table(causes, rows),
        },
    )
