"""The check that runs inside the `training_set` asset."""

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.records.training_sets import TrainingSetSummary

USABLE = "training_set_usable"


def training_set_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the check."""
    return dg.AssetCheckSpec(
        USABLE, asset=key, description="Every sample of the source has a bucket and a caption."
    )


def training_set_result(summary: TrainingSetSummary) -> dg.AssetCheckResult:
    """Report what was left out. Only a warning: more than the allowed share is an error."""
    skipped = sum(summary.skipped.values())
    left_out = sum(summary.left_out.values())
    total = summary.samples + skipped + left_out
    return dg.AssetCheckResult(
        check_name=USABLE,
        passed=not skipped and not left_out,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{summary.samples:,} of {total:,} samples can be trained on.",
        metadata={
            "samples": summary.samples,
            "skipped": metadata.causes_table(summary.skipped, total),
            "left out": metadata.causes_table(summary.left_out, total),
        },
    )
