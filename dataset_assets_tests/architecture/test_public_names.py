"""The public names are documented, and their examples run."""

import ast
import doctest
import inspect
import re
import shutil

import pytest

import dataset_assets
from dataset_assets.compat import img2dataset
from dataset_assets.option_docs import argument_docs, field_docs

VERBS = ("download", "download_any", "stage", "split", "verify", "publish", "load_published")
RUN = """
import doctest, logging, sys
import dataset_assets
if __name__ == "__main__":
    logging.disable(logging.INFO)
    name = sys.argv[1]
    found = doctest.DocTestFinder(recurse=False).find(getattr(dataset_assets, name), name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in found:
        runner.run(test)
    sys.exit(bool(runner.failures))
"""


def _own_arguments(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def test_every_verb_of_the_readme_is_public():
    assert set(VERBS) <= set(dataset_assets.__all__)


@pytest.mark.parametrize("name", dataset_assets.__all__)
def test_arguments_are_documented(name):
    public = getattr(dataset_assets, name)
    documented = argument_docs(public)
    if isinstance(public, type):
        documented = documented | field_docs(public) | argument_docs(public.__init__)
    missing = _own_arguments(public) - documented.keys()
    assert missing == set()


@pytest.mark.parametrize("name", dataset_assets.__all__)
def test_example_runs(name, warm_python, example_datasets, example_folder, example_environment):
    doc = inspect.getdoc(getattr(dataset_assets, name))
    assert re.search(r"^Examples?:", doc, re.MULTILINE), "expected a section Example"
    shutil.copytree(example_datasets, example_folder, dirs_exist_ok=True)
    script = example_folder / "example.py"
    script.write_text(RUN)
    done = warm_python.run(script, name, cwd=example_folder, env=example_environment)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", dataset_assets.__all__)
def test_name_is_imported_from_the_same_module_when_types_are_checked(name):
    imported = {
        alias.asname or alias.name: node.module
        for node in ast.walk(ast.parse(inspect.getsource(dataset_assets)))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported[name] == f"dataset_assets.{dataset_assets._HOMES[name]}"


def test_example_of_img2dataset_runs(monkeypatch, example_folder, example_environment):
    monkeypatch.chdir(example_folder)
    for name, value in example_environment.items():
        monkeypatch.setenv(name, value)
    results = doctest.testmod(img2dataset)
    assert results.failed == 0
    assert results.attempted == 3
