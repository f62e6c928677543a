"""A part of a `defs.yaml`: strict keys, strict types, templates, and errors that stand at the line of the key that is wrong.

Dagster derives a pydantic model from a component class, which accepts a string everywhere and reports a wrong key at the line of its section.
Sections are plain pydantic models instead; Dagster adds file and line to whatever they raise.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Set
from difflib import get_close_matches
from typing import Any

import dagster as dg
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from dataset_assets.errors import ConfigurationError

#: key, value, what is wrong with it
Problem = tuple[str, Any, str]


class Section(BaseModel):
    """Base of all sections. A text with `{{ ... }}` is rendered with the scope of Dagster's YAML templates: `env`, `dg`, `datetime`."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        unknown = [key for key in value if key not in cls.model_fields]
        if unknown:
            raise errors_at_keys(
                cls.__name__,
                ((key, value[key], unknown_key(key, cls.model_fields)) for key in unknown),
            )
        return _rendered(cls.__name__, value)


def errors_at_keys(title: str, problems: Iterable[Problem]) -> ValidationError:
    """Build an error of which every part points to a key of the section."""
    details = [
        InitErrorDetails(
            type="value_error", loc=(key,), input=value, ctx={"error": ValueError(text)}
        )
        for key, value, text in problems
    ]
    return ValidationError.from_exception_data(title, details)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Say which keys there are, and which one was probably meant."""
    names = list(known)
    near = get_close_matches(str(key), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown key {key!r}: expected one of {', '.join(names)}{hint}"


def given_keys(
    section: Section, renamed: Mapping[str, str], keys: Set[str] | None = None
) -> dict[str, Any]:
    """Return what stands in the YAML, under the library's names; the library has the defaults of the rest."""
    given = section.model_dump(exclude_unset=True, include=set(keys) if keys is not None else None)
    return {
        renamed.get(key, key): tuple(value) if isinstance(value, list) else value
        for key, value in given.items()
        if value is not None
    }


def checked(section: Section, build: Callable[[], object], renamed: Mapping[str, str]) -> None:
    """Let the library judge the values, and point its complaint to the key that it names first.

    Raises:
        ValidationError: the library refuses a value.
    """
    try:
        build()
    except ConfigurationError as exc:
        named = re.match(r"(?:unknown )?(\w*)", str(exc))
        option = named.group(1) if named else ""
        key = {name: key for key, name in renamed.items()}.get(option, option)
        if key not in type(section).model_fields:
            raise
        raise errors_at_keys(
            type(section).__name__, [(key, getattr(section, key), str(exc))]
        ) from exc


def _rendered(title: str, value: Mapping[str, Any]) -> dict[str, Any]:
    result, problems = dict(value), list[Problem]()
    for key, text in value.items():
        if isinstance(text, str) and "{{" in text:
            try:
                result[key] = dg.ResolutionContext.default().resolve_value(text)
            except Exception as exc:  # noqa: BLE001  a template may call anything; the error is shown at its line
                problems.append(
                    (
                        key,
                        text,
                        f"the template {text!r} can not be rendered: {str(exc).strip().splitlines()[-1]}",
                    )
                )
    if problems:
        raise errors_at_keys(title, problems)
    return result
