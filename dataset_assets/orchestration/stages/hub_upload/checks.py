"""The check that runs inside `hub_upload`: it reads the publication back."""

from collections.abc import Sequence

import dagster as dg

from dataset_assets.orchestration.common.metadata import problem_list
from dataset_assets.records.publications import PublishResult

UPLOAD_LOADS = "hub_upload_loads"


def upload_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the check."""
    return dg.AssetCheckSpec(
        UPLOAD_LOADS,
        asset=key,
        blocking=True,
        description=(
            "At the published revision, every file has its hash, every split has its rows, and "
            "the first rows stream."
        ),
    )


def upload_result(published: PublishResult, problems: Sequence[str]) -> dg.AssetCheckResult:
    """Report what reading the publication back found."""
    return dg.AssetCheckResult(
        check_name=UPLOAD_LOADS,
        passed=not problems,
        description=problem_list(problems) or f"Loads at revision {published.revision}.",
        metadata={"revision": published.revision, "problems": len(problems)},
    )
