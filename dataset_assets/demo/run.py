"""`dataset-assets demo`: the whole pipeline once, on this machine and without accounts.

It uses real photographs, real HTTP and the real graph. A second run fetches, writes and publishes
nothing: the last rows of the table show it, with the requests that the photo server counted.
"""

import time
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dataset_assets.demo.lists import PORT, write_lists
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets.embeddings.near_duplicates import near_duplicates
from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.hub.loading import load_published
from dataset_assets.images.contact_sheet import draw_contact_sheet
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.environment import ensure_dagster_home, read_environment
from dataset_assets.orchestration.materialize import (
    made_stages,
    materialize_dataset,
)
from dataset_assets.orchestration.stages.embeddings.section import EMBEDDINGS
from dataset_assets.orchestration.stages.hub_upload.section import HUB_FOLDER
from dataset_assets.orchestration.stages.loader_preview.asset import DRAWING
from dataset_assets.orchestration.stages.loader_preview.section import LOADER_PREVIEW
from dataset_assets.orchestration.stages.shards.section import SHARDS
from dataset_assets.orchestration.stages.split_archives.section import SPLIT_ARCHIVES
from dataset_assets.orchestration.stages.staged.section import STAGED
from dataset_assets.orchestration.stages.training_set.section import TRAINING_SET
from dataset_assets.records.shards import ShardRecord, add_counts
from dataset_assets.records.splits import SplitManifest
from dataset_assets.shards.commits import list_records
from dataset_assets.shards.reading import read_samples
from dataset_assets.splits.versions import load_split
from dataset_assets.staging.summary import read_staged
from dataset_assets.storage.store import Store, open_store
from dataset_assets.training.open_training_set import read_summary

# As in catalog/demo/defs.yaml.
DATASET = "demo"
REPO = "demo/photographs"
# As in catalog/demo_shapes/defs.yaml.
SHAPES_DATASET = "demo_shapes"
CONTACT_SHEET = "contact_sheet.png"
_SHEET_TILES = 48
_STREAMED = 3
_OPEN_UI = "make ui, or: dagster dev -w workspace.yaml"


def run_demo(console: Console | None = None) -> int:
    """Materialize the demo dataset, show the results, and read them back; return the exit status.

    Raises:
        ConfigurationError: the port of the photo server is taken.
        MissingDependency: a package of the demo is not installed.
    """
    console = console or Console()
    root = Path(read_environment().root).absolute()
    home = ensure_dagster_home(Path(".dagster"))
    write_lists(root / DATASET / "lists")
    started = time.monotonic()
    began = time.time()
    definitions = build_defs()
    console.print(f"photo server on http://127.0.0.1:{PORT}")
    with PhotoServer(PORT) as server:
        done = []
        for dataset in (DATASET, SHAPES_DATASET):
            stages = ", ".join(made_stages(definitions, dataset))
            console.print(f"materializing {stages} of {dataset}", soft_wrap=True)
            done.append(materialize_dataset(dataset, definitions=definitions))
        requests = server.stats()["requests"]
    success = all(each.success for each in done)
    for problem in (problem for each in done for problem in each.problems):
        console.print(f"[red]{problem}[/red]", soft_wrap=True)
    published = root / HUB_FOLDER / REPO
    streamed = _stream(published) if success else []
    sets = _shard_sets(root)
    table = _table([record for store in sets for record in list_records(store)])
    if success:
        _add_splits(table, load_split(open_store(str(root / DATASET / SPLIT_ARCHIVES))))
        _add_training_sets(table, root)
        _add_embeddings(table, root / DATASET / EMBEDDINGS)
        _add_staged(table, root / SHAPES_DATASET / STAGED)
    table.add_section()
    written = _files_written(root, since=began)
    table.add_row(
        "this run",
        f"{time.monotonic() - started:.1f} s, {requests:,} requests to the photo server, "
        f"{written:,} files written",
    )
    console.print(table)
    _show_places(console, root, sets, home)
    for line in streamed:
        console.print(f"streamed       {line}", soft_wrap=True, highlight=False)
    return 0 if success else 1


def _shard_sets(root: Path) -> list[Store]:
    folder = root / DATASET / SHARDS
    return [open_store(str(path)) for path in sorted(folder.iterdir())] if folder.is_dir() else []


def _table(records: list[ShardRecord]) -> Table:
    rows = sum(record.count for record in records)
    ok = sum(record.successes for record in records)
    ended = max((record.end_time for record in records), default=0)
    made_s = ended - min((record.start_time for record in records), default=0)
    table = Table(
        title=f"{DATASET}: every row has a sample or a cause",
        show_header=False,
        title_justify="left",
    )
    table.add_row("rows", f"{rows:,}")
    table.add_row("ok", f"{ok:,}  ({ok / max(rows, 1):.1%})")
    for cause, number in add_counts(record.causes for record in records).items():
        table.add_row(f"  {cause}", f"{number:,}")
    table.add_section()
    table.add_row("images/s while downloading", f"{ok / max(made_s, 1e-9):,.0f}")
    table.add_row("shards", f"{len(records):,}")
    table.add_row("bytes", f"{sum(record.bytes_stored for record in records):,}")
    return table


def _add_splits(table: Table, manifest: SplitManifest) -> None:
    table.add_section()
    for name, count in manifest.splits.items():
        table.add_row(
            name,
            f"{count.samples:,}  ({count.samples / max(manifest.samples, 1):.1%}), "
            f"{count.groups:,} groups",
        )
    table.add_row("version", manifest.version[:12])


def _add_training_sets(table: Table, root: Path) -> None:
    table.add_section()
    for dataset in (DATASET, SHAPES_DATASET):
        summary = read_summary(open_store(str(root / dataset / TRAINING_SET)))
        buckets = ", ".join(f"{count:,} of {bucket}" for bucket, count in summary.buckets.items())
        table.add_row(f"{dataset} training set", buckets)


def _add_embeddings(table: Table, folder: Path) -> None:
    table.add_section()
    for encoder in sorted(folder.iterdir()):
        sets = [EmbeddingSet(open_store(str(path))) for path in sorted(encoder.iterdir())]
        shape = sets[0].fields["embedding"].shape
        vectors = sum(map(len, sets))
        copies = near_duplicates(sets)
        groups = len(copies["group"].unique())
        table.add_row(
            f"embeddings {encoder.name}",
            f"{vectors:,} vectors of {shape[0]}; {copies.num_rows:,} near-duplicates in {groups:,} "
            "groups",
        )


def _add_staged(table: Table, folder: Path) -> None:
    table.add_section()
    for path in sorted(folder.iterdir()):
        partition = read_staged(open_store(str(path)))
        if partition is None:
            continue
        shown = {each.id: each.name for each in partition.classes}
        images = (
            f"{count:,} with {shown[int(label)]}s"
            for label, count in partition.images.items()
            if int(label) in shown
        )
        name = f"{SHAPES_DATASET} {partition.partition}"
        table.add_row(name, f"{partition.samples:,} images: {', '.join(images)}")


def _files_written(root: Path, *, since: float) -> int:
    """Count the files with samples that were written since a time."""
    folders = (
        root / DATASET / SHARDS,
        root / DATASET / SPLIT_ARCHIVES,
        root / DATASET / EMBEDDINGS,
        root / HUB_FOLDER,
        root / SHAPES_DATASET / STAGED,
    )
    paths = (path for folder in folders for path in folder.rglob("*"))
    return sum(path.is_file() and path.stat().st_mtime >= since for path in paths)


def _show_places(console: Console, root: Path, sets: list[Store], home: Path) -> None:
    places = {
        "contact sheet": _write_contact_sheet(root, sets),
        "shards": root / DATASET / SHARDS,
        "splits": root / DATASET / SPLIT_ARCHIVES,
        "embeddings": root / DATASET / EMBEDDINGS,
        "published": root / HUB_FOLDER / REPO,
        "a batch": root / SHAPES_DATASET / LOADER_PREVIEW / DRAWING,
        "the graph": f"{_OPEN_UI}   (DAGSTER_HOME={home})",
    }
    for name, place in places.items():
        console.print(f"{name:<14} {place}", soft_wrap=True)


def _write_contact_sheet(root: Path, sets: list[Store]) -> Path:
    each = -(-_SHEET_TILES // max(len(sets), 1))
    samples = [
        sample.payload
        for store in sets
        for record in list_records(store)[:1]
        for sample in islice(read_samples(store, record), each)
    ]
    open_store(str(root / DATASET)).write(CONTACT_SHEET, draw_contact_sheet(samples[:_SHEET_TILES]))
    return root / DATASET / CONTACT_SHEET


def _stream(published: Path) -> list[str]:
    """Stream the first samples of the published dataset; return a line for each.

    Call it well before the process exits: a thread of Arrow that closes a file while Python exits
    aborts the process (apache/arrow#45214).
    """
    rows = islice(load_published(str(published), "train", streaming=True), _STREAMED)
    return [
        f"{row['key']}  {row['image'].width}x{row['image'].height}  {row['caption']}"
        for row in rows
    ]
