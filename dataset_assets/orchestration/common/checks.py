"""The check that blocks downstream assets: what was written is verified against its records."""

from collections.abc import Sequence

import dagster as dg

from dataset_assets.orchestration.common.metadata import problem_list


def verification_check(name: str, asset: dg.AssetKey, description: str) -> dg.AssetCheckSpec:
    """Declare a check that blocks the assets downstream of an asset."""
    return dg.AssetCheckSpec(name, asset=asset, blocking=True, description=description)


def verification_result(
    name: str, problems: Sequence[str], summary: str, **counted: int | str
) -> dg.AssetCheckResult:
    """Report what verification found; without problems, the summary is the description."""
    return dg.AssetCheckResult(
        check_name=name,
        passed=not problems,
        description=problem_list(problems) or summary,
        metadata={**counted, "problems": len(problems)},
    )
