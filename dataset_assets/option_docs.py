"""What the fields of an option class mean, read from the string literals below them.

An option is documented once, in its class. The command line, the schema of `defs.yaml` and the
reference take their texts from here.
"""

import ast
import inspect
import itertools
import textwrap
from functools import cache


@cache
def field_docs(options: type) -> dict[str, str]:
    """Return the docstring of each documented field of a class, base classes included.

    Args:
        options: a dataclass or pydantic model whose fields have attribute docstrings.
    """
    docs: dict[str, str] = {}
    for owner in reversed(options.__mro__[:-1]):
        docs |= _own_docs(owner)
    return docs


def _own_docs(owner: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs = {}
    for field, text in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            docs[field.target.id] = inspect.cleandoc(str(text.value.value))
    return docs
