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
FULL = """
type: dataset_assets.Dataset
attributes:
  description: Birds.
  license: cc-by 4.0
  owners: [someone@example.com, "team:data"]
  tags: {modality: image}
  requires: {network: true, env: [SOME_TOKEN]}
  freshness: {warn_after_h: 24, fail_after_h: 48}
  source:
    urls: {path: "s3://lists/birds/*.parquet", input_format: parquet, url_column: URL, caption_column: TEXT, keep_columns: [score]}
  shards:
    image: {size: 512, resize_mode: keep_ratio, min_size: 64, max_aspect_ratio: 3}
    output_format: tfrecord
    samples_per_shard: 100
    max_partitions_per_run: 3
    min_success_rate: 0.25
    processes: 2
    connections: 64
    timeout_s: 3
    user_agent_token: birds
    credential: {host: example.com, prefix: "Token ", env: SOME_TOKEN}
  automation:
    enabled: true
    watch_every_s: 30
    refresh: "0 3 * * 1"
    retry_failed: {cron: "0 4 * * *", causes: [timeout_total, transient]}
    step_retries: 5
"""  # noqa: E501


def write_dataset(catalog: Path, name: str, text: str) -> Path:
    """Write `<catalog>/<name>/defs.yaml`."""
    file = catalog / name / "defs.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text).lstrip("\n"))
    return file


def load(catalog: Path, root: Path | str = "unused", **environment: object) -> dg.Definitions:
    """Load the datasets of a folder, beside those that are shipped."""
    return build_defs(Environment(root=str(root), catalog=(catalog,), **environment))
