"""Opens a published dataset by name and options, for command lines and configurations.

The names are those of the plug-ins in `dataset_assets/staging/sources/`; there is no list here.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from dataset_assets import registry
from dataset_assets.checks import some_of
from dataset_assets.errors import ConfigurationError
from dataset_assets.staging.source import StagingSource
from dataset_assets.storage.credentials import CREDENTIALS_VARIABLE
from dataset_assets.storage.credentials_file import read_credentials_file

ROLE = "staging_source"
_CITYSCAPES = ("CITYSCAPES_USERNAME", "CITYSCAPES_PASSWORD")


def options_of(kind: str) -> type:
    """Return the option class of a source.

    Raises:
        UnknownName: there is no such source.
    """
    options_class: type = registry.load(ROLE, kind).options_class
    return options_class


def open_staging(kind: str, options: Mapping[str, Any]) -> StagingSource:
    """Create the source for a published dataset. Nothing is read yet.

    Args:
        kind: name of the source: "coco", "cityscapes", "imagenet" or "cvat".
        options: fields of its option class; lists are accepted where it has tuples.

    Raises:
        ConfigurationError: there is no such source or option, or a value is not valid.
    """
    options_class = options_of(kind)
    known = [field.name for field in fields(options_class)]
    some_of(f"options of {kind}", list(options), known)
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    try:
        accepted = options_class(**values)
    except TypeError as exc:
        raise ConfigurationError(f"options of {kind}: {exc}") from exc
    source: StagingSource = registry.load(ROLE, kind)(accepted)
    return source


def credentials(environment: Mapping[str, str]) -> Callable[[str], str | None]:
    """Return the function from which a `StoreAccess` gets its credentials.

    It looks up environment variables by name, then, for the login of Cityscapes, the credentials
    file.
    """

    def secret(name: str) -> str | None:
        if value := environment.get(name):
            return value
        path = environment.get(CREDENTIALS_VARIABLE)
        if not path or name not in _CITYSCAPES:
            return None
        login = read_credentials_file(path).cityscapes
        return login[_CITYSCAPES.index(name)] if login else None

    return secret
