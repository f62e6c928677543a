"""The check that runs inside `split_archives`. It blocks, so bad archives are never published."""

from collections.abc import Sequence

import dagster as dg

from dataset_assets.orchestration.common.metadata import problem_list
from dataset_assets.records.splits import SplitManifest

SPLITS_SOUND = "split_archives_sound"


def splits_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the check."""
    return dg.AssetCheckSpec(
        SPLITS_SOUND,
        asset=key,
        blocking=True,
        description=(
            "Every archive is complete and has its hash, counts add up, and no group or file is "
            "in two splits."
        ),
    )


def splits_result(manifest: SplitManifest, problems: Sequence[str]) -> dg.AssetCheckResult:
    """Report what verification of the archives found."""
    files = len(manifest.files)
    splits = len(manifest.splits)
    summary = f"{manifest.samples:,} samples in {files:,} files, {splits} disjoint splits."
    return dg.AssetCheckResult(
        check_name=SPLITS_SOUND,
        passed=not problems,
        description=problem_list(problems) or summary,
        metadata={"files": files, "samples": manifest.samples, "problems": len(problems)},
    )
