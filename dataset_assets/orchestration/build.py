"""Builds the definitions: all datasets of the catalogs, and what they share.

They share one automation sensor, the executor and the resources. Component trees are built
directly, because `load_from_defs_folder` imports the components of every installed library in every
process, and needs a pyproject.toml, which a wheel does not have.
"""

import hashlib
import importlib
import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
from pydantic import ValidationError

from dataset_assets.errors import ConfigurationError, DatasetAssetsError
from dataset_assets.orchestration.common.automation import automation_sensor
from dataset_assets.orchestration.environment import Environment, read_environment
from dataset_assets.orchestration.io_managers import (
    ManifestIOManager,
    PlanIOManager,
    TableIOManager,
    ValueIOManager,
)
from dataset_assets.orchestration.resources.storage import StorageResource

CATALOG = "dataset_assets.orchestration.catalog"
#: Imported once, by the fork server that starts the processes of steps.
_PRELOAD = [
    "dagster",
    "dagster._core.instance.factory",
    "dagster._core.storage.event_log",
    "dagster._core.storage.runs",
    "dataset_assets.definitions",
]


def build_defs(
    environment: Environment | None = None, *, resources: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """Build the definitions of a code location.

    Args:
        environment: by default read from the variables of this process.
        resources: replace resources of the same name, for tests.

    Raises:
        ConfigurationError: a `defs.yaml` is not valid, with file and line; or a variable is not.
    """
    environment = environment or read_environment()
    modules = [
        importlib.import_module(CATALOG),
        *(_package(folder) for folder in environment.catalog),
    ]
    with warnings.catch_warnings():
        for lifecycle in (dg.BetaWarning, dg.PreviewWarning, dg.SupersessionWarning):
            warnings.simplefilter("ignore", lifecycle)
        catalogs = [_load(module) for module in modules]
        assets = [
            asset
            for catalog in catalogs
            for asset in catalog.assets or []
            if isinstance(asset, dg.AssetsDefinition)
        ]
        _check_names(assets)
        shared = dg.Definitions(
            sensors=[
                automation_sensor(is_on=any(asset.automation_conditions_by_key for asset in assets))
            ],
            executor=_executor(environment.executor),
            resources={**default_resources(environment), **(resources or {})},
        )
        return dg.Definitions.merge(*catalogs, shared)


def default_resources(environment: Environment) -> dict[str, Any]:
    """Return the resources that assets request by name."""
    storage = StorageResource(root=environment.root)
    return {
        "storage": storage,
        "plans": PlanIOManager(storage=storage),
        "manifests": ManifestIOManager(storage=storage),
        "tables": TableIOManager(storage=storage),
        "io_manager": ValueIOManager(storage=storage),
    }


def _load(module: ModuleType) -> dg.Definitions:
    folder = Path(module.__path__[0])
    try:
        return dg.ComponentTree.from_module(
            defs_module=module, project_root=folder.parent
        ).build_defs(Path())
    except Exception as exc:
        problems = _problems(exc)
        if problems:
            raise ConfigurationError("\n".join(problems)) from None
        raise


def _problems(exc: BaseException) -> list[str]:
    """Return the errors of a `defs.yaml`, one line each: `file:line: key: what`.

    They are causes of the exception that the component system raises.
    """
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ValidationError):
            return [_problem(str(error["loc"][0]), error["msg"]) for error in cause.errors()]
        if isinstance(cause, DatasetAssetsError):
            return [str(cause)]
        cause = cause.__cause__ or cause.__context__
    return []


def _problem(location: str, message: str) -> str:
    key, _, line = location.rpartition(" at ")
    return f"{line}: {key}: {message.removeprefix('Value error, ')}"


def _check_names(assets: Sequence[dg.AssetsDefinition]) -> None:
    for key, count in Counter(key for asset in assets for key in asset.keys).items():
        if count > 1:
            raise ConfigurationError(
                f"two datasets are called {key.path[0]!r}: rename one of the folders, or set the "
                "`name` of one"
            )


def _package(folder: Path) -> ModuleType:
    """Make a folder outside all packages importable, so that it is loaded like the catalog."""
    name = f"dataset_assets_catalog_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    module = ModuleType(name, doc=f"Datasets in {folder}.")
    module.__path__ = [str(folder)]
    module.__file__ = str(folder / "__init__.py")
    sys.modules[name] = module
    return module


def _executor(name: str) -> dg.ExecutorDefinition:
    """Return the executor. Steps are few and start their own workers, so one process is enough."""
    if name == "in_process":
        return dg.in_process_executor
    return dg.multiprocess_executor.configured(
        {"start_method": {"forkserver": {"preload_modules": _PRELOAD}}}
    )
