"""Sections: the base class of every part of a `defs.yaml`.

A section is strict about keys and types, renders templates, and reports an error at the line of
the key that is wrong. Dagster would derive a pydantic model from the component class, which accepts
a string everywhere and reports a wrong key at the line of its section. Sections are plain pydantic
models instead; Dagster adds file and line to the errors that they raise.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from typing import Any, ClassVar, Self, TypeVar

import dagster as dg
from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails

from dataset_assets.checks import did_you_mean
from dataset_assets.errors import ConfigurationError
from dataset_assets.option_docs import field_docs
from dataset_assets.redaction import MASK

#: Keys whose values can hold a password: errors do not show them.
_SECRET_KEYS = frozenset({"proxy"})
#: key, value, what is wrong with it
Problem = tuple[str, Any, str]
S = TypeVar("S", bound="Section")
T = TypeVar("T")


class Section(BaseModel):
    """Base of all sections.

    A text with `{{ ... }}` is rendered with the scope of Dagster's YAML templates: `env`, `dg`,
    `datetime`.
    """

    # Docstrings of keys are read for the schema only: pydantic would read them on every import.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    #: option class of the library -> key here -> field of the class; filled in by `mirrors`
    mirrored: ClassVar[Mapping[type, Mapping[str, str]]] = {}
    #: whether the class was built by `create_section`, so that it has no source
    is_generated: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        unknown = [key for key in value if key not in cls.model_fields]
        if unknown:
            raise errors_at_keys(
                cls.__name__,
                ((key, value[key], unknown_key(key, cls.model_fields)) for key in unknown),
            )
        return _rendered(cls.__name__, value)

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        check_by(self.check_options, self)
        return self

    def check_options(self) -> None:
        """Build the options of the library, which checks the values.

        Sections that build them from more than their own keys override this.

        Raises:
            ConfigurationError: the library rejects a value.
        """
        for options in self.mirrored:
            self.build(options)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Add docstrings of keys, and the docstrings and defaults of option classes."""
        described = handler(schema)
        properties = handler.resolve_ref_schema(described).get("properties", {})
        written = next(each for each in cls.__mro__ if not getattr(each, "is_generated", False))
        for key, text in field_docs(written).items():
            if key in properties:
                properties[key]["description"] = text
        for options, keys in cls.mirrored.items():
            docs = field_docs(options)
            for key, field in keys.items():
                if field in docs:
                    properties[key].setdefault("description", docs[field])
                if properties[key].get("default", MISSING) is None:
                    properties[key]["default"] = _json_default(options, field)
        return described

    def given(self, options: type) -> dict[str, Any]:
        """Return the arguments for an option class; keys that were left out are absent.

        Megabytes (10^6) of a key that ends in `_mb` become bytes.
        """
        values = {}
        for key, field in type(self).mirrored[options].items():
            value = getattr(self, key)
            if isinstance(value, list):
                value = tuple(value)
            elif value is not None and key.endswith("_mb"):
                value = round(value * 1_000_000)
            if value is not None:
                values[field] = value
        return values

    def build(self, options: type[T], **more: Any) -> T:
        """Build the options of the library from the keys that are given; `more` replaces some."""
        return options(**{**self.given(options), **more})


def create_section(name: str, base: type[S], doc: str | None, keys: Mapping[str, Any]) -> type[S]:
    """Build a subclass of a section with more keys: name -> (type, default)."""
    section: type[S] = create_model(
        name, __base__=base, __doc__=doc, __module__=base.__module__, **dict(keys)
    )
    section.is_generated = True
    return section


def _json_default(options: type, name: str) -> Any:
    """Return the default of an option as JSON has it; None: there is none, or it is infinite."""
    default = next(field.default for field in fields(options) if field.name == name)
    if default is MISSING or default == math.inf:
        return None
    return list(default) if isinstance(default, tuple) else default


def errors_at_keys(title: str, problems: Iterable[Problem]) -> ValidationError:
    """Build an error in which every part points to a key of the section."""
    details = [
        InitErrorDetails(
            type="value_error",
            loc=(key,),
            input=MASK if key in _SECRET_KEYS else value,
            ctx={"error": ValueError(text)},
        )
        for key, value, text in problems
    ]
    return ValidationError.from_exception_data(title, details)


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key: the valid keys, and the one that was likely meant."""
    names = list(known)
    expected = ", ".join(names)
    return f"unknown key {key!r}: expected one of {expected}{did_you_mean(key, names)}"


def check_by(
    build: Callable[[], object], section: Section, renamed: Mapping[str, str] | None = None
) -> None:
    """Validate values with the library; its error points to the key whose option it names first.

    Args:
        build: creates the options of the library.
        section: has the values.
        renamed: option -> key, beside those that the section mirrors.

    Raises:
        ValidationError: the library rejects a value.
    """
    try:
        build()
    except ConfigurationError as exc:
        named = re.match(r"(?:unknown )?(\w*)", str(exc))
        option = named.group(1) if named else ""
        key_of = {
            name: key for keys in type(section).mirrored.values() for key, name in keys.items()
        }
        key = {**key_of, **(renamed or {})}.get(option, option)
        if key not in type(section).model_fields:
            raise
        problem = (key, getattr(section, key), str(exc))
        raise errors_at_keys(type(section).__name__, [problem]) from exc


def _rendered(title: str, value: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(value)
    problems: list[Problem] = []
    for key, text in value.items():
        if not isinstance(text, str) or "{{" not in text:
            continue
        try:
            result[key] = dg.ResolutionContext.default().resolve_value(text)
        except Exception as exc:  # noqa: BLE001  a template may raise anything
            reason = str(exc).strip().splitlines()[-1]
            problems.append((key, text, f"the template {text!r} cannot be rendered: {reason}"))
    if problems:
        raise errors_at_keys(title, problems)
    return result
