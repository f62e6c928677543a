"""Datasets from YAML text, as a person would write them into a folder of their own."""

import textwrap
from pathlib import Path

import dagster as dg

from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import Environment

MINIMAL = """
type: dataset_assets.Dataset
attributes:
  source:
    urls: {path: lists}
"""


def write_dataset(catalog: Path, name: str, text: str) -> Path:
    """Write `<catalog>/<name>/defs.yaml`."""
    file = catalog / name / "defs.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip("\n"))
    return file


def load(catalog: Path, root: Path | str = "unused", **environment: object) -> dg.Definitions:
    """Load the datasets of a folder, beside those that are shipped."""
    return build_defs(Environment(root=str(root), catalog=(catalog,), **environment))
