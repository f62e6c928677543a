"""The schedule `refresh`, which reads the source of a dataset again."""

import dagster as dg

from dataset_assets.orchestration.common.spec import DatasetSpec


def schedule_status(spec: DatasetSpec) -> dg.DefaultScheduleStatus:
    """Return the default status of the schedules of a dataset."""
    is_on = spec.automation.enabled
    return dg.DefaultScheduleStatus.RUNNING if is_on else dg.DefaultScheduleStatus.STOPPED


def refresh_schedules(spec: DatasetSpec, first_stage: str) -> list[dg.ScheduleDefinition]:
    """Build the schedule if the YAML asks for it; it runs the stage that reads the source."""
    if spec.automation.refresh is None:
        return []
    return [
        dg.ScheduleDefinition(
            name=spec.name_of("refresh"),
            cron_schedule=spec.automation.refresh,
            target=[spec.key(first_stage)],
            default_status=schedule_status(spec),
            description="Reads the source again.",
        )
    ]
