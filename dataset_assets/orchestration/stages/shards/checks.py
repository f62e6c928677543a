"""Checks that run inside the `shards` asset, on the partitions that a run made: no extra process, no second read of the data."""

from collections.abc import Mapping, Sequence

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.records.causes import Cause
from dataset_assets.records.shards import ShardRecord, add_counts

READABLE = "shards_readable"
SUCCESS_RATE = "success_rate"
#: Above this share of rows, name resolution is the problem and not the list.
MAX_DNS_SHARE = 0.05
_DNS = (Cause.DNS_NOT_FOUND, Cause.DNS_TEMPORARY)
_SHOWN_PROBLEMS = 20


def shard_checks(key: dg.AssetKey, spec: DatasetSpec) -> list[dg.AssetCheckSpec]:
    """Declare the checks."""
    return [
        dg.AssetCheckSpec(
            READABLE,
            asset=key,
            blocking=True,
            description="Every shard agrees with its record in size, and every input row is accounted for.",
        ),
        dg.AssetCheckSpec(
            SUCCESS_RATE,
            asset=key,
            description=f"At least {spec.shards.min_success_rate:.0%} of the rows became samples, and name resolution works.",
        ),
    ]


def readable_result(problems: Mapping[str, Sequence[str]]) -> dg.AssetCheckResult:
    """Judge what verification found, by partition."""
    found = [f"{key}: {problem}" for key, entries in problems.items() for problem in entries]
    return dg.AssetCheckResult(
        check_name=READABLE,
        passed=not found,
        description=problem_list(found) or "Sizes agree and every row is accounted for.",
        metadata={"partitions": len(problems), "problems": len(found)},
    )


def problem_list(problems: Sequence[str]) -> str:
    """Show what is wrong as a list in markdown, the first of it; "" when nothing is."""
    return "\n".join(
        f"* {metadata.markdown_text(problem, 500)}" for problem in problems[:_SHOWN_PROBLEMS]
    )


def success_result(records: Sequence[ShardRecord], least: float) -> dg.AssetCheckResult:
    """Judge how many rows became samples. Only a warning: it is a property of the list and the network, not of the shards."""
    rows, successes = (
        sum(record.count for record in records),
        sum(record.successes for record in records),
    )
    causes = add_counts(record.causes for record in records)
    rate, dns = (
        metadata.share(successes, rows),
        metadata.share(sum(causes.get(cause, 0) for cause in _DNS), rows),
    )
    problems = []
    if rows and rate < least:
        problems.append(
            f"{rate:.1%} of {rows:,} rows became samples, expected at least {least:.0%}."
        )
    if dns > MAX_DNS_SHARE:
        problems.append(
            f"{dns:.1%} of the rows failed in name resolution: look at the resolver before the list (a local caching one helps)."
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
