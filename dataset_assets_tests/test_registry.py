"""Plug-ins of the package and of other distributions, by name."""

import subprocess
import sys

import pytest

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError, UnknownName
from dataset_assets_tests.support.distribution import write_distribution


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a distribution for this process."""

    def install(name, modules, **entry_points):
        write_distribution(tmp_path, name, modules, entry_points)
        monkeypatch.syspath_prepend(tmp_path)
        registry._outside.cache_clear()

    yield install
    monkeypatch.undo()
    registry._outside.cache_clear()


@pytest.mark.parametrize("role", registry.ROLES)
def test_every_plug_in_loads(role):
    assert registry.names(role)
    for name in registry.names(role):
        plug_in = registry.load(role, name)
        defines = registry.ROLES[role].defines
        # A stage is an object; the other roles are classes.
        assert role == "stage" or plug_in.__name__ == defines


def test_unknown_name_is_refused_with_the_known_and_the_nearest_one():
    with pytest.raises(UnknownName) as caught:
        registry.load("output_format", "webdatset")
    assert str(caught.value) == (
        "unknown output_format 'webdatset': expected one of dummy, files, parquet, tfrecord, "
        "webdataset; did you mean 'webdataset'?"
    )
    assert not registry.has("output_format", "__init__")


@pytest.mark.parametrize("name", ["os", "../stores", "formats.webdataset", "__init__", ""])
def test_text_that_is_no_plug_in_is_never_imported(name):
    with pytest.raises(UnknownName):
        registry.load("output_format", name)


def test_plug_in_of_another_distribution_is_found(install):
    install("one", {"one_plug_ins": "class Writer: ...\n"}, output_format={"lines": "one_plug_ins"})
    assert "lines" in registry.names("output_format")
    assert registry.check("output_format", "lines") == "lines"
    assert registry.load("output_format", "lines").__module__ == "one_plug_ins"
    assert not registry.has("input_format", "lines")
    with pytest.raises(UnknownName, match=r"files, lines, parquet.*did you mean 'lines'"):
        registry.load("output_format", "line")


def test_file_of_the_package_wins(install):
    install("two", {"two_plug_ins": "1 / 0\n"}, output_format={"webdataset": "two_plug_ins"})
    assert registry.load("output_format", "webdataset").__module__.startswith("dataset_assets.")
    assert registry.names("output_format").count("webdataset") == 1


def test_two_outside_plug_ins_of_one_name_are_refused(install):
    install("three", {"three_plug_ins": ""}, output_format={"lines": "three_plug_ins"})
    install("four", {"four_plug_ins": ""}, output_format={"lines": "four_plug_ins"})
    assert registry.has("output_format", "lines")
    with pytest.raises(ConfigurationError, match=r"'lines': expected one .*, got \w+_plug_ins and"):
        registry.load("output_format", "lines")


def test_module_without_what_the_role_asks_for_is_refused(install):
    install("five", {"five_plug_ins": ""}, store={"shelf": "five_plug_ins"})
    with pytest.raises(
        ConfigurationError, match=r"store 'shelf': expected five_plug_ins to define"
    ):
        registry.load("store", "shelf")


def test_names_of_the_package_do_without_the_metadata_of_distributions():
    script = (
        "import sys\n"
        "from dataset_assets import registry\n"
        "before = 'importlib.metadata' in sys.modules\n"
        "registry.load('distributor', 'serial')\n"
        "registry.check('output_format', 'webdataset')\n"
        "assert before == ('importlib.metadata' in sys.modules)\n"
        "registry.names('distributor')\n"
        "assert 'importlib.metadata' in sys.modules\n"
    )
    # Without site packages: an editable install imports the module by itself.
    subprocess.run([sys.executable, "-S", "-c", script], check=True, timeout=60)
