"""S3 servers for all tests, started once per process when a test asks for one.

Property tests have no deadline: a busy machine must not fail them.
"""

from hypothesis import settings

from dataset_assets_tests.support.s3_server import moto, rclone, swift

__all__ = ["moto", "rclone", "swift"]

settings.register_profile("project", deadline=None)
settings.load_profile("project")
