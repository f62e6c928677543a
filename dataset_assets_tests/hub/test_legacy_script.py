import ast

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.hub._archive_rows import archive_rows
from dataset_assets.hub.legacy_script import check_script_path, legacy_script, script_path
from dataset_assets_tests.hub.test_card import make_manifest, table


@pytest.mark.parametrize(
    ("repo", "path"),
    [
        ("me/videos", "legacy/load_videos.py"),
        ("me/my-videos.v2", "legacy/load_my_videos_v2.py"),
        ("me/load_x", "legacy/load_load_x.py"),
        ("me/legacy", "legacy/load_legacy.py"),
    ],
)
def test_script_has_a_name_that_can_be_imported_and_breaks_no_client(repo, path):
    assert script_path(repo) == path


@pytest.mark.parametrize(
    "path", ["videos.py", "load_videos.py", "legacy/videos.py", "legacy/legacy.py"]
)
def test_path_is_refused_when_newer_clients_would_stumble_over_it(path):
    with pytest.raises(ConfigurationError, match="unloadable.*legacy/load_<name>.py"):
        check_script_path(path, "me/videos")


def test_script_stands_alone_when_read_as_python():
    tree = ast.parse(legacy_script(make_manifest(), "me/videos", revision="v1"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert modules == {
        "os",
        "json",
        "re",
        "collections.abc",
        "typing",
        "datasets",
        "huggingface_hub",
    }
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert archive_rows.__name__ in names
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and node.targets[0].id in ("_ARCHIVES", "_REVISION", "_REPO")
    }
    assert values == {
        "_REPO": "me/videos",
        "_REVISION": "v1",
        "_ARCHIVES": {
            "train": [["archives/train-00000-of-00001.tar", 3]],
            "test": [["archives/test-00000-of-00001.tar", 1]],
        },
    }


def test_script_is_refused_when_there_are_no_archives():
    with pytest.raises(ConfigurationError, match="archives=True"):
        legacy_script(make_manifest(files=(table("train", 0, 1, 3),)), "me/videos")
