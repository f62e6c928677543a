"""Packages of models are imported late, and a broken torchvision is named."""

import os
import subprocess
import sys

import pytest

from dataset_assets import registry

HEAVY = ["torch", "transformers", "diffusers", "sentence_transformers", "efficientnet_lite_pytorch"]


def output_of(code, path=""):
    places = [each for each in (str(path), os.environ.get("PYTHONPATH", "")) if each]
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.strip()


def test_options_of_encoders_are_read_without_their_packages():
    code = (
        "import sys\n"
        "from dataset_assets.embeddings.encoder import parse_options\n"
        f"for name in {registry.names('encoder')!r}: parse_options(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert output_of(code) == "[]"


OPEN = """
from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets.errors import ConfigurationError
try:
    open_encoder({name!r}, {{"model": "/none"}})
except ConfigurationError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("name", ["clip", "text", "vae", "open_clip"])
def test_a_torchvision_that_does_not_fit_is_named(name, tmp_path):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    # The models of sentence-transformers are opened after their folder is found.
    (tmp_path / "model").mkdir()
    code = OPEN.format(name=name).replace("/none", str(tmp_path / "model"))
    shown = output_of(code, tmp_path)
    assert shown.startswith("ConfigurationError expected no torchvision or one that fits torch")
    assert "operator torchvision::nms does not exist" in shown
    assert "uninstall it" in shown


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("clip", "transformers", "transformers"),
        ("vae", "diffusers", "diffusers"),
        ("vae", "torch", "diffusers"),
    ],
)
def test_missing_packages_are_named(name, module, extra):
    code = f"import sys; sys.modules[{module!r}] = None\n" + OPEN.format(name=name)
    shown = output_of(code)
    assert shown.startswith("MissingDependency")
    assert f"pip install 'dataset-assets[{extra}]'" in shown
