"""Verify the shards or the split in a folder against their records."""

import argparse

from dataset_assets.cli.tables import print_line


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the folder and the depth."""
    parser.add_argument("folder", help="folder or URL of a shard set or of a split")
    parser.add_argument(
        "--quick", action="store_true", help="compare sizes and records without reading the files"
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify, and print each problem."""
    from dataset_assets.pipelines.verify.split import is_split
    from dataset_assets.pipelines.verify.verify import verify
    from dataset_assets.storage.store import open_store

    problems = verify(arguments.folder, quick=arguments.quick)
    for problem in problems:
        print_line(problem)
    has_split = is_split(open_store(arguments.folder))
    good = "file agrees with the manifest" if has_split else "shard agrees with its record"
    print_line(f"{len(problems)} problems" if problems else f"every {good}")
    return 1 if problems else 0
