"""A text where a list is meant is refused by every option: it is never read letter by letter."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest

import dataset_assets
from dataset_assets import download, download_any
from dataset_assets.errors import ConfigurationError, MissingDependency

WORD = "noai"


def _lists_of_options():
    """Return the option classes with the names of their fields that are lists of texts."""
    found = {}
    for module in pkgutil.walk_packages(dataset_assets.__path__, "dataset_assets."):
        if module.name.endswith("__main__"):
            continue
        try:
            names = vars(importlib.import_module(module.name))
        except MissingDependency:
            continue
        for owner in names.values():
            is_options = inspect.isclass(owner) and owner.__name__.endswith("Options")
            if is_options and dataclasses.is_dataclass(owner):
                for field in dataclasses.fields(owner):
                    if str(field.type).startswith("tuple[str, ..."):
                        found[f"{owner.__name__}.{field.name}"] = owner, field.name
    return found


def test_a_text_is_not_a_list():
    found = _lists_of_options()
    expected = {"FetchOptions.header_hosts", "ListOptions.save_additional_columns"}
    assert expected | {"LoaderOptions.columns", "CardOptions.tags"} <= found.keys()
    for owner, field in found.values():
        required = {
            each.name: "x"
            for each in dataclasses.fields(owner)
            if each.default is each.default_factory is dataclasses.MISSING
        }
        with pytest.raises(ConfigurationError, match=field):
            owner(**required | {field: WORD})


@pytest.mark.parametrize("verb", [download, download_any])
@pytest.mark.parametrize(
    "argument",
    [
        "save_additional_columns",
        "disallowed_header_directives",
        "request_header_hosts",
        "verify_hash",
    ],
)
def test_a_text_is_not_a_list_of_a_download(tmp_path, verb, argument):
    with pytest.raises(ConfigurationError, match=f"{argument}: expected a list of texts"):
        verb(["http://127.0.0.1/a"], output_folder=str(tmp_path), **{argument: WORD})
    assert not list(tmp_path.iterdir())
