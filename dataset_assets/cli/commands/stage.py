"""Stage COCO, Cityscapes, ImageNet or a CVAT export as shards, straight from its archives."""

import argparse

from dataset_assets.cli.flags import add_flags, given_flags
from dataset_assets.cli.progress_bar import progress_bar
from dataset_assets.cli.tables import print_line, print_table


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add a command for each source, with its options."""
    from dataset_assets import registry
    from dataset_assets.pipelines.stage.open_staging import options_of
    from dataset_assets.pipelines.stage.stage import StageOptions

    kinds = parser.add_subparsers(dest="kind", required=True, metavar="source")
    for kind in registry.names("staging_source"):
        one = kinds.add_parser(kind, help=f"stage {kind}", allow_abbrev=False)
        one.add_argument(
            "output",
            help="folder or URL of the dataset; each partition becomes OUTPUT/staged/PARTITION",
        )
        add_flags(one, options_of(kind), StageOptions)


def run(arguments: argparse.Namespace) -> int:
    """Stage every partition, and print its images by outcome."""
    from dataset_assets.orchestration.environment import source_credentials
    from dataset_assets.pipelines.stage.open_staging import open_staging, options_of
    from dataset_assets.pipelines.stage.stage import StageOptions, StoreAccess, stage
    from dataset_assets.storage.store import open_store

    source = open_staging(arguments.kind, given_flags(arguments, options_of(arguments.kind)))
    options = StageOptions(**given_flags(arguments, StageOptions))
    rows = []
    for partition in source.partitions:
        store = open_store(f"{arguments.output.rstrip('/')}/staged/{partition}")
        access = StoreAccess(store, secret=source_credentials())
        with progress_bar(f"staging {partition}") as progress:
            report = stage(
                source, store, options, partition=partition, progress=progress, access=access
            )
        manifest = report.manifest
        failed = manifest.rows - manifest.successes
        row = (manifest.rows, manifest.successes, failed, report.made, report.skipped)
        rows.append((partition, *row))
    print_table(("partition", "images", "ok", "failed", "shards made", "shards kept"), rows)
    if not source.license.redistributable:
        terms = source.license
        print_line(f"{terms.name}: this data must not be published ({terms.url})")
    return 0
