"""Importing is cheap: every Dagster process, and every `dataset-assets --help`, pays for it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    *(
        "torch",
        "tensorflow",
        "pyspark",
        "webdataset",
        "datasets",
        "wandb",
        "pandas",
        "numba",
        "cv2",
        "PIL",
        "pycurl",
        "scipy",
        "sklearn",
        "skimage",
    ),
    *("pyarrow.dataset", "huggingface_hub", "moto", "boto3", "botocore"),
}


def _loaded(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_package_loads_the_standard_library_only_when_imported():
    loaded = _loaded("import dataset_assets") - _loaded("pass")
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {
        "dataset_assets"
    }


@pytest.mark.parametrize("module", ["definitions", "cli", "demo.lists", "demo.photo_server"])
def test_nothing_heavy_is_loaded_when_a_light_module_is_imported(module):
    assert _loaded(f"import dataset_assets.{module}") & HEAVY == set()


def test_workers_are_started_before_anything_that_takes_long_is_loaded():
    assert _loaded("from dataset_assets import download") & {*HEAVY, "pyarrow", "numpy"} == set()


def test_workers_do_without_pandas():
    statement = (
        "import dataset_assets.pipelines.download._worker_preload, pyarrow\npyarrow.array([1])"
    )
    assert "pandas" in _loaded("import pyarrow\npyarrow.array([1])")
    assert "pandas" not in _loaded(statement)


def test_heavy_packages_are_seen_when_loaded():
    assert _loaded("import PIL, pyarrow.dataset") & HEAVY >= {"PIL", "pyarrow.dataset"}


def test_the_extra_is_named_when_torch_is_missing():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import dataset_assets; dataset_assets.CreateCocoLoaders"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stderr.endswith(
        "MissingDependency: CreateCocoLoaders needs torch: pip install 'dataset-assets[torch]'\n"
    )


def test_public_names_are_there_when_asked_for():
    code = (
        "import dataset_assets\n"
        "for name in dataset_assets.__all__ + list(dataset_assets._HOMES):\n"
        "    getattr(dataset_assets, name)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
