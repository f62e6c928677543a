"""`dataset-assets demo`: the whole way once, on this machine. Real photographs, real HTTP, the real graph; no accounts.

Run again, it fetches nothing: the table's last row, counted by the photo server itself, says so.
"""

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dataset_assets.demo.lists import PORT, write_lists
from dataset_assets.demo.photo_server import PhotoServer
from dataset_assets.images.contact_sheet import contact_sheet
from dataset_assets.orchestration.environment import ensure_dagster_home, read_environment
from dataset_assets.orchestration.materialize import materialize_dataset
from dataset_assets.orchestration.spec import SHARDS
from dataset_assets.pipelines.inspect_shards import sample_payloads
from dataset_assets.records import ShardRecord, add_counts
from dataset_assets.shards._records import list_records
from dataset_assets.storage._base import Store, open_store

DATASET = "demo"
CONTACT_SHEET = "contact_sheet.png"
_SHEET_TILES = 48
_OPEN_UI = "make ui, or: dagster dev -w workspace.yaml"


def run_demo(console: Console | None = None) -> int:
    """Materialize the demo dataset and show what came of it; return the exit status.

    Raises:
        ConfigurationError: the port of the photo server is taken, or a package of the demo is missing.
    """
    console = console or Console()
    root = Path(read_environment().root).absolute()
    home = ensure_dagster_home(Path(".dagster"))
    write_lists(root / DATASET / "lists")
    started = time.monotonic()
    with PhotoServer(PORT) as server:
        console.print(f"photo server on http://127.0.0.1:{PORT}; materializing {DATASET}/raw_urls and {DATASET}/shards")
        done = materialize_dataset(DATASET)
        requests = server.stats()["requests"]
    for problem in done.problems:
        console.print(f"[red]{problem}[/red]", soft_wrap=True)
    sets = _shard_sets(root)
    records = [record for store in sets for record in list_records(store)]
    console.print(_table(records, requests, time.monotonic() - started))
    sheet = _write_contact_sheet(root, sets)
    console.print(f"contact sheet  {sheet}", soft_wrap=True)
    console.print(f"shards         {root / DATASET / SHARDS}", soft_wrap=True)
    console.print(f"the graph      {_OPEN_UI}   (DAGSTER_HOME={home})", soft_wrap=True)
    return 0 if done.success else 1


def _shard_sets(root: Path) -> list[Store]:
    folder = root / DATASET / SHARDS
    return [open_store(str(path)) for path in sorted(folder.iterdir())] if folder.is_dir() else []


def _table(records: list[ShardRecord], requests: int, seconds: float) -> Table:
    rows, ok = sum(record.count for record in records), sum(record.successes for record in records)
    made_s = max((record.end_time for record in records), default=0) - min((record.start_time for record in records), default=0)
    table = Table(title=f"{DATASET}: every row is a sample or has a cause", show_header=False, title_justify="left")
    table.add_row("rows", f"{rows:,}")
    table.add_row("ok", f"{ok:,}  ({ok / max(rows, 1):.1%})")
    for cause, number in add_counts(record.causes for record in records).items():
        table.add_row(f"  {cause}", f"{number:,}")
    table.add_section()
    table.add_row("images/s when they were made", f"{ok / max(made_s, 1e-9):,.0f}")
    table.add_row("shards", f"{len(records):,}")
    table.add_row("bytes", f"{sum(record.bytes_stored for record in records):,}")
    table.add_section()
    table.add_row("this run", f"{seconds:.1f} s, {requests:,} requests at the photo server")
    return table


def _write_contact_sheet(root: Path, sets: list[Store]) -> Path:
    each = -(-_SHEET_TILES // max(len(sets), 1))
    samples = [payload for store in sets for record in list_records(store)[:1] for _, payload in sample_payloads(store, record, each)]
    open_store(str(root / DATASET)).write(CONTACT_SHEET, contact_sheet(samples[:_SHEET_TILES]))
    return root / DATASET / CONTACT_SHEET
