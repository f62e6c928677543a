"""What tests share, started once per process when one asks for it: S3 servers, a warm Python.

Property tests have no deadline: a busy machine must not fail them. Proxies of the environment are
not used.
"""

import os

import pytest
from hypothesis import settings

from dataset_assets_tests.support.s3_server import moto, rclone, swift
from dataset_assets_tests.support.warm_python import WarmPython

__all__ = ["moto", "rclone", "swift"]

# The servers of the tests are on this machine: a proxy of the environment is not asked for them.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]

settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_ignore_collect(collection_path, config):
    """Import few files for the second part of `make test`: those with tests that are alone."""
    if config.option.markexpr == "alone" and collection_path.name.startswith("test_"):
        return "mark.alone" not in collection_path.read_text() or None
    return None


@pytest.fixture(scope="session")
def warm_python():
    """A Python that starts programs in milliseconds."""
    with WarmPython() as python:
        yield python
