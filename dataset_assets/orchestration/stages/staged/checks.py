"""Checks that run inside the `staged` asset: is it whole, are its labels those it says it has, could its images be decoded."""

from collections.abc import Sequence

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.stages.shards.checks import problem_list
from dataset_assets.pipelines.stage.stage import StageReport
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.storage.store import Store

COMPLETE = "staged_complete"
LABELS = "staged_labels"
IMAGES = "staged_images"


def staged_checks(key: dg.AssetKey, spec: DatasetSpec) -> list[dg.AssetCheckSpec]:
    """Declare the checks."""
    least = spec.staged.min_success_rate
    return [
        dg.AssetCheckSpec(
            COMPLETE,
            asset=key,
            blocking=True,
            description="Every shard agrees with its record, and every image has its row.",
        ),
        dg.AssetCheckSpec(
            LABELS, asset=key, description="Every label that is drawn is in the table of classes."
        ),
        dg.AssetCheckSpec(
            IMAGES,
            asset=key,
            description=f"At least {least:.0%} of the images can be decoded and became samples.",
        ),
    ]


def staged_results(
    store: Store, report: StageReport, spec: DatasetSpec
) -> list[dg.AssetCheckResult]:
    """Judge a partition."""
    return [
        _complete(verify_set(store, deep=False), report),
        _labels(report),
        _images(report, spec.staged.min_success_rate),
    ]


def _complete(problems: Sequence[str], report: StageReport) -> dg.AssetCheckResult:
    dataset = report.dataset
    if dataset.rows != report.manifest.rows or dataset.samples != report.manifest.successes:
        problems = [
            *problems,
            f"staged.json counts {dataset.rows} rows and {dataset.samples} samples, the manifest others",
        ]
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        passed=not problems,
        description=problem_list(problems)
        or f"{dataset.rows:,} images, {dataset.samples:,} samples, {len(report.manifest.shards):,} shards.",
        metadata={"rows": dataset.rows, "samples": dataset.samples, "problems": len(problems)},
    )


def _labels(report: StageReport) -> dg.AssetCheckResult:
    known = {str(label.id) for label in report.dataset.classes}
    unknown = {
        label: count
        for label, count in report.dataset.pixels.items()
        if label not in known and label != "0"
    }
    return dg.AssetCheckResult(
        check_name=LABELS,
        passed=not unknown,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Labels that no class has: {', '.join(sorted(unknown, key=int))}."
        if unknown
        else f"{len(known)} classes.",
        metadata={
            "unknown labels": metadata.table(
                {"label": int(label), "pixels": count} for label, count in unknown.items()
            )
        },
    )


def _images(report: StageReport, least: float) -> dg.AssetCheckResult:
    dataset = report.dataset
    rate = metadata.share(dataset.samples, dataset.rows)
    return dg.AssetCheckResult(
        check_name=IMAGES,
        passed=rate >= least,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{rate:.1%} of {dataset.rows:,} images became samples, expected at least {least:.0%}.",
        metadata={
            "success rate": rate,
            "causes": metadata.causes_table(dataset.causes, dataset.rows),
        },
    )
