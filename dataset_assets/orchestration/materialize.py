"""Materialize a dataset from a script, in this process: what `dataset-assets demo` does, and what a notebook may want.

Runs are recorded in Dagster's instance, so the UI shows them like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.errors import DagsterHomeNotSetError

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.partitions import consecutive, partitions_name, range_tags
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.orchestration.spec import RAW_URLS, SHARDS
from dataset_assets.shards._records import MANIFEST

#: Dagster's own events are in the UI; the terminal gets what the assets say.
_QUIET = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}


@dataclass(frozen=True, slots=True)
class Materialized:
    """What a call did."""

    partitions: tuple[str, ...]  # those that were asked for, or were missing
    failed_runs: tuple[str, ...]  # run ids
    problems: tuple[str, ...]  # one line per failed run

    @property
    def success(self) -> bool:
        """Whether everything that was asked for is there now."""
        return not self.failed_runs


def materialize_dataset(
    name: str,
    *,
    partitions: Sequence[str] | None = None,
    instance: dg.DagsterInstance | None = None,
    definitions: dg.Definitions | None = None,
) -> Materialized:
    """Plan the lists of a dataset, then make its shards: the given partitions, or all that are not recorded as made or are gone from the store.

    Idempotent: shards that are committed are not fetched again. Ranges are cut as a backfill would cut them. Without an `instance`, that of DAGSTER_HOME.

    Raises:
        ConfigurationError: there is no such dataset or partition, or no DAGSTER_HOME.
    """
    session = _Session.open(name, instance, definitions)
    plan = session.run(RAW_URLS, {})
    if not plan.success:
        return Materialized((), (plan.run_id,), (_problem(plan),))
    known = session.instance.get_dynamic_partitions(partitions_name(name))
    wanted = session.missing(known) if partitions is None else list(partitions)
    if unknown := set(wanted) - set(known):
        raise ConfigurationError(f"{name} has no partitions {', '.join(sorted(unknown))}; it has {known[0]} to {known[-1]}")
    runs = []
    for first, last in consecutive(known, set(wanted), session.partitions_per_run(len(known))):
        runs.append(session.run(SHARDS, range_tags(first, last)))
    failed = [run for run in runs if not run.success]
    return Materialized(tuple(wanted), tuple(run.run_id for run in failed), tuple(_problem(run) for run in failed))


@dataclass(frozen=True, slots=True)
class _Session:
    """A dataset and the Dagster that runs it."""

    name: str
    job: dg.JobDefinition
    shards: dg.AssetsDefinition
    storage: StorageResource
    instance: dg.DagsterInstance

    @classmethod
    def open(cls, name: str, instance: dg.DagsterInstance | None, definitions: dg.Definitions | None) -> "_Session":
        definitions = definitions or build_defs()
        keys = {spec.key for spec in definitions.resolve_all_asset_specs()}
        if dg.AssetKey([name, SHARDS]) not in keys:
            known = sorted(key.path[0] for key in keys if key.path[-1] == SHARDS)
            raise ConfigurationError(f"unknown dataset {name!r}: expected one of {', '.join(known)}")
        shards = definitions.get_assets_def([name, SHARDS])
        storage = (definitions.resources or {})["storage"]
        return cls(name, definitions.resolve_implicit_global_asset_job_def(), shards, storage, instance or _instance())

    def run(self, stage: str, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        """Run one asset."""
        key = dg.AssetKey([self.name, stage])
        return self.job.execute_in_process(
            instance=self.instance, asset_selection=[key], tags=tags, run_config=_QUIET, raise_on_error=False
        )

    def missing(self, known: Sequence[str]) -> list[str]:
        """Return the partitions that were never made, or whose folder is gone."""
        made = self.instance.get_materialized_partitions(self.shards.key)
        return [key for key in known if key not in made or self.storage.store(self.name, SHARDS, key).size(MANIFEST) is None]

    def partitions_per_run(self, known: int) -> int:
        """Return how many partitions a run may take."""
        policy = self.shards.backfill_policy
        return policy.max_partitions_per_run or known if policy is not None else 1


def _instance() -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.get()
    except DagsterHomeNotSetError as exc:
        raise ConfigurationError(
            "DAGSTER_HOME is not set: expected the absolute path of an existing folder, for Dagster's records"
        ) from exc


def _problem(run: dg.ExecuteInProcessResult) -> str:
    """Say in one line why a run failed."""
    for event in run.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        if failure.user_failure_data is not None:
            return f"{event.step_key}: {failure.user_failure_data.description}"
        if failure.error is not None:
            return f"{event.step_key}: {failure.error.message.strip()}"
    return f"run {run.run_id} failed"
