"""What `dg scaffold defs Dataset <name>` writes: a valid `defs.yaml` with the usual keys."""

from typing import Any

import dagster as dg

_TEMPLATE = """\
type: dataset_assets.Dataset
attributes:
  description: ""
  source:
    urls:
      # A file, folder or glob on any store; relative paths start at DATASET_ASSETS_ROOT.
      path: lists/{name}/*.parquet
      url_column: url
      caption_column: caption
  shards:
    image: {{size: 256, resize_mode: keep_ratio}}
    output_format: webdataset
    samples_per_shard: 10000
  automation: {{enabled: false, watch_every_s: 60}}
"""


class DatasetScaffolder(dg.Scaffolder[Any]):
    """Writes a `defs.yaml` into the folder of the dataset."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write the `defs.yaml`."""
        request.target_path.mkdir(parents=True, exist_ok=True)
        text = _TEMPLATE.format(name=request.target_path.name)
        (request.target_path / "defs.yaml").write_text(text)
