"""Limits of the Hub, checked before anything is uploaded: its own error comes after hours.

Source: https://huggingface.co/docs/hub/storage-limits
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.publications import PublishFile


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """Sizes and counts that one publication must not exceed."""

    max_files_per_commit: int = 2_000
    """Files that one commit may change. More exceed the Hub's 60 s for a commit."""
    max_files_per_folder: int = 10_000
    """Files and folders in one folder."""
    max_files: int = 100_000
    """Files in the repository."""
    max_file_bytes: int = 50 * 10**9
    """Bytes of one file."""

    def check_files(self, repo: str, files: Sequence[PublishFile]) -> None:
        """Refuse files that are too large.

        Raises:
            ConfigurationError: one is.
        """
        for file in files:
            if file.bytes > self.max_file_bytes:
                where = f"{repo}: {file.path}"
                raise _too_many(where, self.max_file_bytes, "bytes", file.bytes, "smaller")

    def check_change(self, repo: str, changed: int, after: Collection[str]) -> None:
        """Refuse a commit that changes too many files or leaves too many in the repository.

        Args:
            repo: `org/name`.
            changed: number of files that change.
            after: paths in the repository after the commit.

        Raises:
            ConfigurationError: a limit is exceeded.
        """
        folders = Counter(path.rpartition("/")[0] for path in after)
        folder, entries = max(folders.items(), key=lambda item: item[1], default=("", 0))
        for limit, found, what in (
            (self.max_files_per_commit, changed, "files that change in one commit"),
            (self.max_files, len(after), "files in the repository"),
            (self.max_files_per_folder, entries, f"files in {folder or 'the root folder'}"),
        ):
            if found > limit:
                raise _too_many(repo, limit, what, found, "fewer, larger")


def _too_many(where: str, limit: int, what: str, found: int, advice: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: expected at most {limit:,} {what}, got {found:,}; make {advice} archives and "
        "tables (max_archive_bytes, max_table_bytes)"
    )
