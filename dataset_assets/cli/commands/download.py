"""Download the URLs of a list into shards."""

import argparse

from dataset_assets.cli.flags import add_flags, given_flags
from dataset_assets.cli.tables import print_table


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `download`."""
    from dataset_assets.pipelines.download.download import download

    add_flags(parser, download)


def run(arguments: argparse.Namespace) -> int:
    """Download, and print the rows by outcome and by cause."""
    from dataset_assets.pipelines.download.download import download

    report = download(**given_flags(arguments, download))
    failed = report.rows - report.successes
    columns = ("rows", "ok", "failed", "shards made", "shards kept", "requests")
    row = (report.rows, report.successes, failed, report.made, report.skipped, report.requests)
    print_table(columns, [row])
    if report.causes:
        print_table(("cause", "rows"), list(report.causes.items()))
    return 0
