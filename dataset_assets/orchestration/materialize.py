"""Materialize a dataset from a script, in this process: what `dataset-assets demo` does, and what a notebook may want.

Runs are recorded in Dagster's instance, so the UI shows them like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.errors import DagsterHomeNotSetError

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.common.spec import (
    HUB_UPLOAD,
    LOADER_PREVIEW,
    RAW_URLS,
    SHARDS,
    SPLIT_ARCHIVES,
    STAGED,
)
from dataset_assets.orchestration.partitions import consecutive, partitions_name, range_tags
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.shards.commits import MANIFEST

#: Dagster's own events are in the UI; the terminal gets what the assets say.
_QUIET = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}
#: What is made of all shards, in order.
_WHOLE = (LOADER_PREVIEW, SPLIT_ARCHIVES, HUB_UPLOAD)


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
    """Plan the lists of a dataset and make its shards, or stage its parts; then its preview, splits and publication where it has them.

    Shards are the given partitions, and then nothing is made of them; or all that are not recorded as made or are gone from the store.
    Idempotent: what is committed is not fetched, written or published again. Ranges are cut as a backfill would cut them. Without an `instance`,
    that of DAGSTER_HOME.

    Raises:
        ConfigurationError: there is no such dataset or partition, or no DAGSTER_HOME.
    """
    session = _Session.open(name, instance, definitions)
    made, runs = session.make_partitions(partitions)
    for stage in _WHOLE if partitions is None else ():
        if session.has(stage) and all(run.success for run in runs):
            runs.append(session.run(stage, {}))
    failed = [run for run in runs if not run.success]
    return Materialized(
        made, tuple(run.run_id for run in failed), tuple(_problem(run) for run in failed)
    )


@dataclass(frozen=True, slots=True)
class _Session:
    """A dataset and the Dagster that runs it."""

    name: str
    job: dg.JobDefinition
    keys: frozenset[dg.AssetKey]
    shards: dg.AssetsDefinition | None  # what has partitions
    storage: StorageResource
    instance: dg.DagsterInstance

    @classmethod
    def open(
        cls, name: str, instance: dg.DagsterInstance | None, definitions: dg.Definitions | None
    ) -> "_Session":
        definitions = definitions or build_defs()
        keys = frozenset(spec.key for spec in definitions.resolve_all_asset_specs())
        datasets = sorted(
            {key.path[0] for key in keys if key.path[-1] in (SHARDS, STAGED, SPLIT_ARCHIVES)}
        )
        if name not in datasets:
            raise ConfigurationError(
                f"unknown dataset {name!r}: expected one of {', '.join(datasets)}"
            )
        stage = next(
            (stage for stage in (SHARDS, STAGED) if dg.AssetKey([name, stage]) in keys), None
        )
        shards = definitions.get_assets_def([name, stage]) if stage is not None else None
        storage = (definitions.resources or {})["storage"]
        return cls(
            name,
            definitions.resolve_implicit_global_asset_job_def(),
            keys,
            shards,
            storage,
            instance or _instance(),
        )

    def has(self, stage: str) -> bool:
        """Whether the dataset has this asset."""
        return dg.AssetKey([self.name, stage]) in self.keys

    def run(self, stage: str, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        """Run one asset."""
        key = dg.AssetKey([self.name, stage])
        return self.job.execute_in_process(
            instance=self.instance,
            asset_selection=[key],
            tags=tags,
            run_config=_QUIET,
            raise_on_error=False,
        )

    def make_partitions(
        self, partitions: Sequence[str] | None
    ) -> tuple[tuple[str, ...], list[dg.ExecuteInProcessResult]]:
        """Run the plan, if there is one, then the partitions; return which, and all runs."""
        if self.shards is None:
            if partitions is not None:
                raise ConfigurationError(
                    f"{self.name} has no partitions: it is not made of url lists, nor staged"
                )
            return (), []
        plan = [self.run(RAW_URLS, {})] if self.has(RAW_URLS) else []
        if not all(run.success for run in plan):
            return (), plan
        stage, known = self.shards.key.path[-1], self._known(self.shards)
        wanted = self._missing(stage, known) if partitions is None else list(partitions)
        if unknown := set(wanted) - set(known):
            raise ConfigurationError(
                f"{self.name} has no partitions {', '.join(sorted(unknown))}; it has {known[0]} to {known[-1]}"
            )
        ranges = consecutive(known, set(wanted), self._partitions_per_run(len(known)))
        return tuple(wanted), [
            *plan,
            *(self.run(stage, range_tags(first, last)) for first, last in ranges),
        ]

    def _known(self, asset: dg.AssetsDefinition) -> Sequence[str]:
        """Return the partitions, in order."""
        parts = asset.partitions_def
        return (
            self.instance.get_dynamic_partitions(partitions_name(self.name))
            if self.has(RAW_URLS)
            else parts.get_partition_keys()
            if parts
            else ()
        )

    def _missing(self, stage: str, known: Sequence[str]) -> list[str]:
        """Return the partitions that were never made, or whose folder is gone."""
        made = self.instance.get_materialized_partitions(dg.AssetKey([self.name, stage]))
        return [
            key
            for key in known
            if key not in made or self.storage.store(self.name, stage, key).size(MANIFEST) is None
        ]

    def _partitions_per_run(self, known: int) -> int:
        """Return how many partitions a run may take."""
        policy = self.shards.backfill_policy if self.shards is not None else None
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
