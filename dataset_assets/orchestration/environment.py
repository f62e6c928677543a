"""Environment variables: names, defaults, and the only place of the graph that reads them.

Nothing is read on import: definitions read the environment when they load, assets and sensors when
they run.

| variable | meaning | default |
|---|---|---|
| DATASET_ASSETS_ROOT | folder or store URL below which datasets are written | ./data |
| DATASET_ASSETS_CATALOG | more folders with `<dataset>/defs.yaml`, separated by `:` | none |
| DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS | private networks that may be reached, or `all` | none |
| DATASET_ASSETS_EXECUTOR | `in_process`, or `multiprocess` for wide graphs | in_process |
| DATASET_ASSETS_CREDENTIALS | file with named S3 stores and the Cityscapes account | none |
| AWS_ACCESS_KEY_ID, AWS_PROFILE, ... | boto3's own: account and endpoint of s3:// | boto3's own |
| CITYSCAPES_USERNAME, CITYSCAPES_PASSWORD | account for `source: {cityscapes: ...}` | the file's |
| HF_TOKEN | token of the Hugging Face Hub, for `hub: {target: huggingface}` | none |
| DAGSTER_HOME | Dagster's own: its records and dagster.yaml | none |
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dataset_assets.checks import one_of
from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.stage.open_staging import credentials

DEFAULT_ROOT = "./data"
EXECUTORS = ("in_process", "multiprocess")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Settings of the process."""

    root: str = DEFAULT_ROOT
    catalog: tuple[Path, ...] = ()
    allow_private_networks: tuple[str, ...] = ()
    executor: str = EXECUTORS[0]


def read_environment(variables: Mapping[str, str] | None = None) -> Environment:
    """Read the environment; `variables` replaces that of the process.

    Raises:
        ConfigurationError: the value of a variable is not valid.
    """
    read = os.environ if variables is None else variables
    return Environment(
        root=read.get("DATASET_ASSETS_ROOT") or DEFAULT_ROOT,
        catalog=tuple(
            _folder(entry) for entry in _split(read.get("DATASET_ASSETS_CATALOG"), os.pathsep)
        ),
        allow_private_networks=_split(read.get("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS"), ","),
        executor=one_of(
            "DATASET_ASSETS_EXECUTOR",
            read.get("DATASET_ASSETS_EXECUTOR") or EXECUTORS[0],
            EXECUTORS,
        ),
    )


def read_secret(name: str) -> str:
    """Read a secret from a variable, when it is needed.

    Raises:
        ConfigurationError: the variable is not set.
    """
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(
            f"the environment variable {name} is not set; this dataset needs it: set it where "
            "Dagster runs, and start again"
        )
    return value


def source_credentials() -> Callable[[str], str | None]:
    """Return a function that looks up credentials of a published dataset by name.

    It reads the environment, then the credentials file, when it is called.
    """
    return credentials(os.environ)


def read_hub_token() -> str:
    """Read the token of the Hugging Face Hub, which is passed to the target and to nothing else.

    No command line has a flag for it: others can read command lines.

    Raises:
        ConfigurationError: HF_TOKEN is not set.
    """
    if token := os.environ.get("HF_TOKEN"):
        return token
    raise ConfigurationError(
        "the environment variable HF_TOKEN is not set: "
        "expected a token with write permission for publishing to the Hub"
    )


def ensure_dagster_home(default: Path) -> Path:
    """Create and return the folder of Dagster's records.

    Sets DAGSTER_HOME to `default` if it is not set.
    """
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(default.absolute())))
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    # Without this file, Dagster prints a long warning.
    if not settings.exists():
        settings.write_text("telemetry: {enabled: false}\n")
    return home


def _split(text: str | None, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(separator) if part.strip())


def _folder(text: str) -> Path:
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigurationError(
            "DATASET_ASSETS_CATALOG: expected a folder with <dataset>/defs.yaml files, but there "
            f"is no folder {text!r}"
        )
    return folder
