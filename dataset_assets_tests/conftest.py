"""Fixtures of all tests: S3 servers, one of each for a session, started when a test asks for them."""

from dataset_assets_tests.support.s3_server import moto, rclone, swift

__all__ = ["moto", "rclone", "swift"]
