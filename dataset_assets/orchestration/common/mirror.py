"""Gives a section of a `defs.yaml` the keys of an option class of the library.

An option is declared, checked and documented once, in its class. The key here has the same name
and type; `None`, which is the default, means the default of the class.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import reduce
from operator import or_
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from dataset_assets.orchestration.common.section import S, create_section


def mirrors(
    options: type, *, renamed: Mapping[str, str] | None = None, omit: Collection[str] = ()
) -> Callable[[type[S]], type[S]]:
    """Return a class decorator that adds the keys of an option class to a section.

    A key that the section declares itself stays as it is: with its own type or default.

    Args:
        options: a dataclass.
        renamed: key -> field of the class, where the names differ.
        omit: fields that cannot be set in a `defs.yaml`.
    """
    key_of = {field: key for key, field in (renamed or {}).items()}

    def with_keys(section: type[S]) -> type[S]:
        hints = get_type_hints(options)
        offered = [field for field in fields(options) if field.name not in omit]
        keys = {key_of.get(field.name, field.name): field for field in offered}
        added = {
            key: _key(field, hints[field.name])
            for key, field in keys.items()
            if key not in section.model_fields
        }
        made = create_section(section.__name__, section, section.__doc__, added)
        names = {key: field.name for key, field in keys.items()}
        made.mirrored = {**section.mirrored, options: names}
        return made

    return with_keys


def _key(field: "Field[Any]", hint: Any) -> tuple[Any, Any]:
    """Return the type and the default of a key."""
    if field.default is MISSING and field.default_factory is MISSING:
        return yaml_type(hint), ...
    return yaml_type(hint) | None, None


def yaml_type(hint: Any) -> Any:
    """Return the type that YAML has for values of an option: lists for tuples, no dataclasses."""
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin is tuple:
        return list[yaml_type(arguments[0])]  # type: ignore[misc]
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        key, value = arguments
        return dict[yaml_type(key), yaml_type(value)]  # type: ignore[misc]
    if origin in (Union, UnionType):
        return reduce(or_, (yaml_type(each) for each in arguments if not is_dataclass(each)))
    return hint
