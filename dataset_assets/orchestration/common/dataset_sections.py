"""Sections that no stage owns: `automation:`, `freshness:` and `requires:` of a `defs.yaml`."""

from typing import Annotated, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.common.section import Section, errors_at_keys
from dataset_assets.records.causes import TRANSIENT, parse_causes


def _valid_cron(text: str) -> str:
    try:
        dg.AutomationCondition.cron_tick_passed(text)
    except Exception as exc:
        raise ConfigurationError(
            f"expected the five fields of a cron schedule, such as '0 3 * * 1', got {text!r}"
        ) from exc
    return text


def _known_causes(names: list[str]) -> list[str]:
    parse_causes(names)
    return names


Cron = Annotated[str, AfterValidator(_valid_cron)]
Seconds = Annotated[float, Field(gt=0)]


class RetryFailed(Section):
    """When to retry rows that failed."""

    cron: Cron
    causes: Annotated[list[str], AfterValidator(_known_causes)] = Field(
        default_factory=lambda: [TRANSIENT]
    )
    """Causes to retry; `transient` stands for all transient causes."""


class Automation(Section):
    """What Dagster starts by itself.

    Off unless `enabled`; if enabled, sensors and schedules run as soon as the daemon runs.
    """

    enabled: bool = False
    watch_every_s: Annotated[int, Field(ge=5)] | None = None
    """Seconds between two checks for a new or changed source. Left out: the sensor is off."""
    refresh: Cron | None = None
    """Cron schedule on which the source is read again."""
    retry_failed: RetryFailed | None = None
    step_retries: Annotated[int, Field(ge=0)] = 2
    """How often a step is retried that failed as a whole."""
    step_retry_delay_s: Seconds = 30
    """Delay before the first retry of a step; it doubles with each retry."""


class Freshness(Section):
    """Maximum age of the asset that reads the source."""

    warn_after_h: Seconds | None = None
    fail_after_h: Seconds

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.warn_after_h is not None and self.warn_after_h >= self.fail_after_h:
            problem = (
                f"warn_after_h: expected less than fail_after_h ({self.fail_after_h}), "
                f"got {self.warn_after_h}"
            )
            raise errors_at_keys("Freshness", [("warn_after_h", self.warn_after_h, problem)])
        return self


class Requires(Section):
    """What a dataset needs where it runs; shown as tags of its assets."""

    network: bool = False
    env: list[str] = Field(default_factory=list)
    """Environment variables. If one is not set, `shards` fails with its name."""
