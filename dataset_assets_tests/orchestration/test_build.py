"""Definitions as every Dagster process loads them."""

import os
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dataset_assets import definitions
from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import Environment
from dataset_assets_tests.orchestration.yaml_datasets import MINIMAL, load, write_dataset

ROOT = Path(__file__).parents[2]


def test_definitions_are_valid_when_dagster_opens_the_module(monkeypatch, tmp_path):
    write_dataset(tmp_path, "tiny", MINIMAL)
    monkeypatch.setenv("DATASET_ASSETS_CATALOG", str(tmp_path))
    found = definitions.defs()
    dg.Definitions.validate_loadable(found)
    assert {"demo", "tiny"} <= {spec.group_name for spec in found.resolve_all_asset_specs()}


def test_nothing_is_warned_about_when_loading(tmp_path):
    write_dataset(tmp_path, "tiny", MINIMAL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="`parse_obj_as` is deprecated")  # Dagster's own
        load(tmp_path)


def test_catalog_is_loaded_twice_when_asked_twice(tmp_path):
    write_dataset(tmp_path, "tiny", MINIMAL)
    load(tmp_path)
    write_dataset(tmp_path, "more", MINIMAL)
    assert "more" in {spec.group_name for spec in load(tmp_path).resolve_all_asset_specs()}


def test_error_in_an_asset_of_a_catalog_is_shown_as_it_is_when_loading(tmp_path):
    (tmp_path / "broken.py").write_text("raise LookupError('my own mistake')\n")
    with pytest.raises(LookupError, match="my own mistake"):
        load(tmp_path)


def test_dataset_is_refused_when_its_name_is_taken(tmp_path):
    write_dataset(tmp_path, "demo", MINIMAL)
    with pytest.raises(ConfigurationError, match=r"two datasets are called 'demo'"):
        load(tmp_path)


def test_executor_is_chosen_by_the_environment_when_built():
    assert build_defs(Environment()).executor.name == "in_process"
    assert build_defs(Environment(executor="multiprocess")).executor.name == "multiprocess"


def test_resource_is_replaced_when_given():
    marker = dg.ResourceDefinition.hardcoded_resource("x")
    assert build_defs(Environment(), resources={"tables": marker}).resources["tables"] is marker


def test_names_agree_when_the_project_is_opened_in_two_ways():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (entry,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert entry["python_module"] == {
        "module_name": "dataset_assets.definitions",
        "location_name": project["code_location_name"],
    }


def test_instance_settings_are_valid_when_dagster_reads_them(tmp_path):
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.run_retries_enabled
        assert not instance.telemetry_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 4


def test_every_variable_is_documented_when_it_is_read():
    source = (ROOT / "dataset_assets" / "orchestration" / "environment.py").read_text()
    example = (ROOT / ".env.example").read_text()
    names = set(re.findall(r"DATASET_ASSETS_[A-Z_]+", source))
    assert names
    assert {name for name in names if name not in example} == set()


def test_environment_is_read_in_one_place_when_searched():
    folder = ROOT / "dataset_assets" / "orchestration"
    found = [
        path.name
        for path in folder.rglob("*.py")
        if "environ" in path.read_text().replace("environment", "")
    ]
    assert found == ["environment.py"]


def test_run_succeeds_when_steps_have_processes_of_their_own(tmp_path):
    (tmp_path / "one_off.py").write_text(
        "import dagster as dg\n\n@dg.asset\ndef counted() -> int:\n    return 3\n"
    )
    environment = os.environ | {
        "DATASET_ASSETS_CATALOG": str(tmp_path),
        "DATASET_ASSETS_ROOT": str(tmp_path / "data"),
        "DATASET_ASSETS_EXECUTOR": "multiprocess",
        "DAGSTER_HOME": str(tmp_path),
    }
    command = [
        sys.executable,
        "-m",
        "dagster",
        "asset",
        "materialize",
        "-m",
        "dataset_assets.definitions",
        "--select",
        "counted",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "data" / "counted" / "value.json").read_text() == "3"
