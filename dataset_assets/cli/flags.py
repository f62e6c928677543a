"""The arguments of functions and of option classes as flags of a command line.

Flags are written `--image_size 256`, `--image_size=256` or `--image-size 256`, with the values that
img2dataset's command line takes: lists as `'["a","b"]'`, `[a,b]`, `(a,b)` or `a,b`, mappings as
`'{"a": "x.zip"}'` or `a=x.zip`, `None`, and for switches `--extract_exif`, `--extract_exif False`.

What a flag means is written where the argument or the option is defined, and read from there.
"""

import argparse
import inspect
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from dataset_assets.option_docs import argument_docs, field_docs

_BRACKETS = {"[": "]", "(": ")"}
_RATIOS = "train=0.75,validation=0.15,test=0.10"


def add_flags(
    parser: argparse.ArgumentParser,
    *owners: Callable[..., Any],
    without: Collection[str] = (),
) -> None:
    """Add a flag for each argument of functions and each field of option classes.

    A name that several owners have, or that the parser has already, is one flag. Arguments
    named in `without` have no flag.
    """
    known = {action.dest for action in parser._actions} | set(without)
    for owner in owners:
        docs = field_docs(owner) if isinstance(owner, type) else argument_docs(owner)
        for parameter in _parameters(owner):
            if parameter.name not in known:
                known.add(parameter.name)
                _add_flag(parser, parameter, docs.get(parameter.name, ""))


def given_flags(arguments: argparse.Namespace, *owners: Callable[..., Any]) -> dict[str, Any]:
    """Return the arguments of the owners that stand on the command line."""
    names = {parameter.name for owner in owners for parameter in _parameters(owner)}
    return {name: value for name, value in vars(arguments).items() if name in names}


def ratios(value: str) -> dict[str, float]:
    """Return what `train=0.75,test=0.25` says.

    Raises:
        argparse.ArgumentTypeError: it is something else, or names a split twice.
    """
    try:
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        return _distinct([(name.strip(), float(ratio)) for name, _, ratio in pairs])
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"expected {_RATIOS}, got {value!r}") from exc


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return pairs as a mapping.

    Raises:
        argparse.ArgumentTypeError: a name occurs twice, and one of its values would be lost.
    """
    names = [name for name, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise argparse.ArgumentTypeError(
            f"expected each name once, got {', '.join(repeated)} twice"
        )
    return dict(pairs)


def _parameters(owner: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    # The signature of an option class has the fields that it inherits; its annotations do not.
    for parameter in inspect.signature(owner).parameters.values():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            yield parameter


def _add_flag(parser: argparse.ArgumentParser, parameter: inspect.Parameter, doc: str) -> None:
    name = parameter.name
    hint = parameter.annotation
    is_switch = hint is bool
    required = parameter.default is inspect.Parameter.empty
    default = "required" if required else f"default: {_shown(parameter.default)}"
    parser.add_argument(
        *dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")),
        dest=name,
        type=_converter(name, hint),
        default=argparse.SUPPRESS,
        required=required,
        nargs="?" if is_switch else None,
        const=True if is_switch else None,
        metavar=_metavar(hint),
        help=f"{doc} ({default})".strip().replace("%", "%%"),
    )


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    return "none" if str(default) == "<factory>" else str(default)


def _metavar(hint: Any) -> str:
    text = str(hint)
    if hint is bool:
        return "BOOL"
    if "Mapping" in text and "Sequence" not in text:
        return "NAME=VALUE,..."
    if any(kind in text for kind in ("Sequence", "tuple")):
        return "A,B,..."
    if "float" in text:
        return "NUMBER"
    return "INTEGER" if "int" in text else "TEXT"


def _converter(name: str, hint: Any) -> Callable[[str], Any]:
    """Return what turns the text of a flag into a value of the argument's type."""
    text = str(hint)

    def convert(value: str) -> Any:
        if value == "None" and "None" in text:
            return None
        if hint is bool or ("bool" in text and value.lower() in ("true", "false")):
            return _boolean(name, value)
        if "Mapping" in text and "Sequence" not in text:
            return _mapping(name, value)
        if any(kind in text for kind in ("Mapping", "Sequence", "tuple")):
            return _list_or_mapping(name, value)
        if "float" in text:
            return float(value)
        return int(value) if "int" in text else value

    convert.__name__ = _metavar(hint).lower()  # argparse says "invalid <name> value"
    return convert


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{name}: expected True or False, got {value!r}")
    return value.lower() == "true"


def _mapping(name: str, value: str) -> dict[str, Any]:
    """Return what JSON or `a=x,b=y` says."""
    if value.startswith("{"):
        found: Mapping[str, Any] = _json(name, value)
        return dict(found)
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        expected = "name=value,name=value or JSON"
        raise argparse.ArgumentTypeError(f"{name}: expected {expected}, got {value!r}")
    return _distinct([(key.strip(), text.strip()) for key, _, text in pairs])


def _list_or_mapping(name: str, value: str) -> Any:
    """Return what JSON, `[a,b]`, `(a,b)` or `a,b` says."""
    if value.startswith("{"):
        return _json(name, value)
    closing = _BRACKETS.get(value[:1])
    if closing is None:
        return _split(value)
    if not value.endswith(closing):
        raise argparse.ArgumentTypeError(f"{name}: expected a list such as [a,b], got {value!r}")
    try:
        return json.loads(f"[{value[1:-1]}]".replace("'", '"'))
    except ValueError:  # a shell has taken the quotes, or some of them
        return [_without_quotes(part) for part in _split(value[1:-1])]


def _split(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _without_quotes(part: str) -> str:
    is_quoted = len(part) > 1 and part[0] == part[-1] and part[0] in "'\""
    return part[1:-1] if is_quoted else part


def _json(name: str, value: str) -> Any:
    try:
        return json.loads(value.replace("'", '"'))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"{name}: expected JSON, got {value!r}") from exc
