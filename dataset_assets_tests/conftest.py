"""What all tests share: S3 servers, one of each for a session, started when a test asks for them; and properties that are never timed."""

from hypothesis import settings

from dataset_assets_tests.support.s3_server import moto, rclone, swift

__all__ = ["moto", "rclone", "swift"]

settings.register_profile("project", deadline=None)
settings.load_profile("project")
