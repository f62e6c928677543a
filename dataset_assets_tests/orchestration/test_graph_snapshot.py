"""The graph of the shipped catalog as text, so that a review shows changes of keys or dependencies.

After an intended change, write the text again and read the difference:

    python -m dataset_assets_tests.orchestration.test_graph_snapshot
"""

from pathlib import Path

import dagster as dg

from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import Environment

SNAPSHOT = Path(__file__).with_name("graph_snapshot.txt")


def describe(definitions: dg.Definitions) -> str:
    """Describe what Dagster sees, sorted."""
    lines = []
    for spec in sorted(definitions.resolve_all_asset_specs(), key=lambda spec: spec.key):
        lines += [
            spec.key.to_user_string(),
            *(f"    {name}: {value}" for name, value in _asset(definitions, spec).items() if value),
            "",
        ]
    for sensor in sorted(definitions.sensors, key=lambda sensor: sensor.name):
        status = sensor.default_status.value.lower()
        every_s = sensor.minimum_interval_seconds
        lines.append(f"sensor {sensor.name}: every {every_s} s, {status}")
    for schedule in sorted(definitions.schedules, key=lambda schedule: schedule.name):
        status = schedule.default_status.value.lower()
        lines.append(f"schedule {schedule.name}: {schedule.cron_schedule}, {status}")
    lines += [
        "",
        f"executor {definitions.executor.name}",
        f"resources {', '.join(sorted(definitions.resources))}",
    ]
    return "\n".join(lines) + "\n"


def _asset(definitions: dg.Definitions, spec: dg.AssetSpec) -> dict[str, object]:
    definition = definitions.resolve_assets_def(spec.key)
    made = definition.is_executable
    return {
        "kind": "" if made else "external",
        "depends on": ", ".join(sorted(dep.asset_key.to_user_string() for dep in spec.deps)),
        "kinds": ", ".join(sorted(spec.kinds)),
        "owners": ", ".join(spec.owners),
        "tags": ", ".join(
            f"{name}={value}"
            for name, value in sorted(spec.tags.items())
            if not name.startswith("dagster/kind/")
        ),
        "partitions": getattr(spec.partitions_def, "name", None),
        "backfill": made and _backfill(definition.backfill_policy),
        "checks": ", ".join(
            f"{check.name}{' (blocking)' if check.blocking else ''}"
            for check in sorted(definition.check_specs, key=lambda check: check.name)
        ),
        "automation": spec.automation_condition,
        "freshness": spec.freshness_policy,
        "pool": made and definition.op.pool,
        "retries": made and definition.op.retry_policy and definition.op.retry_policy.max_retries,
    }


def _backfill(policy: dg.BackfillPolicy | None) -> str | None:
    return policy and f"{policy.max_partitions_per_run or 'all'} partitions to a run"


def test_graph_is_as_recorded_when_loaded():
    assert describe(build_defs(Environment())) == SNAPSHOT.read_text()


if __name__ == "__main__":
    SNAPSHOT.write_text(describe(build_defs(Environment())))
