"""Materializes a dataset from a script, in this process: `dataset-assets demo`, or a notebook.

Runs are recorded in Dagster's instance, so that the UI shows them like any other.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import dagster as dg
from dagster._core.errors import DagsterHomeNotSetError

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.components.model import ROLE
from dataset_assets.orchestration.partitions import consecutive, range_tags
from dataset_assets.orchestration.pool_waits import say_waits
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.shards.commits import MANIFEST

_log = logging.getLogger(__name__)
# Dagster's own events are in the UI; the terminal shows what the assets log.
_RUN_CONFIG = {"loggers": {"console": {"config": {"log_level": "INFO"}}}}


@dataclass(frozen=True, slots=True)
class Materialized:
    """Result of a call."""

    partitions: tuple[str, ...]
    """The requested partitions, or those that were missing."""
    failed_runs: tuple[str, ...]
    """Ids of runs."""
    problems: tuple[str, ...]
    """One line for each failed run."""

    @property
    def success(self) -> bool:
        """Whether everything that was requested exists now."""
        return not self.failed_runs


def materialize_dataset(
    name: str,
    *,
    partitions: Sequence[str] | None = None,
    instance: dg.DagsterInstance | None = None,
    definitions: dg.Definitions | None = None,
) -> Materialized:
    """Materialize the assets of a dataset, upstream before downstream, until one fails.

    Idempotent: committed data is not downloaded, written or published again. Runs whose process was
    killed give back their slots in Dagster's pools first; a wait of more than 10 s for a slot that
    others hold is a warning of the logger of this module.

    Args:
        name: of the dataset.
        partitions: only these are made, and no asset downstream of them. By default, all that are
            not recorded as made, or have no manifest in the store, in ranges as a backfill has.
        instance: by default that of DAGSTER_HOME.
        definitions: by default those of all catalogs.

    Raises:
        ConfigurationError: there is no such dataset or partition, or DAGSTER_HOME is not set.
    """
    dataset = _Dataset.open(name, instance, definitions)
    if partitions is not None and not any(map(dataset.partitions_def, dataset.keys)):
        raise ConfigurationError(
            f"{name} has no partitions: it is not made of URL lists, nor staged"
        )
    for key in dataset.keys:
        if dataset.failed_runs():
            break
        if dataset.partitions_def(key) is None:
            dataset.run(key, {})
            continue
        dataset.make_partitions(key, partitions)
        if partitions is not None:
            break
    failed = dataset.failed_runs()
    return Materialized(
        tuple(dataset.made),
        tuple(run.run_id for run in failed),
        tuple(_problem(run) for run in failed),
    )


def made_stages(definitions: dg.Definitions, name: str) -> list[str]:
    """Return the stages of a dataset that `materialize_dataset` makes, upstream first."""
    stages = (key.path[1] for key in _asset_keys(definitions) if key.path[0] == name)
    return list(dict.fromkeys(stages))


@dataclass(frozen=True, slots=True)
class _Dataset:
    """A dataset, the Dagster that runs it, and the runs so far."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    keys: Sequence[dg.AssetKey]
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    @classmethod
    def open(
        cls, name: str, instance: dg.DagsterInstance | None, definitions: dg.Definitions | None
    ) -> "_Dataset":
        definitions = definitions or build_defs()
        keys = _asset_keys(definitions)
        datasets = sorted({key.path[0] for key in keys})
        if name not in datasets:
            raise ConfigurationError(
                f"unknown dataset {name!r}: expected one of {', '.join(datasets)}"
            )
        own = [key for key in keys if key.path[0] == name]
        return cls(definitions, instance or _instance(), own)

    def partitions_def(self, key: dg.AssetKey) -> dg.PartitionsDefinition[str] | None:
        """Return the partitions of an asset; None: it has none."""
        return self.definitions.resolve_assets_def(key).partitions_def

    def failed_runs(self) -> list[dg.ExecuteInProcessResult]:
        """Return the runs that have failed."""
        return [run for run in self.runs if not run.success]

    def run(self, key: dg.AssetKey, tags: dict[str, str]) -> None:
        """Run one asset."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        run_id = str(uuid4())
        with say_waits(self.instance, run_id, _log.warning):
            run = job.execute_in_process(
                instance=self.instance,
                run_id=run_id,
                asset_selection=[key],
                tags=tags,
                run_config=_RUN_CONFIG,
                raise_on_error=False,
            )
        self.runs.append(run)

    def make_partitions(self, key: dg.AssetKey, partitions: Sequence[str] | None) -> None:
        """Run ranges of partitions: the given ones, or those that are missing."""
        asset = self.definitions.resolve_assets_def(key)
        known = self._known(key)
        wanted = self._missing(key, known) if partitions is None else list(partitions)
        if unknown := set(wanted) - set(known):
            has = f"{known[0]} to {known[-1]}" if known else "none"
            raise ConfigurationError(
                f"{key.path[0]} has no partitions {', '.join(sorted(unknown))}; it has {has}"
            )
        policy = asset.backfill_policy
        most = (policy.max_partitions_per_run or len(known)) if policy is not None else 1
        for first, last in consecutive(known, set(wanted), most):
            self.run(key, range_tags(first, last))
        self.made.extend(wanted)

    def _known(self, key: dg.AssetKey) -> Sequence[str]:
        """Return all partitions of an asset, in order."""
        partitions_def = self.partitions_def(key)
        if partitions_def is None:
            return ()
        return partitions_def.get_partition_keys(dynamic_partitions_store=self.instance)

    def _missing(self, key: dg.AssetKey, known: Sequence[str]) -> list[str]:
        """Return the partitions that are not recorded as made, or whose folder is gone."""
        storage: StorageResource = (self.definitions.resources or {})["storage"]
        made = self.instance.get_materialized_partitions(key)
        return [
            partition
            for partition in known
            if partition not in made or storage.store(*key.path, partition).size(MANIFEST) is None
        ]


def _asset_keys(definitions: dg.Definitions) -> list[dg.AssetKey]:
    """Return the keys of the assets that stages make, upstream first."""
    graph = definitions.resolve_asset_graph()
    stages = set(registry.names(ROLE))
    return [
        key
        for key in graph.toposorted_asset_keys
        if key in graph.materializable_asset_keys and stages.intersection(key.path[1:2])
    ]


def _instance() -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.get()
    except DagsterHomeNotSetError as exc:
        raise ConfigurationError(
            "DAGSTER_HOME is not set: expected the absolute path of an existing folder for "
            "Dagster's records"
        ) from exc


def _problem(run: dg.ExecuteInProcessResult) -> str:
    """Return in one line why a run failed."""
    for event in run.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        if failure.user_failure_data is not None:
            return f"{event.step_key}: {failure.user_failure_data.description}"
        if failure.error is not None:
            return f"{event.step_key}: {failure.error.message.strip()}"
    return f"run {run.run_id} failed"
