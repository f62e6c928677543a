"""Rules about source text that no linter has: sizes, names, dangerous calls, private addresses."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "dataset_assets").rglob("*.py"))
FOLDERS = ("dataset_assets", "dataset_assets_tests", "benchmarks", "deploy", ".ci")
TEXT_SUFFIXES = {"", ".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".json", ".cfg", ".sh"}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60  # of the body, without the docstring
VAGUE_NAMES = {"utils", "util", "helpers", "common", "misc", "manager", "handler"}
BANNED_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "marshal", "shelve"}
BANNED_CALLS = {
    "eval",
    "exec",
    "print",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
}
BANNED_ARGUMENTS = {("shell", True), ("verify", False), ("weights_only", False)}
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(home|root|Users|work)/")
#: In parts: this file is searched as well.
INDEX_HOSTS = [
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("download", "pytorch", "org"),
    ("anaconda", "org"),
]
INDEX_OPTIONS = [("index", "url"), ("extra", "index", "url"), ("find", "links")]
PACKAGE_INDEX = re.compile(
    "|".join(
        [
            *(re.escape(".".join(parts)) for parts in INDEX_HOSTS),
            *("--" + "-".join(parts) for parts in INDEX_OPTIONS),
        ]
    )
)


def _text_files():
    files = [
        path for path in ROOT.iterdir() if path.is_file() and path.name not in (".env", ".git")
    ]
    for folder in FOLDERS:
        files += [
            path
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and not _is_generated(path.relative_to(ROOT / folder))
        ]
    return [path for path in files if path.suffix in TEXT_SUFFIXES]


def _is_generated(path):
    return any(part.startswith(".") or part in {"__pycache__", "results"} for part in path.parts)


def _dangers(source):
    """Name every construct of the source that the package does without."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
            found += [
                f"{node.lineno}: import {module}"
                for module in modules
                if module.partition(".")[0] in BANNED_MODULES
            ]
        elif isinstance(node, ast.Call):
            found += [f"{node.lineno}: {danger}" for danger in _dangerous_call(node)]
    return found


def _dangerous_call(call):
    name = ast.unparse(call.func)
    given = {
        (keyword.arg, keyword.value.value)
        for keyword in call.keywords
        if isinstance(keyword.value, ast.Constant)
    }
    if name in BANNED_CALLS or name.endswith(".extractall"):
        yield name
    if name == "torch.load" and ("weights_only", True) not in given:
        yield "torch.load without weights_only=True"
    yield from (f"{key}={value}" for key, value in given & BANNED_ARGUMENTS)


def _long_functions(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name} has {lines} lines"


def test_files_and_functions_are_short_when_measured():
    problems = []
    for path in PACKAGE:
        source, name = path.read_text(), path.relative_to(ROOT)
        lines = source.count("\n")
        problems += [f"{name} has {lines} lines"] if lines > MAX_FILE_LINES else []
        problems += [f"{name}: {problem}" for problem in _long_functions(source)]
    assert problems == []


def test_names_say_what_a_module_does_when_listed():
    assert [path for path in PACKAGE if path.stem.strip("_") in VAGUE_NAMES] == []


def test_package_has_no_dangerous_calls_when_parsed():
    found = {str(path.relative_to(ROOT)): _dangers(path.read_text()) for path in PACKAGE}
    assert {name: dangers for name, dangers in found.items() if dangers} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml; yaml.load(text)",
        "eval(text)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "tar.extractall(folder)",
        "requests.get(url, verify=False)",
        "print('hello')",
        "torch.load(path)",
    ],
)
def test_danger_is_found_when_it_is_there(source):
    assert _dangers(source)


def test_long_function_is_found_when_it_is_there():
    line = "    x = 1\n"
    assert list(_long_functions(f"def f():\n{line * 61}")) == ["f has 61 lines"]
    assert list(_long_functions(f'def f(\n    a,\n):\n    """A\n\n    B"""\n{line * 60}')) == []


@pytest.mark.parametrize(
    "pattern", [MACHINE_PATH, PACKAGE_INDEX], ids=["machine path", "package index"]
)
def test_project_names_no_place_of_one_machine_when_searched(pattern):
    found = []
    for path in _text_files():
        lines = enumerate(path.read_text(errors="replace").splitlines(), start=1)
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            for number, line in lines
            if pattern.search(line)
        ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "open('/" + "home/me/x')",
        "cd /" + "root/x",
        "https://pypi" + ".org/simple",
        "pip --index" + "-url x",
    ],
)
def test_place_is_found_when_it_is_there(text):
    assert MACHINE_PATH.search(text) or PACKAGE_INDEX.search(text)
