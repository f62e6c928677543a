"""Environment variables: what they are called, what they default to, and the only place that reads them.

Nothing is read when modules are imported: definitions read the environment when they load, assets and sensors when they run.

| variable | meaning | default |
|---|---|---|
| DATASET_ASSETS_ROOT | folder or store url below which every dataset is written | ./data |
| DATASET_ASSETS_CATALOG | folders with datasets of your own (`<folder>/<dataset>/defs.yaml`), separated by `:` | none |
| DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS | private networks that may be fetched from, `127.0.0.0/8,10.0.0.0/8` or `all` | none |
| DATASET_ASSETS_EXECUTOR | `in_process`, or `multiprocess` for wide graphs | in_process |
| DATASET_ASSETS_CREDENTIALS | credentials file with named S3 stores and the account of Cityscapes; read by `storage` | none |
| AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, ... | boto3's own: the account and endpoint of s3:// | boto3's own |
| CITYSCAPES_USERNAME, CITYSCAPES_PASSWORD | account of Cityscapes, for datasets with `source: {cityscapes: ...}` | those of the credentials file |
| HF_TOKEN | token of the Hugging Face Hub, for datasets with `hub: {target: huggingface}` | none |
| DAGSTER_HOME | Dagster's own: its records and dagster.yaml | none |
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.stage.open_staging import credentials

DEFAULT_ROOT = "./data"
EXECUTORS = ("in_process", "multiprocess")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the process was told from outside."""

    root: str = DEFAULT_ROOT
    catalog: tuple[Path, ...] = ()
    allow_private_networks: tuple[str, ...] = ()
    executor: str = EXECUTORS[0]


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment.

    Raises:
        ConfigurationError: a variable has a value that can not work.
    """
    read = os.environ if variables is None else variables
    return Environment(
        root=read.get("DATASET_ASSETS_ROOT") or DEFAULT_ROOT,
        catalog=tuple(
            _folder(entry) for entry in _split(read.get("DATASET_ASSETS_CATALOG"), os.pathsep)
        ),
        allow_private_networks=_split(read.get("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS"), ","),
        executor=_executor(read.get("DATASET_ASSETS_EXECUTOR") or EXECUTORS[0]),
    )


def read_secret(name: str) -> str:
    """Read a credential by the name of its variable, at the moment it is needed.

    Raises:
        ConfigurationError: the variable is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"the environment variable {name} is not set; this dataset needs it: set it where Dagster runs and start again"
        )
    return value


def source_credentials() -> Callable[[str], str | None]:
    """Return what gives the credentials of a published dataset by name, from the environment or the credentials file, when they are asked for."""
    return credentials(os.environ)


def read_hub_token() -> str:
    """Read the token of the Hugging Face Hub. For the target that is made of it, and for nothing else.

    Raises:
        ConfigurationError: HF_TOKEN is not set.
    """
    return read_secret("HF_TOKEN")


def ensure_dagster_home(default: Path) -> Path:
    """Return the folder where Dagster keeps its records, and make it; set DAGSTER_HOME to the default when it is not set."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(default.absolute())))
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():  # Dagster would explain at length that it has none
        settings.write_text("telemetry: {enabled: false}\n")
    return home


def _split(text: str | None, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(separator) if part.strip())


def _folder(text: str) -> Path:
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigurationError(
            f"DATASET_ASSETS_CATALOG: expected a folder with <dataset>/defs.yaml files, but there is no folder {text!r}"
        )
    return folder


def _executor(name: str) -> str:
    if name not in EXECUTORS:
        raise ConfigurationError(
            f"DATASET_ASSETS_EXECUTOR: expected one of {', '.join(EXECUTORS)}, got {name!r}"
        )
    return name
