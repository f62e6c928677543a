"""Split shards, recordings or files into train, validation and test archives."""

import argparse

from dataset_assets.cli.flags import add_flags, given_flags, ratios
from dataset_assets.cli.progress_bar import progress_bar
from dataset_assets.cli.tables import print_line, print_table


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the source, the output, and the fields of the option classes."""
    from dataset_assets.pipelines.split.open_source import kinds

    parser.add_argument(
        "source",
        nargs="+",
        help="folder or URL of shards (several are combined), of recordings or of files",
    )
    parser.add_argument("output", help="folder or URL of the split; earlier versions in it stay")
    parser.add_argument(
        "--kind", choices=kinds(), default="auto", help="what the source holds (default: auto)"
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
    add_flags(parser, *_option_classes())


def run(arguments: argparse.Namespace) -> int:
    """Split, and print the samples of each split."""
    from dataset_assets.pipelines.split.split import split

    with progress_bar("splitting") as progress:
        manifest = split(
            arguments.source,
            arguments.output,
            kind=arguments.kind,
            keep_versions=arguments.keep_versions,
            progress=progress,
            **given_flags(arguments, *_option_classes()),
        )
    counts = manifest.splits.items()
    rows = [(name, count.samples, count.groups, count.bytes) for name, count in counts]
    print_table(("split", "samples", "groups", "bytes"), rows)
    print_line(f"version {manifest.version[:12]}, {len(manifest.files)} files")
    return 0


def _option_classes() -> list[type]:
    from dataset_assets.pipelines.split.open_source import option_classes
    from dataset_assets.splits.options import SplitOptions
    from dataset_assets.splits.plan import ArchiveOptions

    return [SplitOptions, ArchiveOptions, *option_classes()]
