"""What happens by itself, what must be there, and how old things may get: `automation:`, `requires:` and `freshness:` of a `defs.yaml`."""

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
    """When rows that failed are fetched again."""

    cron: Cron
    causes: Annotated[list[str], AfterValidator(_known_causes)] = Field(
        default_factory=lambda: [TRANSIENT]
    )
    """Causes, or `transient` for all that may go away."""


class Automation(Section):
    """What happens by itself. Off unless `enabled`: then sensors and schedules run as soon as the daemon does."""

    enabled: bool = False
    watch_every_s: Annotated[int, Field(ge=5)] | None = None
    """Look for new lists this often."""
    refresh: Cron | None = None
    """Read the lists again at these times, cron."""
    retry_failed: RetryFailed | None = None
    step_retries: Annotated[int, Field(ge=0)] = 2
    """How often a run tries shards again that failed as a whole."""
    step_retry_delay_s: Seconds = 30


class Freshness(Section):
    """How old the url plan may get."""

    warn_after_h: Seconds | None = None
    fail_after_h: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn_after_h is not None and self.warn_after_h >= self.fail_after_h:
            problem = f"warn_after_h must be less than fail_after_h: {self.warn_after_h} came with {self.fail_after_h}"
            raise errors_at_keys("Freshness", [("warn_after_h", self.warn_after_h, problem)])
        return self


class Requires(Section):
    """What must be there before shards can be made: shown as tags; a missing variable is one clear error then."""

    network: bool = False
    env: list[str] = Field(default_factory=list)
