"""What options mean, read from the docstrings where they are documented once.

The command line, the schema of `defs.yaml` and the reference take their texts from here.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

_SECTION = re.compile(r"^\w[\w ]*:$")
_ARGUMENT = re.compile(r"^\*{0,2}(\w+)(?: \([^)]*\))?:\s*(.*)$")


@cache
def field_docs(options: type) -> dict[str, str]:
    """Return the docstring of each documented field of a class, base classes included.

    Args:
        options: a dataclass or pydantic model; a field is documented by a string literal below it.
    """
    docs: dict[str, str] = {}
    for owner in reversed(options.__mro__):
        if "__annotations__" in vars(owner):
            docs |= _own_docs(owner)
    return docs


@cache
def argument_docs(function: Callable[..., Any]) -> dict[str, str]:
    """Return what the section `Args:` of a Google-style docstring says about each argument."""
    docs: dict[str, str] = {}
    name = ""
    for line in _section(inspect.getdoc(function) or "", "Args:"):
        found = None if line.startswith(" ") else _ARGUMENT.match(line)
        if found:
            name = found[1]
            docs[name] = found[2]
        elif name:
            docs[name] = f"{docs[name]} {line.strip()}".strip()
    return docs


def _own_docs(owner: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs = {}
    for field, text in pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            docs[field.target.id] = " ".join(str(text.value.value).split())
    return docs


def _section(doc: str, title: str) -> list[str]:
    """Return the lines of a section, without its indentation."""
    lines: list[str] = []
    is_inside = False
    for line in doc.splitlines():
        if _SECTION.match(line):
            is_inside = line == title
        elif is_inside:
            lines.append(line)
    return textwrap.dedent("\n".join(lines)).splitlines()
