"""The command line, thin: a file in `commands/` is a command and calls one function of the library.

Flags are the arguments of that function and the fields of its option classes, with their texts.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

from rich.console import Console

from dataset_assets import checks
from dataset_assets.cli.streams import PrintableFormatter, open_closed_streams, printable
from dataset_assets.errors import DatasetAssetsError

COMMANDS = ("download", "any", "split", "stage", "embed", "publish", "verify", "s3", "demo")
#: Commands whose first argument may stand without its flag: `dataset-assets download urls.txt`.
_FIRST_FLAGS = {"download": "--url_list", "any": "--url_list"}
_INTERRUPTED = 130
#: Stands for standard input in place of a list.
_STDIN = "-"


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
    """Parse a command line. An argument that nothing takes ends the process with status 2."""
    command, *words = argv or ("",)
    parser = build_parser(command)
    if command and not command.startswith("-"):
        if command not in COMMANDS:
            hint = checks.did_you_mean(command, COMMANDS)
            parser.error(f"expected a command, one of {', '.join(COMMANDS)}, got {command!r}{hint}")
        words = _with_first_flag(parser, command, words)
    arguments, unknown = parser.parse_known_args([command, *words] if argv else [])
    if unknown:
        parser.error(f"{command}: {_unknown(parser, unknown[0])}")
    if getattr(arguments, "url_list", None) == _STDIN:
        arguments.url_list = "/dev/stdin"
    return arguments


def _with_first_flag(parser: argparse.ArgumentParser, command: str, words: list[str]) -> list[str]:
    """Return the words of a command with the flag of its first argument, if that has none."""
    flag = _FIRST_FLAGS.get(command)
    if flag is None or not words or (words[0].startswith("-") and words[0] != _STDIN):
        return words
    names = [word.partition("=")[0].replace("-", "_") for word in words]
    if flag.replace("-", "_") in names:
        parser.error(f"{command}: expected one list, got {words[0]!r} and {flag}; leave out one")
    return [flag, *words]


def _unknown(parser: argparse.ArgumentParser, word: str) -> str:
    """Say that nothing takes a word of the command line, and what may have been meant."""
    if not word.startswith("-"):
        return f"expected a flag, got a further argument {word!r}; put quotes around a path"
    name = word.partition("=")[0]
    return f"unknown flag {name}{checks.did_you_mean(name, _flags(parser))}; --help lists all"


def _flags(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the flags of a parser and of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _flags(one)


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
            one.epilog = (
                f"The first argument may be the list without {_FIRST_FLAGS[name]}; "
                f"{_STDIN} is standard input."
            )
        if name == command:
            module.add_flags_of_command(one)
            one.set_defaults(run=module.run)
    return parser
