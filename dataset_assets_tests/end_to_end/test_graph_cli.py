"""Dagster's own command line on the definitions: validation, the plan, a range of partitions."""

import os
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets_tests.orchestration.graphs import PHOTOS, Graph, files_of
from dataset_assets_tests.orchestration.yaml_datasets import MINIMAL, write_dataset

ROOT = Path(__file__).parents[2]
#: Every url answers the same each time it is asked.
LISTS = {
    "a": ["photos"] * 6 + ["missing", "html", "optout", "private", "moved"],
    "b": ["photos"] * 4,
}
TEXT = PHOTOS.replace("max_partitions_per_run: 2", "max_partitions_per_run: all")


@pytest.fixture
def dagster(warm_python):
    """Return a function that runs a command as a person would, with the datasets of a folder."""
    return partial(_dagster, warm_python)


def _dagster(python, folder, *arguments):
    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "DATASET_ASSETS_CATALOG": str(folder / "catalog"),
        "DATASET_ASSETS_ROOT": str(folder / "data"),
    }
    return python.run("-m", "dagster", *arguments, cwd=ROOT, env=environment)


@pytest.fixture(scope="module")
def server():
    with PhotoServer(port=0) as server:
        yield server


def test_definitions_are_valid_without_warnings_of_ours_when_validated(tmp_path, dagster):
    write_dataset(tmp_path / "catalog", "tiny", MINIMAL)
    done = dagster(tmp_path, "definitions", "validate", "-w", "workspace.yaml")
    output = done.stdout
    assert done.returncode == 0, output
    assert "Validation successful for code location dataset_assets" in output
    warned = [
        line
        for line in output.splitlines()
        if "arning" in line and "definitions_validate_command` is superseded" not in line
    ]
    assert warned == []


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        (
            "  shards: {output_format: webdatset}\n",
            "attributes.shards.output_format: unknown output_format 'webdatset': expected one of",
        ),
        (
            "  shards: {outptu_format: webdataset}\n",
            "attributes.shards.outptu_format: unknown key 'outptu_format': expected one of",
        ),
    ],
)
def test_mistake_is_named_with_file_and_line_when_validated(tmp_path, dagster, mistake, expected):
    file = write_dataset(tmp_path / "catalog", "tiny", MINIMAL + mistake)
    done = dagster(tmp_path, "definitions", "validate", "-w", "workspace.yaml")
    assert done.returncode != 0
    assert f"{file}:5: {expected}" in done.stdout


def test_range_of_partitions_has_the_same_bytes_when_made_by_the_command_line(
    tmp_path, dagster, server
):
    def materialize(asset, *more):
        done = dagster(
            tmp_path / "cli",
            "asset",
            "materialize",
            "-m",
            "dataset_assets.definitions",
            "--select",
            asset,
            *more,
        )
        assert done.returncode == 0, done.stdout

    with dg.DagsterInstance.ephemeral() as instance:
        one_by_one = Graph.make(tmp_path / "one_by_one", server.port, instance, TEXT, LISTS)
        Graph.make(tmp_path / "cli", server.port, instance, TEXT, one_by_one.root / "lists")
        one_by_one.plan()
        for key in reversed(one_by_one.keys):
            assert one_by_one.make_shards(key, key).success
    materialize("photos/raw_urls")
    materialize("photos/shards", "--partition-range", "00001...00003")
    materialize("photos/shards", "--partition", "00000")
    made = files_of(tmp_path / "cli" / "data" / "photos" / "shards")
    assert len([name for name in made if name.endswith(".tar")]) == 4
    assert made == files_of(tmp_path / "one_by_one" / "data" / "photos" / "shards")
