"""The model of a `defs.yaml`, put together from what the stages declare."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from pydantic import create_model, model_validator

from dataset_assets import registry
from dataset_assets.orchestration.common.section import Problem, create_section, errors_at_keys
from dataset_assets.orchestration.common.spec import DatasetHead, DatasetSpec, SourceSection
from dataset_assets.orchestration.common.stage import Stage, in_order, stages_of

ROLE = "stage"


def load_stages() -> tuple[Stage, ...]:
    """Return all stages of the graph, each after those it reads."""
    return in_order(registry.load(ROLE, name) for name in registry.names(ROLE))


@cache
def dataset_model(stages: tuple[Stage, ...]) -> type[DatasetSpec]:
    """Build the model: the keys of all datasets, and those of the stages after `source`."""

    def check_stages(spec: DatasetSpec) -> DatasetSpec:
        if problems := list(_problems(spec, stages)):
            raise errors_at_keys(DatasetSpec.__name__, problems)
        return spec

    keys = _stage_keys(stages)
    # Keys of bases keep their order, so those of the stages come between the two classes.
    with_stages = create_section("StageKeys", DatasetHead, DatasetHead.__doc__, keys)
    bases: Any = (DatasetSpec, with_stages)
    validators: dict[str, Any] = {"check_stages": model_validator(mode="after")(check_stages)}
    model: type[DatasetSpec] = create_model(
        DatasetSpec.__name__,
        __base__=bases,
        __doc__=DatasetSpec.__doc__,
        __validators__=validators,
        source=keys["source"],
    )
    model.is_generated = True
    return model


def _stage_keys(stages: Sequence[Stage]) -> dict[str, Any]:
    """Return the type and default of `source` and of the section of each stage."""
    kinds: dict[str, Any] = {
        kind: (section | None, None) for stage in stages for kind, section in stage.sources.items()
    }
    source = create_section(SourceSection.__name__, SourceSection, SourceSection.__doc__, kinds)
    keys: dict[str, Any] = {"source": (source, ...)}
    for stage in stages:
        if stage.key is not None and stage.is_optional:
            keys[stage.key] = (stage.section, stage.section())
        elif stage.key is not None:
            keys[stage.key] = (stage.section | None, None)
    return keys


def _problems(spec: DatasetSpec, stages: Sequence[Stage]) -> Iterator[Problem]:
    """Find keys that need another one, or conflict with it."""
    kind = spec.source.kind
    built = stages_of(spec, stages)
    for stage in stages:
        section = getattr(spec, stage.key) if stage.key is not None else None
        if kind in stage.sources and stage.name not in built:
            text = (
                f"nothing is made of `source.{kind}` without `{stage.key}`: add `{stage.key}: {{}}`"
            )
            yield "source", spec.source, text
        elif stage.name not in built and stage.key in spec.model_fields_set and section is not None:
            yield stage.key, section, stage.refusal.format(key=stage.key, kind=kind)
        yield from stage.problems(spec)
