"""Checks that run inside `split_archives` and `hub_upload`. Both block: what is made of bad archives would be bad, and published."""

from collections.abc import Sequence

import dagster as dg

from dataset_assets.orchestration.stages.shards.checks import problem_list
from dataset_assets.records.publications import PublishResult
from dataset_assets.records.splits import SplitManifest

SPLITS_SOUND = "split_archives_sound"
UPLOAD_LOADS = "hub_upload_loads"


def splits_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the check of `split_archives`."""
    return dg.AssetCheckSpec(
        SPLITS_SOUND,
        asset=key,
        blocking=True,
        description="Every archive is complete and has its hash, counts add up, and no group or file is in two splits.",
    )


def upload_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """Declare the check of `hub_upload`."""
    return dg.AssetCheckSpec(
        UPLOAD_LOADS,
        asset=key,
        blocking=True,
        description="At the published revision every file has its hash, every split its rows, and the first rows stream.",
    )


def splits_result(manifest: SplitManifest, problems: Sequence[str]) -> dg.AssetCheckResult:
    """Judge what verification of the archives found."""
    samples, files, splits = manifest.samples, len(manifest.files), len(manifest.splits)
    return dg.AssetCheckResult(
        check_name=SPLITS_SOUND,
        passed=not problems,
        description=problem_list(problems)
        or f"{samples:,} samples in {files:,} files, {splits} splits that share nothing.",
        metadata={"files": files, "samples": samples, "problems": len(problems)},
    )


def upload_result(published: PublishResult, problems: Sequence[str]) -> dg.AssetCheckResult:
    """Judge what reading the publication back found."""
    return dg.AssetCheckResult(
        check_name=UPLOAD_LOADS,
        passed=not problems,
        description=problem_list(problems) or f"Loads at revision {published.revision}.",
        metadata={"revision": published.revision, "problems": len(problems)},
    )
