"""Automation conditions and freshness policies of assets, from the YAML of a dataset.

Everything here is off until a `defs.yaml` switches it on. Three mechanisms retry, each for its own
kind of failure: steps (in `assets`, when a store or the network did not answer), runs
(`dagster.yaml`, for crashed workers only) and rows (`retry_failed`, for URLs that failed for
transient causes).
"""

from datetime import timedelta
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common.spec import DatasetSpec

SENSOR_NAME = "automation"


def partition_condition(spec: DatasetSpec) -> dg.AutomationCondition[Any] | None:
    """Request partitions that are new and missing.

    `eager()` would request every partition again whenever a list is added.
    """
    if not spec.automation.enabled:
        return None
    return dg.AutomationCondition.on_missing() & ~dg.AutomationCondition.in_progress()


def whole_condition(spec: DatasetSpec) -> dg.AutomationCondition[Any] | None:
    """Request an unpartitioned asset when an upstream asset changed and none is missing."""
    return dg.AutomationCondition.eager() if spec.automation.enabled else None


def automation_sensor(*, is_on: bool) -> dg.AutomationConditionSensorDefinition:
    """Build the one sensor that evaluates the conditions of all assets."""
    status = dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED
    return dg.AutomationConditionSensorDefinition(
        SENSOR_NAME,
        target=dg.AssetSelection.all(),
        default_status=status,
        description=(
            "Requests new partitions, and the assets that depend on all of them, for datasets "
            "with `automation: {enabled: true}`."
        ),
    )


def freshness_policy(spec: DatasetSpec) -> dg.FreshnessPolicy | None:
    """Return the policy of the asset that reads the source.

    Dagster's policies ignore partitions, so partitioned assets have none.
    """
    if spec.freshness is None:
        return None
    warn_after_h = spec.freshness.warn_after_h
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=spec.freshness.fail_after_h),
        warn_window=timedelta(hours=warn_after_h) if warn_after_h is not None else None,
    )
