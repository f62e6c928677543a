import os

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.environment import (
    Environment,
    ensure_dagster_home,
    read_environment,
    read_secret,
)


def test_defaults_are_safe_when_nothing_is_set():
    assert read_environment({}) == Environment(
        root="./data", catalog=(), allow_private_networks=(), executor="in_process"
    )


def test_every_variable_is_read_when_set(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    environment = read_environment(
        {
            "DATASET_ASSETS_ROOT": "s3://bucket/data",
            "DATASET_ASSETS_CATALOG": f"{tmp_path}{os.pathsep}{other}{os.pathsep}",
            "DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS": "127.0.0.0/8, 10.0.0.0/8",
            "DATASET_ASSETS_EXECUTOR": "multiprocess",
        }
    )
    assert environment.root == "s3://bucket/data"
    assert environment.catalog == (tmp_path, other)
    assert environment.allow_private_networks == ("127.0.0.0/8", "10.0.0.0/8")
    assert environment.executor == "multiprocess"


def test_empty_variables_mean_the_default_when_set():
    assert (
        read_environment(
            {"DATASET_ASSETS_ROOT": "", "DATASET_ASSETS_EXECUTOR": "", "DATASET_ASSETS_CATALOG": ""}
        )
        == Environment()
    )


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "DATASET_ASSETS_EXECUTOR",
            "celery",
            "expected one of in_process, multiprocess, got 'celery'",
        ),
        ("DATASET_ASSETS_CATALOG", "/no/such/folder", "no folder '/no/such/folder'"),
    ],
)
def test_value_is_refused_with_its_variable_when_it_can_not_work(name, value, expected):
    with pytest.raises(ConfigurationError, match=f"{name}: .*{expected}"):
        read_environment({name: value})


def test_missing_secret_is_named_when_it_is_needed(monkeypatch):
    monkeypatch.delenv("SOME_TOKEN", raising=False)
    with pytest.raises(ConfigurationError, match="SOME_TOKEN is not set"):
        read_secret("SOME_TOKEN")
    monkeypatch.setenv("SOME_TOKEN", "x")
    assert read_secret("SOME_TOKEN") == "x"


def test_dagster_home_is_made_when_it_is_not_set(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "")  # restored afterwards
    monkeypatch.delenv("DAGSTER_HOME")
    assert ensure_dagster_home(tmp_path / "home") == tmp_path / "home"
    assert (tmp_path / "home").is_dir()
    assert os.environ["DAGSTER_HOME"] == str(tmp_path / "home")


def test_dagster_home_is_kept_when_it_is_set(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "mine"))
    assert ensure_dagster_home(tmp_path / "home") == tmp_path / "mine"
    assert not (tmp_path / "home").exists()
