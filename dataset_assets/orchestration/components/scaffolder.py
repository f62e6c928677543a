"""What `dg scaffold defs Dataset <name>` writes: a `defs.yaml` that loads, with the keys that most datasets need."""

from typing import Any

import dagster as dg

_TEMPLATE = """\
type: dataset_assets.Dataset
attributes:
  description: ""
  source:
    urls:
      path: lists/{name}/*.parquet  # a file, folder or glob on any store; a relative path starts at DATASET_ASSETS_ROOT
      url_column: url
      caption_column: caption
  shards:
    image: {{size: 256, resize_mode: keep_ratio}}
    output_format: webdataset
    samples_per_shard: 10000
  automation: {{enabled: false, watch_every_s: 60}}
"""


class DatasetScaffolder(dg.Scaffolder[Any]):
    """Writes the file."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """See `dg.Scaffolder`."""
        request.target_path.mkdir(parents=True, exist_ok=True)
        text = _TEMPLATE.format(name=request.target_path.name)
        (request.target_path / "defs.yaml").write_text(text)
