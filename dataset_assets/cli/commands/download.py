"""Download the URLs of a list into shards."""

import argparse

from dataset_assets.cli.flags import add_flags, given_flags
from dataset_assets.cli.outcome import show_download


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `download`."""
    from dataset_assets.pipelines.download.download import download

    add_flags(parser, download)


def run(arguments: argparse.Namespace) -> int:
    """Download, and print the rows by outcome and by cause."""
    from dataset_assets.pipelines.download.download import download

    return show_download(download(**given_flags(arguments, download)))
