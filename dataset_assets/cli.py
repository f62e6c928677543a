"""The command line, thin: every command is one function of the library.

`dataset-assets download` takes the arguments of `dataset_assets.download` as flags, written `--image_size 256`, `--image_size=256` or
`--image-size 256`, with the values that img2dataset's command line takes: `--save_additional_columns '["a","b"]'`, `--compute_hash None`.
"""

import argparse
import inspect
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dataset_assets.errors import ConfigurationError, DatasetAssetsError

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status. Expected errors are one line on standard error and status 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("dataset_assets").setLevel(logging.INFO)
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except DatasetAssetsError as exc:
        Console(stderr=True).print(f"[red]{type(exc).__name__}:[/red] {exc}", soft_wrap=True, highlight=False)
        return 1
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; committed shards are kept, run again to go on")
        return _INTERRUPTED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dataset-assets", description="Url lists become shards, and shards datasets.")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_download(commands.add_parser("download", help="download the urls of a list into shards", allow_abbrev=False))
    verify = commands.add_parser("verify", help="check the shards of a folder against their records")
    verify.add_argument("folder", help="a folder or url with a shard set")
    verify.add_argument("--quick", action="store_true", help="sizes and records only, without reading the shards")
    verify.set_defaults(run=_verify)
    demo = commands.add_parser("demo", help="run the demo dataset through Dagster")
    demo.set_defaults(run=_demo)
    return parser


def _add_download(parser: argparse.ArgumentParser) -> None:
    from dataset_assets.pipelines.download import download

    hints = inspect.get_annotations(download)
    for name, parameter in inspect.signature(download).parameters.items():
        flags = list(dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")))
        is_flag = hints[name] is bool
        required = parameter.default is inspect.Parameter.empty
        parser.add_argument(
            *flags,
            dest=name,
            type=_converter(name, hints[name]),
            default=argparse.SUPPRESS,
            required=required,
            nargs="?" if is_flag else None,
            const=True if is_flag else None,
            metavar=str(getattr(hints[name], "__name__", "VALUE")).upper(),
            help="(required)" if required else f"(default: {parameter.default})".replace("%", "%%"),
        )
    parser.set_defaults(run=_download)


def _converter(name: str, hint: Any) -> Callable[[str], Any]:
    """Return what turns the text of a flag into the argument's type."""
    text = str(hint)

    def convert(value: str) -> Any:
        if value == "None" and "None" in text:
            return None
        if hint is bool or ("bool" in text and value.lower() in ("true", "false")):
            return _boolean(name, value)
        if "Mapping" in text or "Sequence" in text:
            return _list_or_mapping(value)
        if "float" in text:
            return float(value)
        if "int" in text:
            return int(value)
        return value

    convert.__name__ = text.removeprefix("<class '").removesuffix("'>")
    return convert


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{name}: expected True or False, came {value!r}")
    return value.lower() == "true"


def _list_or_mapping(value: str) -> Any:
    if value.startswith(("[", "{")):
        try:
            return json.loads(value.replace("'", '"'))
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"expected JSON or a,b,c; came {value!r}") from exc
    return [part.strip() for part in value.split(",") if part.strip()]


def _download(arguments: argparse.Namespace) -> int:
    from dataset_assets.pipelines.download import download

    given = {name: value for name, value in vars(arguments).items() if name != "run"}
    report = download(**given)
    table = Table("rows", "ok", "failed", "shards made", "shards kept", "requests")
    failed = report.rows - report.successes
    table.add_row(*(f"{number:,}" for number in (report.rows, report.successes, failed, report.made, report.skipped, report.requests)))
    console = Console()
    console.print(table)
    if report.causes:
        causes = Table("cause", "rows")
        for cause, rows in report.causes.items():
            causes.add_row(cause, f"{rows:,}")
        console.print(causes)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from dataset_assets.pipelines.inspect_shards import verify_set
    from dataset_assets.storage._base import open_store

    problems = verify_set(open_store(arguments.folder), deep=not arguments.quick)
    console = Console()
    for problem in problems:
        console.print(problem, soft_wrap=True, highlight=False, markup=False)
    console.print(f"{len(problems)} problems" if problems else "every shard agrees with its record")
    return 1 if problems else 0


def _demo(_: argparse.Namespace) -> int:
    try:
        from dataset_assets.orchestration.demo import run_demo
    except ImportError as exc:
        raise ConfigurationError("the demo needs its extra: pip install 'dataset-assets[demo]'") from exc
    return run_demo()
