"""A plug-in of pytest: the clock of the tests runs slower.

Some tests have a limit in seconds, which img2dataset itself does not keep on a slow or busy
machine.
"""

import os
import time
from types import SimpleNamespace

import pytest

FACTOR = float(os.environ["TIME_FACTOR"])


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Give each module of tests that looks at the clock another one."""
    clock = SimpleNamespace(time=lambda: time.time() / FACTOR)
    for item in items:
        if hasattr(item.module, "time"):
            item.module.time = clock
