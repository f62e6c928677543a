"""`open_staging`: a published dataset by name and options, as a source of `stage`. For command lines and configurations."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from dataset_assets.errors import ConfigurationError
from dataset_assets.staging.source import Source
from dataset_assets.storage.credentials import CREDENTIALS_VARIABLE, read_credentials_file

#: name of the source -> class of its options, in `staging/<name>.py` beside `Source`.
OPTIONS = {
    "coco": "CocoOptions",
    "cityscapes": "CityscapesOptions",
    "imagenet": "ImagenetOptions",
    "cvat": "CvatOptions",
}
_CITYSCAPES = ("CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD")


def options_of(kind: str) -> type:
    """Return the class of a source's options.

    Raises:
        ConfigurationError: there is no such source.
    """
    if kind not in OPTIONS:
        raise ConfigurationError(f"source: expected one of {', '.join(OPTIONS)}, came {kind!r}")
    found: type = getattr(import_module(f"dataset_assets.staging.sources.{kind}"), OPTIONS[kind])
    return found


def open_staging(kind: str, options: Mapping[str, Any]) -> Source:
    """Open a published dataset. Nothing is read yet.

    Args:
        kind: "coco", "cityscapes", "imagenet" or "cvat".
        options: the fields of its options; lists stand for tuples.

    Raises:
        ConfigurationError: there is no such source or option, or a value can not work.
    """
    known = [field.name for field in fields(options_of(kind))]
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigurationError(
                f"{name}: not an option of {kind}; expected {', '.join(known)}{hint}"
            )
    given = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    try:
        made = options_of(kind)(**given)
    except TypeError as exc:
        raise ConfigurationError(f"options of {kind}: {exc}") from exc
    source: Source = import_module(f"dataset_assets.staging.sources.{kind}").Source(made)
    return source


def credentials(environment: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return what gives a `StoreAccess` its credentials: variables by their names, those of Cityscapes from the credentials file as well."""

    def secret(name: str) -> str | None:
        if value := environment.get(name):
            return value
        path = environment.get(CREDENTIALS_VARIABLE)
        login = read_credentials_file(path).cityscapes if path and name in _CITYSCAPES else None
        return login[_CITYSCAPES.index(name)] if login else None

    return secret
