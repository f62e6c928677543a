"""Serve a folder as S3 on this machine while the command runs."""

import argparse

from dataset_assets.cli.tables import print_line


def add_flags_of_command(parser: argparse.ArgumentParser) -> None:
    """Add the folder, the port, the credentials file and the buckets."""
    parser.add_argument("folder", help="the folder to serve; the folders in it are the buckets")
    parser.add_argument(
        "--port", type=int, default=0, help="port on 127.0.0.1 (default: any free port)"
    )
    parser.add_argument(
        "--credentials-file",
        default="creds.yaml",
        help="written with owner-only permissions, removed at exit (default: creds.yaml)",
    )
    parser.add_argument(
        "--buckets",
        default="datasets",
        help="created if missing, comma-separated (default: datasets)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    from dataset_assets.storage.embedded_s3 import serve_s3

    buckets = [name.strip() for name in arguments.buckets.split(",") if name.strip()]
    serve_s3(
        arguments.folder,
        arguments.port,
        arguments.credentials_file,
        buckets=buckets,
        say=print_line,
    )
    return 0
