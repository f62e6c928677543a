"""Publish a split to a local directory that load_dataset reads, or to the Hugging Face Hub."""

import argparse

from dataset_assets.cli.flags import add_flags, given_flags
from dataset_assets.cli.tables import print_line, print_table


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the split, the repository, the target, and the fields of the option class."""
    from dataset_assets import registry
    from dataset_assets.pipelines.publish.publish import PublishOptions

    parser.add_argument("folder", help="folder or URL of a split")
    parser.add_argument("repo", help="org/name")
    parser.add_argument(
        "--target",
        choices=registry.names("hub_target"),
        default="directory",
        help="where to publish (default: directory)",
    )
    parser.add_argument(
        "--root",
        default="published",
        help="target directory: the folder that holds the repositories (default: published)",
    )
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument(
        "--private",
        action="store_true",
        default=True,
        help="create the repository as a private one (default)",
    )
    visibility.add_argument(
        "--public",
        dest="private",
        action="store_false",
        help="create the repository as a public one",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would change")
    add_flags(parser, PublishOptions)


def run(arguments: argparse.Namespace) -> int:
    """Publish, and print what changed in the repository."""
    from dataset_assets.hub.target import is_remote
    from dataset_assets.orchestration.environment import read_hub_token
    from dataset_assets.pipelines.publish.publish import PublishOptions, publish
    from dataset_assets.records.publications import PublishResult

    result = publish(
        arguments.folder,
        arguments.repo,
        target=arguments.target,
        root=arguments.root,
        token=read_hub_token() if is_remote(arguments.target) else None,
        private=arguments.private,
        dry_run=arguments.dry_run,
        **given_flags(arguments, PublishOptions),
    )
    if isinstance(result, PublishResult):
        row = (result.added, result.deleted, result.bytes_added, result.revision, result.tag)
        print_table(("added", "deleted", "bytes", "revision", "tag"), [row])
        print_line(result.url if result.changed else f"{result.url}: nothing has changed")
        return 0
    rows = [
        (kind, path) for kind in ("added", "changed", "deleted") for path in getattr(result, kind)
    ]
    print_table(("would be", "path"), rows)
    print_line(f"{len(result.unchanged)} unchanged, {result.bytes_added:,} bytes to send")
    return 0
