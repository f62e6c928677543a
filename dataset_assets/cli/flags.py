"""The arguments of pipelines and of their option classes as flags of a command line.

Flags are written `--image_size 256`, `--image_size=256` or `--image-size 256`, with the values that img2dataset's command line takes:
`--save_additional_columns '["a","b"]'` or `a,b`, `--archives '{"a": "x.zip"}'` or `a=x.zip`, `--compute_hash None`, `--extract_exif False`.
"""

import argparse
import inspect
import json
from collections.abc import Callable
from typing import Any

_NUMBERS: dict[str, type] = {"float": float, "int": int}


def add_flags(parser: argparse.ArgumentParser, *callables: Any) -> None:
    """Add a flag for every parameter of functions and option classes; what several have, or the parser has already, is one flag."""
    known = {action.dest for action in parser._actions}
    for each in callables:
        hints = inspect.get_annotations(each)
        for name, parameter in inspect.signature(each).parameters.items():
            if name not in known:
                known.add(name)
                _add_flag(parser, name, hints[name], parameter.default)


def _add_flag(parser: argparse.ArgumentParser, name: str, hint: Any, default: Any) -> None:
    is_flag, required = hint is bool, default is inspect.Parameter.empty
    shown = (
        ",".join(default)
        if isinstance(default, tuple)
        else "none"
        if str(default) == "<factory>"
        else default
    )
    parser.add_argument(
        *dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}")),
        dest=name,
        type=_converter(name, hint),
        default=argparse.SUPPRESS,
        required=required,
        nargs="?" if is_flag else None,
        const=True if is_flag else None,
        metavar=str(getattr(hint, "__name__", "VALUE")).upper(),
        help="(required)" if required else f"(default: {shown})".replace("%", "%%"),
    )


def given(arguments: argparse.Namespace, *callables: Any) -> dict[str, Any]:
    """Return the parameters of functions and option classes that were given."""
    names = {name for each in callables for name in inspect.signature(each).parameters}
    return {name: value for name, value in vars(arguments).items() if name in names}


def _converter(name: str, hint: Any) -> Callable[[str], Any]:
    """Return what turns the text of a flag into the argument's type."""
    text = str(hint)

    def convert(value: str) -> Any:
        if value == "None" and "None" in text:
            return None
        if hint is bool or ("bool" in text and value.lower() in ("true", "false")):
            return _boolean(name, value)
        if "Mapping" in text and "Sequence" not in text and not value.startswith("{"):
            return _mapping(name, value)
        if any(kind in text for kind in ("Mapping", "Sequence", "tuple")):
            return _list_or_mapping(value)
        return next((number for kind, number in _NUMBERS.items() if kind in text), str)(value)

    convert.__name__ = text.removeprefix("<class '").removesuffix("'>")
    return convert


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{name}: expected True or False, came {value!r}")
    return value.lower() == "true"


def _mapping(name: str, value: str) -> dict[str, str]:
    """Return what `a=x,b=y` says."""
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if not all(key.strip() and equals for key, equals, _ in pairs):
        raise argparse.ArgumentTypeError(
            f"{name}: expected name=value,name=value or JSON, came {value!r}"
        )
    return {key.strip(): text.strip() for key, _, text in pairs}


def _list_or_mapping(value: str) -> Any:
    if value.startswith(("[", "{")):
        try:
            return json.loads(value.replace("'", '"'))
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"expected JSON or a,b,c; came {value!r}") from exc
    return [part.strip() for part in value.split(",") if part.strip()]


def ratios(value: str) -> dict[str, float]:
    """Return what `train=0.75,test=0.25` says."""
    try:
        return {
            name.strip(): float(ratio)
            for name, _, ratio in (part.partition("=") for part in _list_or_mapping(value))
        }
    except (ValueError, AttributeError) as exc:
        raise argparse.ArgumentTypeError(
            f"expected train=0.75,validation=0.15,test=0.10; came {value!r}"
        ) from exc
