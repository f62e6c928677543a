"""Download files of any kind as they are, with the flags and defaults of any2dataset."""

import argparse
from dataclasses import fields

from dataset_assets.cli.flags import add_flags, given_flags
from dataset_assets.cli.outcome import show_download


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of any2dataset's `download`, then ours that are not about images."""
    from dataset_assets.compat.any2dataset import download as download_any
    from dataset_assets.images.options import ImageOptions
    from dataset_assets.pipelines.download.download import download

    add_flags(parser, download_any)
    of_images = {field.name for field in fields(ImageOptions)}
    add_flags(parser, download, without={"media", "bbox_col", *of_images})


def run(arguments: argparse.Namespace) -> int:
    """Download, and print the rows by outcome and by cause."""
    from dataset_assets.compat.any2dataset import download as download_any
    from dataset_assets.pipelines.download.download import download

    return show_download(download_any(**given_flags(arguments, download_any, download)))
