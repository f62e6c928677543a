"""The command line, thin: every command is one function of the library, and its flags are the arguments of that function and of its option classes."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dataset_assets.cli._flags import add_flags, given, ratios
from dataset_assets.errors import ConfigurationError, DatasetAssetsError

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status. Expected errors are one line on standard error and status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("dataset_assets").setLevel(logging.INFO)
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = _parser(words[0] if words else "").parse_args(words)
    try:
        status: int = arguments.run(arguments)
    except DatasetAssetsError as exc:
        Console(stderr=True).print(f"[red]{type(exc).__name__}:[/red]", end=" ")
        Console(stderr=True).print(str(exc), soft_wrap=True, highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; what is committed is kept, run again to go on")
        return _INTERRUPTED
    return status


def _parser(command: str) -> argparse.ArgumentParser:
    """Return the parser. It has the flags of `command` only: for those of all, all of the library would be loaded."""
    parser = argparse.ArgumentParser(
        prog="dataset-assets", description="Url lists become shards, and shards datasets."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, (text, add) in _COMMANDS.items():
        one = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == command:
            add(one)
    return parser


def _show(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table(*columns)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    Console().print(table)


def _add_download(parser: argparse.ArgumentParser) -> None:
    from dataset_assets.pipelines.download.download import download

    add_flags(parser, download)
    parser.set_defaults(run=_download)


def _download(arguments: argparse.Namespace) -> int:
    from dataset_assets.pipelines.download.download import download

    report = download(**given(arguments, download))
    failed = report.rows - report.successes
    row = (report.rows, report.successes, failed, report.made, report.skipped, report.requests)
    _show(("rows", "ok", "failed", "shards made", "shards kept", "requests"), [row])
    if report.causes:
        _show(("cause", "rows"), list(report.causes.items()))
    return 0


def _add_split(parser: argparse.ArgumentParser) -> None:
    from dataset_assets.pipelines.split.open_source import KINDS, FileOptions, RecordingOptions
    from dataset_assets.pipelines.split.split_archives import ArchiveOptions, SplitOptions

    parser.add_argument(
        "source",
        nargs="+",
        help="folder or url of shards (several are put together), recordings or files",
    )
    parser.add_argument("output", help="folder or url of the split; earlier versions in it stay")
    parser.add_argument(
        "--kind", choices=KINDS, default="auto", help="what the source holds (default: auto)"
    )
    parser.add_argument(
        "--ratios",
        type=ratios,
        default=argparse.SUPPRESS,
        help="(default: train=0.75,validation=0.15,test=0.10)",
    )
    parser.add_argument(
        "--keep-versions", type=int, default=2, help="versions that stay in the output (default: 2)"
    )
    add_flags(parser, SplitOptions, ArchiveOptions, RecordingOptions, FileOptions)
    parser.set_defaults(run=_split)


def _split(arguments: argparse.Namespace) -> int:
    from dataset_assets.cli._progress_bar import progress_bar
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

    options, archives = (
        SplitOptions(**given(arguments, SplitOptions)),
        ArchiveOptions(**given(arguments, ArchiveOptions)),
    )
    source = open_source(
        arguments.kind, arguments.source, **given(arguments, RecordingOptions, FileOptions)
    )
    with progress_bar("splitting") as progress:
        keep = arguments.keep_versions
        manifest = split_archives(
            source,
            open_store(arguments.output),
            options,
            archives,
            progress=progress,
            keep_versions=keep,
        )
    _show(
        ("split", "samples", "groups", "bytes"),
        [(name, each.samples, each.groups, each.bytes) for name, each in manifest.splits.items()],
    )
    Console().print(
        f"version {manifest.version[:12]}, {len(manifest.files)} files", highlight=False
    )
    return 0


def _add_publish(parser: argparse.ArgumentParser) -> None:
    from dataset_assets.pipelines.publish.publish import PublishOptions

    parser.add_argument("folder", help="folder or url of a split")
    parser.add_argument("repo", help="org/name")
    parser.add_argument(
        "--target",
        choices=("directory", "huggingface"),
        default="directory",
        help="where to (default: directory)",
    )
    parser.add_argument(
        "--root",
        default="published",
        help="of the directory target: the folder that holds the repositories (default: published)",
    )
    visible = parser.add_mutually_exclusive_group()
    visible.add_argument(
        "--private",
        action="store_true",
        default=True,
        help="a repository that is made is private (default)",
    )
    visible.add_argument(
        "--public", dest="private", action="store_false", help="a repository that is made is public"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would change")
    add_flags(parser, PublishOptions)
    parser.set_defaults(run=_publish)


def _publish(arguments: argparse.Namespace) -> int:
    from dataset_assets.hub.targets.directory import DirectoryTarget
    from dataset_assets.hub.targets.huggingface import HuggingFaceTarget
    from dataset_assets.pipelines.publish.publish import PublishOptions, publish
    from dataset_assets.records.splits import Published
    from dataset_assets.storage.store import open_store

    options = PublishOptions(**given(arguments, PublishOptions))
    target: DirectoryTarget | HuggingFaceTarget
    if arguments.target == "huggingface":
        target = HuggingFaceTarget(arguments.repo, token=_token(), private=arguments.private)
    else:
        target = DirectoryTarget(arguments.root, arguments.repo)
    result = publish(open_store(arguments.folder), target, options, dry_run=arguments.dry_run)
    if isinstance(result, Published):
        _show(
            ("added", "deleted", "bytes", "revision", "tag"),
            [(result.added, result.deleted, result.bytes_added, result.revision, result.tag)],
        )
        Console().print(
            result.url if result.changed else f"{result.url}: nothing has changed",
            soft_wrap=True,
            highlight=False,
        )
        return 0
    rows = [
        (kind, path) for kind in ("added", "changed", "deleted") for path in getattr(result, kind)
    ]
    _show(("would be", "path"), rows)
    Console().print(
        f"{len(result.unchanged)} unchanged, {result.bytes_added:,} bytes to send", highlight=False
    )
    return 0


def _token() -> str:
    """Return the token of the Hub. No flag gives it: command lines are seen by others, and kept."""
    if token := os.environ.get("HF_TOKEN"):
        return token
    raise ConfigurationError(
        "the environment variable HF_TOKEN is not set: publishing to the Hub needs a token that may write"
    )


def _add_stage(parser: argparse.ArgumentParser) -> None:
    from dataset_assets import registry
    from dataset_assets.pipelines.stage.open_staging import ROLE, options_of
    from dataset_assets.pipelines.stage.stage import StageOptions

    kinds = parser.add_subparsers(dest="kind", required=True, metavar="source")
    for kind in registry.names(ROLE):
        one = kinds.add_parser(kind, help=f"stage {kind}", allow_abbrev=False)
        one.add_argument(
            "output",
            help="folder or url of the dataset; each partition becomes OUTPUT/staged/PARTITION",
        )
        add_flags(one, options_of(kind), StageOptions)
    parser.set_defaults(run=_stage)


def _stage(arguments: argparse.Namespace) -> int:
    from dataset_assets.cli._progress_bar import progress_bar
    from dataset_assets.pipelines.stage.open_staging import credentials, open_staging, options_of
    from dataset_assets.pipelines.stage.stage import StageOptions, StoreAccess, stage
    from dataset_assets.storage.store import open_store

    source = open_staging(arguments.kind, given(arguments, options_of(arguments.kind)))
    options, rows = StageOptions(**given(arguments, StageOptions)), []
    for partition in source.partitions:
        store = open_store(f"{arguments.output.rstrip('/')}/staged/{partition}")
        access = StoreAccess(store, secret=credentials(os.environ))
        with progress_bar(f"staging {partition}") as progress:
            report = stage(
                source, store, options, partition=partition, progress=progress, access=access
            )
        manifest = report.manifest
        rows.append(
            (
                partition,
                manifest.rows,
                manifest.successes,
                manifest.rows - manifest.successes,
                report.made,
                report.skipped,
            )
        )
    _show(("partition", "images", "ok", "failed", "shards made", "shards kept"), rows)
    if not source.license.redistributable:
        Console().print(
            f"{source.license.name}: this data must not be published ({source.license.url})",
            soft_wrap=True,
            highlight=False,
        )
    return 0


def _add_s3(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="what is served; the folders in it are the buckets")
    parser.add_argument(
        "--port", type=int, default=0, help="on 127.0.0.1 (default: any that is free)"
    )
    parser.add_argument(
        "--credentials-file",
        default="creds.yaml",
        help="written for you alone, removed at the end (default: creds.yaml)",
    )
    parser.add_argument(
        "--buckets",
        default="datasets",
        help="made if they are not there: a,b,c (default: datasets)",
    )
    parser.set_defaults(run=_s3)


def _s3(arguments: argparse.Namespace) -> int:
    from dataset_assets.storage.embedded_s3 import serve_s3

    buckets = [name.strip() for name in arguments.buckets.split(",") if name.strip()]
    say = Console(soft_wrap=True, highlight=False, markup=False).print
    serve_s3(arguments.folder, arguments.port, arguments.credentials_file, buckets=buckets, say=say)
    return 0


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", help="folder or url of a shard set or of a split")
    parser.add_argument(
        "--quick", action="store_true", help="sizes and records only, without reading the files"
    )
    parser.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from dataset_assets.pipelines.verify.shards import verify_set
    from dataset_assets.pipelines.verify.split import is_split, verify_split
    from dataset_assets.storage.store import open_store

    store = open_store(arguments.folder)
    problems = (verify_split if is_split(store) else verify_set)(store, deep=not arguments.quick)
    console = Console()
    for problem in problems:
        console.print(problem, soft_wrap=True, highlight=False, markup=False)
    what = "file agrees with the manifest" if is_split(store) else "shard agrees with its record"
    console.print(f"{len(problems)} problems" if problems else f"every {what}")
    return 1 if problems else 0


def _demo(_: argparse.Namespace) -> int:
    try:
        from dataset_assets.demo.run import run_demo
    except ImportError as exc:
        raise ConfigurationError(
            "the demo needs its extra: pip install 'dataset-assets[demo]'"
        ) from exc
    return run_demo()


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "download": ("download the urls of a list into shards", _add_download),
    "split": (
        "split shards, recordings or files into archives of train, validation and test",
        _add_split,
    ),
    "stage": (
        "stage COCO, Cityscapes, ImageNet or a CVAT export as shards, straight from its archives",
        _add_stage,
    ),
    "publish": (
        "publish a split: to a directory that load_dataset reads, or to the Hugging Face Hub",
        _add_publish,
    ),
    "verify": ("check the shards or the split in a folder against their records", _add_verify),
    "s3": ("serve a folder as S3 on this machine, for as long as it runs", _add_s3),
    "demo": ("run the demo dataset through Dagster", lambda parser: parser.set_defaults(run=_demo)),
}
