"""Checks that run inside the `staged` asset: complete shards, known labels, decodable images."""

from collections.abc import Sequence

import dagster as dg

from dataset_assets.orchestration.common import metadata
from dataset_assets.orchestration.common.checks import verification_check, verification_result
from dataset_assets.pipelines.stage.stage import StageReport
from dataset_assets.pipelines.verify.shards import verify_set
from dataset_assets.staging.summary import STAGED_FILE
from dataset_assets.storage.store import Store

COMPLETE = "staged_complete"
LABELS = "staged_labels"
IMAGES = "staged_images"


def staged_checks(key: dg.AssetKey, min_success_rate: float) -> list[dg.AssetCheckSpec]:
    """Declare the checks."""
    return [
        verification_check(
            COMPLETE, key, "Every shard matches its record, and every image has a row."
        ),
        dg.AssetCheckSpec(
            LABELS,
            asset=key,
            description="Every label in the label maps is in the table of classes.",
        ),
        dg.AssetCheckSpec(
            IMAGES,
            asset=key,
            description=f"At least {min_success_rate:.0%} of the images could be decoded.",
        ),
    ]


def staged_results(
    store: Store, report: StageReport, min_success_rate: float
) -> list[dg.AssetCheckResult]:
    """Return the results for a partition."""
    return [
        _complete(verify_set(store, deep=False, manifest=report.manifest), report),
        _labels(report),
        _images(report, min_success_rate),
    ]


def _complete(problems: Sequence[str], report: StageReport) -> dg.AssetCheckResult:
    dataset = report.dataset
    manifest = report.manifest
    if (dataset.rows, dataset.samples) != (manifest.rows, manifest.successes):
        problem = (
            f"{STAGED_FILE}: expected {manifest.rows} rows and {manifest.successes} samples as in "
            f"the manifest, got {dataset.rows} and {dataset.samples}"
        )
        problems = [*problems, problem]
    summary = (
        f"{dataset.rows:,} images, {dataset.samples:,} samples, {len(manifest.shards):,} shards."
    )
    return verification_result(
        COMPLETE, problems, summary, rows=dataset.rows, samples=dataset.samples
    )


def _labels(report: StageReport) -> dg.AssetCheckResult:
    known = {"0", *(str(label.id) for label in report.dataset.classes)}
    unknown = {label: count for label, count in report.dataset.pixels.items() if label not in known}
    description = f"{len(report.dataset.classes)} classes."
    if unknown:
        description = f"Labels without a class: {', '.join(sorted(unknown, key=int))}."
    rows = ({"label": int(label), "pixels": count} for label, count in unknown.items())
    return dg.AssetCheckResult(
        check_name=LABELS,
        passed=not unknown,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata={"unknown labels": metadata.table(rows)},
    )


def _images(report: StageReport, min_success_rate: float) -> dg.AssetCheckResult:
    dataset = report.dataset
    rate = metadata.share(dataset.samples, dataset.rows)
    return dg.AssetCheckResult(
        check_name=IMAGES,
        passed=rate >= min_success_rate,
        severity=dg.AssetCheckSeverity.WARN,
        description=(
            f"{rate:.1%} of {dataset.rows:,} images became samples, expected at least "
            f"{min_success_rate:.0%}."
        ),
        metadata={
            "success rate": rate,
            "causes": metadata.causes_table(dataset.causes, dataset.rows),
        },
    )
