"""Rules about modules: private imports, import cycles, docstrings, contract tests of plug-ins."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from dataset_assets import registry

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "dataset_assets_tests" / "contracts"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_below(root: Path, package: str) -> dict[str, Path]:
    return {module_name(path, root): path for path in sorted((root / package).rglob("*.py"))}


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run, at import or later: not what only a type checker reads."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from statements(node)


def imported_modules(tree: ast.AST, modules: dict[str, Path]) -> set[str]:
    """Return the modules of the package that a source imports, inside functions too."""
    found = set()
    for node in statements(tree):
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & modules.keys() or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & modules.keys()
    return found


def import_graph(root: Path, package: str) -> dict[str, set[str]]:
    modules = modules_below(root, package)
    return {
        name: imported_modules(ast.parse(path.read_text()), modules) - {name}
        for name, path in modules.items()
    }


def foreign_private_imports(graph: dict[str, set[str]]) -> list[str]:
    """Name the imports of a private module from outside the package that it lies in."""
    found = []
    for importer, imported in graph.items():
        for module in imported:
            parts = module.split(".")
            private = next((n for n, part in enumerate(parts) if part.startswith("_")), None)
            if private is None:
                continue
            owner = ".".join(parts[:private])
            if not f"{importer}.".startswith(f"{owner}."):
                found.append(f"{importer} imports {module}")
    return sorted(found)


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one import cycle, [] without any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        return list(exc.args[1])
    return []


def test_private_modules_are_imported_in_their_own_package_only():
    assert foreign_private_imports(import_graph(ROOT, "dataset_assets")) == []


def test_no_import_cycle():
    assert cycle(import_graph(ROOT, "dataset_assets")) == []


def test_every_module_has_a_docstring():
    modules = modules_below(ROOT, "dataset_assets")
    missing = [
        name for name, path in modules.items() if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert missing == []


@pytest.mark.parametrize("role", registry.ROLES)
def test_every_role_has_a_contract_test(role):
    call = f"registry.names({role!r})"
    tests = [path for path in CONTRACTS.glob("test_*.py") if call in contract_source(path)]
    assert tests, f"no test in {CONTRACTS.name}/ is parametrized over {call}"


def contract_source(path: Path) -> str:
    """Return a source with one kind of quotes, without comments."""
    return ast.unparse(ast.parse(path.read_text()))


def write_package(folder: Path, sources: dict[str, str]) -> Path:
    for name, source in sources.items():
        path = folder / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return folder


def test_private_import_is_found_when_it_is_there(tmp_path):
    sources = {
        "__init__.py": "",
        "a/__init__.py": "",
        "a/_inner.py": "",
        "a/user.py": "from pkg.a import _inner",
        "a/below/user.py": "from pkg.a._inner import x",
        "a/_room/deep.py": "",
        "b.py": "def f():\n    from pkg.a._inner import x",
        "c.py": "from pkg.a import _inner",
        "d.py": "import pkg.a._room.deep",
    }
    graph = import_graph(write_package(tmp_path, sources), "pkg")
    assert foreign_private_imports(graph) == [
        "pkg.b imports pkg.a._inner",
        "pkg.c imports pkg.a._inner",
        "pkg.d imports pkg.a._room.deep",
    ]


def test_cycle_is_found_when_it_is_there(tmp_path):
    sources = {
        "__init__.py": "",
        "a.py": "import pkg.b",
        "b.py": "def f():\n    from pkg.c import x",
        "c.py": "from pkg import a",
        "d.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pkg.e",
        "e.py": "import pkg.d",
    }
    write_package(tmp_path, sources)
    graph = import_graph(tmp_path, "pkg")
    assert set(cycle(graph)) == {"pkg.a", "pkg.b", "pkg.c"}
    assert cycle({name: graph[name] for name in ("pkg.d", "pkg.e")}) == []
