"""Checks that run inside the `embeddings` assets, on the partitions of their run."""

from collections.abc import Collection, Mapping, Sequence

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.checks import verification_check, verification_result
from dataset_assets.records.shards import Manifest, add_counts

SOUND = "embeddings_sound"
COMPLETE = "embeddings_complete"


def embedding_checks(key: dg.AssetKey, min_success_rate: float) -> list[dg.AssetCheckSpec]:
    """Declare the checks."""
    return [
        verification_check(
            SOUND,
            key,
            "Files have the sizes in their records, arrays have a row for each sample of the "
            "index, and carry the fingerprint of encoder and source.",
        ),
        dg.AssetCheckSpec(
            COMPLETE,
            asset=key,
            description=f"At least {min_success_rate:.0%} of the samples could be encoded.",
        ),
    ]


def sound_result(problems: Mapping[str, Sequence[str]]) -> dg.AssetCheckResult:
    """Report what verification found, by partition."""
    found = [f"{name}: {problem}" for name, entries in problems.items() for problem in entries]
    summary = "Arrays, index and records agree."
    return verification_result(SOUND, found, summary, partitions=len(problems))


def complete_result(
    manifests: Collection[Manifest], min_success_rate: float
) -> dg.AssetCheckResult:
    """Report how many samples have arrays. Only a warning: the others have a cause."""
    rows = sum(manifest.rows for manifest in manifests)
    successes = sum(manifest.successes for manifest in manifests)
    rate = metadata.share(successes, rows)
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        passed=not rows or rate >= min_success_rate,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rate:.1%} of {rows:,} samples were encoded.",
        metadata={
            "success rate": rate,
            "samples": rows,
            "causes": metadata.causes_table(
                add_counts(manifest.causes for manifest in manifests), rows
            ),
        },
    )
