"""Compute the embeddings of a shard set with an encoder."""

import argparse

from dataset_assets.cli.flags import add_flags, given_flags
from dataset_assets.cli.progress_bar import progress_bar
from dataset_assets.cli.tables import print_line, print_table


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add a command for each encoder, with its options."""
    from dataset_assets import registry
    from dataset_assets.embeddings.encoder import ROLE, options_of
    from dataset_assets.pipelines.embed.options import EmbedOptions

    encoders = parser.add_subparsers(dest="encoder", required=True, metavar="encoder")
    for name in registry.names(ROLE):
        one = encoders.add_parser(name, help=f"encode with {name}", allow_abbrev=False)
        one.add_argument("source", help="folder or URL of a shard set")
        one.add_argument("output", help="folder or URL of the embeddings of this encoder")
        one.add_argument(
            "--caption_column",
            "--caption-column",
            default=None,
            help="column that encoders of text read (default: caption)",
        )
        add_flags(one, options_of(name), EmbedOptions)


def run(arguments: argparse.Namespace) -> int:
    """Compute what is missing, and print the samples by outcome."""
    from dataset_assets.embeddings.encoder import options_of
    from dataset_assets.pipelines.embed.embed import embed
    from dataset_assets.pipelines.embed.options import EmbedOptions

    with progress_bar("encoding") as progress:
        report = embed(
            arguments.source,
            arguments.output,
            arguments.encoder,
            given_flags(arguments, options_of(arguments.encoder)),
            caption_column=arguments.caption_column,
            options=EmbedOptions(**given_flags(arguments, EmbedOptions)),
            progress=progress,
        )
    failed = sorted(report.causes.items(), key=lambda item: -item[1])
    rows = [("encoded", report.successes), *failed]
    print_table(("samples", "count"), rows)
    print_line(f"{report.made} shards computed, {report.kept} kept")
    return 0 if report.successes else 1
