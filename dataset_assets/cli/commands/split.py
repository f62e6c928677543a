"""Split shards, recordings or files into train, validation and test archives."""

import argparse

from dataset_assets.cli.flags import add_flags, given_flags, ratios
from dataset_assets.cli.progress_bar import progress_bar
from dataset_assets.cli.tables import print_line, print_table


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the source, the output, and the fields of the option classes."""
    from dataset_assets.pipelines.split.open_source import KINDS, FileOptions, RecordingOptions
    from dataset_assets.pipelines.split.split_archives import ArchiveOptions, SplitOptions

    parser.add_argument(
        "source",
        nargs="+",
        help="folder or URL of shards (several are combined), of recordings or of files",
    )
    parser.add_argument("output", help="folder or URL of the split; earlier versions in it stay")
    parser.add_argument(
        "--kind", choices=KINDS, default="auto", help="what the source holds (default: auto)"
    )
    parser.add_argument(
        "--ratios",
        type=ratios,
        default=argparse.SUPPRESS,
        help="share of each split (default: train=0.75,validation=0.15,test=0.10)",
    )
    parser.add_argument(
        "--keep-versions", type=int, default=2, help="versions kept in the output (default: 2)"
    )
    add_flags(parser, SplitOptions, ArchiveOptions, RecordingOptions, FileOptions)


def run(arguments: argparse.Namespace) -> int:
    """Split, and print the samples of each split."""
    from dataset_assets.pipelines.split.open_source import (
        FileOptions,
        RecordingOptions,
        open_source,
    )
    from dataset_assets.pipelines.split.split_archives import (
        ArchiveOptions,
        SplitOptions,
        split_archives,
    )
    from dataset_assets.storage.store import open_store

    options = SplitOptions(**given_flags(arguments, SplitOptions))
    archives = ArchiveOptions(**given_flags(arguments, ArchiveOptions))
    source_options = given_flags(arguments, RecordingOptions, FileOptions)
    source = open_source(arguments.kind, arguments.source, **source_options)
    with progress_bar("splitting") as progress:
        manifest = split_archives(
            source,
            open_store(arguments.output),
            options,
            archives,
            progress=progress,
            keep_versions=arguments.keep_versions,
        )
    counts = manifest.splits.items()
    rows = [(name, count.samples, count.groups, count.bytes) for name, count in counts]
    print_table(("split", "samples", "groups", "bytes"), rows)
    print_line(f"version {manifest.version[:12]}, {len(manifest.files)} files")
    return 0
