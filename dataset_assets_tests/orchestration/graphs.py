"""A graph for tests: a dataset from YAML, a Dagster instance in memory, and the photo server."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.demo.lists import url_table
from dataset_assets.orchestration.partitions import range_tags
from dataset_assets_tests.orchestration.yaml_datasets import load, write_dataset

#: 17 rows in two lists: shards 00000 to 00003. `busy` returns 503 once, then a photograph.
LISTS = {
    "a": ["photos"] * 5 + ["missing", "busy", "photos", "optout", "private"] + ["photos"] * 2,
    "b": ["html", "photos", "photos", "moved", "photos"],
}

_ROWS = (row for row in url_table().to_pylist() if "/photos/" in row["url"])

PHOTOS = """
type: dataset_assets.Dataset
attributes:
  source:
    urls: {path: lists/*.parquet, caption_column: caption, keep_columns: [credit]}
  shards:
    image: {size: 64, resize_mode: keep_ratio}
    samples_per_shard: 5
    max_partitions_per_run: 2
    distributor: serial
    processes: 1
    codec_threads: 0
    timeout_s: 2
    allow_private_networks: [127.0.0.0/8, "::1/128"]
  automation: {enabled: true, watch_every_s: 30, retry_failed: {cron: "0 3 * * *"}, step_retries: 0}
"""

#: The photographs, split and published.
PUBLISHED = (
    PHOTOS
    + """
  license: cc0-1.0
  description: Photographs.
  splits: {seed: 7}
  hub: {repo: me/photos, watch_every_s: 60}
"""
)

RECORDINGS = """
type: dataset_assets.Dataset
attributes:
  description: Drives.
  license: cc-by-4.0
  source: {recordings: {path: drives, fps: 10}}
  splits: {train: 0.75, validation: 0.15, test: 0.10}
  hub: {repo: me/drives}
  automation: {enabled: true, watch_every_s: 30, step_retries: 0}
"""


def write_recordings(folder: Path, count: int, *, first: int = 0) -> None:
    """Write recordings of two cameras with three frames each; all frames differ."""
    for recording in range(first, first + count):
        for camera in range(2):
            video = folder / f"recording_{recording:02d}" / f"camera_{camera}"
            video.mkdir(parents=True, exist_ok=True)
            for frame in range(3):
                pixels = bytes((recording * 20 + camera * 7 + frame + x) % 256 for x in range(64))
                (video / f"frame_{frame}.pgm").write_bytes(b"P5 8 8 255\n" + pixels)


def write_list(folder: Path, name: str, kinds: Sequence[str], port: int) -> Path:
    """Write a list of unique URLs of the given kinds; the photo server answers by kind."""
    rows = [next(_ROWS) for _ in kinds]
    urls = [
        f"http://127.0.0.1:{port}/{kind}/{row['url'].split('/photos/')[1]}"
        for kind, row in zip(kinds, rows, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.parquet"
    pq.write_table(
        pa.table(
            {
                "url": urls,
                "caption": [row["caption"] for row in rows],
                "credit": [row["credit"] for row in rows],
            }
        ),
        path,
    )
    return path


@dataclass
class Graph:
    """The dataset `photos`, and the Dagster that runs it."""

    root: Path
    port: int
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    runs: list[dg.ExecuteInProcessResult] = field(default_factory=list)

    @classmethod
    def make(
        cls,
        folder: Path,
        port: int,
        instance: dg.DagsterInstance,
        text: str = PHOTOS,
        lists: Mapping[str, Sequence[str]] | Path = LISTS,
    ) -> "Graph":
        """Write the YAML, and lists of the given kinds or copies of those in a folder."""
        write_dataset(folder / "catalog", "photos", text)
        root = folder / "data"
        if isinstance(lists, Path):
            if lists != root / "lists":
                shutil.copytree(lists, root / "lists")
        else:
            for name, kinds in lists.items():
                write_list(root / "lists", name, kinds, port)
        return cls(root, port, instance, load(folder / "catalog", root))

    def plan(self) -> dg.ExecuteInProcessResult:
        """Materialize `raw_urls`."""
        return self._run("raw_urls", {}, None)

    def make_shards(self, first: str, last: str, **config: object) -> dg.ExecuteInProcessResult:
        """Materialize a range of `shards` in one run."""
        return self._run(
            "shards",
            range_tags(first, last),
            {"ops": {"photos__shards": {"config": config}}} if config else None,
        )

    def embed(self, encoder: str, first: str, last: str) -> dg.ExecuteInProcessResult:
        """Materialize a range of `embeddings` of an encoder in one run."""
        return self._run(f"embeddings/{encoder}", range_tags(first, last), None)

    def stage(self, partition: str) -> dg.ExecuteInProcessResult:
        """Materialize a partition of `staged`."""
        return self._run("staged", range_tags(partition, partition), None)

    def run(self, stage: str, **config: object) -> dg.ExecuteInProcessResult:
        """Materialize an unpartitioned asset."""
        return self._run(
            stage, {}, {"ops": {f"photos__{stage}": {"config": config}}} if config else None
        )

    def checks(self, result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
        """Return the check evaluations of a run, by name."""
        return {check.check_name: check for check in result.get_asset_check_evaluations()}

    def _run(self, stage: str, tags: dict[str, str], config: object) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        key = dg.AssetKey(["photos", *stage.split("/")])
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[key],
            tags=tags,
            run_config=config,
            raise_on_error=False,
        )

    @property
    def keys(self) -> list[str]:
        """Registered partitions."""
        return list(self.instance.get_dynamic_partitions("photos__shards"))

    def materialization(self, stage: str, partition: str | None = None) -> dg.AssetMaterialization:
        """Return the newest materialization."""
        key = dg.AssetKey(["photos", *stage.split("/")])
        page = self.instance.fetch_materializations(key, limit=100)
        return next(
            record.asset_materialization
            for record in page.records
            if record.partition_key == partition
        )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """Return the message of the step that failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.user_failure_data.description


def partitions_of(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return the partitions that a run materialized."""
    return sorted(event.partition for event in result.get_asset_materialization_events())


def files_of(root: Path) -> dict[str, bytes]:
    """Return the committed files below a folder that do not depend on the clock."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(("_stats.json", "seen.json"))
    }
