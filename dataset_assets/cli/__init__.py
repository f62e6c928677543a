"""The command line, thin: a file in `commands/` is a command and calls one function of the library.

Flags are the arguments of that function and the fields of its option classes, with their texts.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from rich.console import Console

from dataset_assets.cli.streams import PrintableFormatter, open_closed_streams, printable
from dataset_assets.errors import DatasetAssetsError

COMMANDS = ("download", "any", "split", "stage", "embed", "publish", "verify", "s3", "demo")
#: Commands whose first argument may stand without its flag: `dataset-assets download urls.txt`.
_FIRST_FLAGS = {"download": "--url_list", "any": "--url_list"}
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    An expected error is one line on standard error and status 1.
    """
    open_closed_streams()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("dataset_assets").setLevel(logging.INFO)
    arguments = parse(sys.argv[1:] if argv is None else argv)
    errors = Console(stderr=True)
    try:
        status: int = arguments.run(arguments)
    except DatasetAssetsError as exc:
        errors.print(f"[red]{type(exc).__name__}:[/red]", end=" ")
        errors.print(printable(str(exc)), soft_wrap=True, highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        errors.print("interrupted; committed shards are kept, run again to resume")
        return _INTERRUPTED
    return status


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line."""
    command, *words = argv or ("",)
    if words and not words[0].startswith("-"):
        words = [*filter(None, [_FIRST_FLAGS.get(command)]), *words]
    return build_parser(command).parse_args([command, *words] if argv else [])


def build_parser(command: str) -> argparse.ArgumentParser:
    """Build the parser with the flags of one command.

    Those of all commands would load most of the library.
    """
    parser = argparse.ArgumentParser(
        prog="dataset-assets",
        description="Prepare datasets: download, split, stage, embed, verify and publish.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name in COMMANDS:
        module = import_module(f"{__name__}.commands.{name}")
        text = str(module.__doc__).strip().splitlines()[0]
        one = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name in _FIRST_FLAGS:
            one.epilog = f"The first argument may be the list without {_FIRST_FLAGS[name]}."
        if name == command:
            module.add_flags_of_command(one)
            one.set_defaults(run=module.run)
    return parser
