"""S3 servers for all tests, started once per process when a test asks for one.

Property tests have no deadline: a busy machine must not fail them.
"""

import os

from hypothesis import settings

from dataset_assets_tests.support.s3_server import moto, rclone, swift

__all__ = ["moto", "rclone", "swift"]

settings.register_profile("project", deadline=None)
settings.load_profile("project")


def pytest_xdist_auto_num_workers():
    """Run two tests per core: most of them wait for servers and for processes of their own."""
    return 2 * (os.cpu_count() or 1)
