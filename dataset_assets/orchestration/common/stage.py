"""`Stage`: what a folder of `orchestration/stages/` declares about itself.

The component walks all stages that the registry finds (role `stage`), derives the keys of a
`defs.yaml` from them, and calls `build` for those that a dataset has. There is no other list of
stages: adding a stage means adding a folder whose `__init__.py` defines `STAGE`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Optional

import dagster as dg

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.section import Problem, Section
from dataset_assets.orchestration.common.spec import DatasetSpec
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.storage.store import Store


def _no_problems(_: DatasetSpec) -> Iterable[Problem]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """One stage of the graph: its place in a `defs.yaml`, and what it adds to the definitions.

    A dataset has a stage if the stage can read the source or an upstream stage of the dataset, and
    its section is given or optional.
    """

    name: str
    """Second part of its asset keys, and its folder below the folder of the dataset."""

    build: Callable[[DatasetSpec, Optional["Stage"]], dg.Definitions]
    """Build its assets (one or several), checks, external assets, sensors and schedules.

    The second argument is the upstream stage that it reads; None: it reads the source.
    """

    key: str | None = None
    """Key of its section in a `defs.yaml`; None: it has none."""

    section: type[Section] = Section
    """Class of its section."""

    is_optional: bool = False
    """Whether the section may be left out; then the stage is built with default values."""

    sources: Mapping[str, type[Section]] = field(default_factory=dict)
    """Kinds of `source` that this stage reads, each with the class of its section."""

    after: tuple[str, ...] = ()
    """Names of the stages that it can read."""

    refusal: str = "expected no `{key}` with `source.{kind}`"
    """Error for a section without anything to read; `{key}` and `{kind}` are filled in."""

    problems: Callable[[DatasetSpec], Iterable[Problem]] = _no_problems
    """Find keys that conflict with other sections. Called for every dataset."""

    shard_sets: Callable[[DatasetSpec, StorageResource], list[Store]] | None = None
    """Return the shard sets that the stage made, for later stages; None: it makes none.

    Raises ConfigurationError if some are missing; the message says what to materialize.
    """


def in_order(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Sort stages so that each comes after those it reads; ties are broken by name.

    Raises:
        ConfigurationError: a stage is `after` one that does not exist, or after itself.
    """
    waiting = {stage.name: stage for stage in sorted(stages, key=lambda stage: stage.name)}
    done: dict[str, Stage] = {}
    while waiting:
        ready = (stage for stage in waiting.values() if done.keys() >= set(stage.after))
        stage = next(ready, None)
        if stage is None:
            names = ", ".join(waiting)
            raise ConfigurationError(
                f"stages {names}: expected `after` to name known stages without a cycle"
            )
        done[stage.name] = waiting.pop(stage.name)
    return tuple(done.values())


def stages_of(spec: DatasetSpec, stages: Iterable[Stage]) -> dict[str, tuple[Stage, Stage | None]]:
    """Return the stages that a dataset has, each with the upstream stage that it reads.

    Args:
        spec: the dataset.
        stages: all stages, in order.
    """
    found: dict[str, tuple[Stage, Stage | None]] = {}
    for stage in stages:
        if stage.key is not None and getattr(spec, stage.key) is None:
            continue
        upstream = next((found[name][0] for name in stage.after if name in found), None)
        if upstream is not None or spec.source.kind in stage.sources:
            found[stage.name] = stage, upstream
    return found
