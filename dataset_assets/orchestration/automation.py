"""What makes assets run by themselves, and how often a step is tried again. All of it is off until a `defs.yaml` switches it on.

Three things retry, each for its own kind of failure: the step (here: a store or network that did not answer), the run (dagster.yaml: crashed workers
only), and rows (`retry_failed`: urls that failed for a cause that may go away).
"""

from datetime import timedelta
from typing import Any

import dagster as dg

from dataset_assets.orchestration.common.spec import DatasetSpec

SENSOR_NAME = "automation"


def shards_condition(spec: DatasetSpec) -> dg.AutomationCondition[Any] | None:
    """Ask for partitions that are new and not made yet. Not `eager()`: it would ask for every shard again whenever a list is added."""
    if not spec.automation.enabled:
        return None
    return dg.AutomationCondition.on_missing() & ~dg.AutomationCondition.in_progress()


def whole_condition(spec: DatasetSpec) -> dg.AutomationCondition[Any] | None:
    """Ask for what is made of a whole dataset when something above it was made and nothing above it is missing."""
    return dg.AutomationCondition.eager() if spec.automation.enabled else None


def automation_sensor(*, is_on: bool) -> dg.AutomationConditionSensorDefinition:
    """Build the one sensor that evaluates the conditions of all assets."""
    return dg.AutomationConditionSensorDefinition(
        SENSOR_NAME,
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING if is_on else dg.DefaultSensorStatus.STOPPED,
        description="Requests new shard partitions, and what is made of all of them, of datasets with `automation: {enabled: true}`.",
    )


def freshness_policy(spec: DatasetSpec) -> dg.FreshnessPolicy | None:
    """Say how old the plan may get, or the splits of a dataset without one. Policies know no partitions, so shards have none."""
    if spec.freshness is None:
        return None
    warn_after_h = spec.freshness.warn_after_h
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=spec.freshness.fail_after_h),
        warn_window=timedelta(hours=warn_after_h) if warn_after_h is not None else None,
    )


def step_retries(spec: DatasetSpec) -> dg.RetryPolicy:
    """Try a step again that failed as a whole; what is committed is kept."""
    return dg.RetryPolicy(
        max_retries=spec.automation.step_retries,
        delay=spec.automation.step_retry_delay_s,
        backoff=dg.Backoff.EXPONENTIAL,
        jitter=dg.Jitter.PLUS_MINUS,
    )
