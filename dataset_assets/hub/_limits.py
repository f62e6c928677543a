"""Limits of the Hub, checked before anything is uploaded: its own error comes after hours.

Source: https://huggingface.co/docs/hub/storage-limits
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.publications import PublishFile

_MAKE_FEWER = "make fewer, larger archives and tables (max_archive_bytes, max_table_bytes)"


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
                raise ConfigurationError(
                    f"{repo}: {file.path}: expected at most {self.max_file_bytes:,} bytes, got "
                    f"{file.bytes:,}; make smaller archives and tables (max_archive_bytes, "
                    "max_table_bytes)"
                )

    def check_change(self, repo: str, changed: int, after: Collection[str]) -> None:
        """Refuse a commit that changes too many files or leaves too many in the repository.

        Args:
            repo: `org/name`.
            changed: number of files that change.
            after: paths in the repository after the commit.

        Raises:
            ConfigurationError: a limit is exceeded.
        """
        if changed > self.max_files_per_commit:
            raise ConfigurationError(
                f"{repo}: expected at most {self.max_files_per_commit:,} files that change in one "
                f"commit, got {changed:,}; {_MAKE_FEWER}"
            )
        if len(after) > self.max_files:
            raise ConfigurationError(
                f"{repo}: expected at most {self.max_files:,} files in the repository, got "
                f"{len(after):,}; {_MAKE_FEWER}"
            )
        folders = Counter(path.rpartition("/")[0] for path in after)
        folder, entries = max(folders.items(), key=lambda item: item[1], default=("", 0))
        if entries > self.max_files_per_folder:
            raise ConfigurationError(
                f"{repo}: expected at most {self.max_files_per_folder:,} files in "
                f"{folder or 'the root folder'}, got {entries:,}; {_MAKE_FEWER}"
            )
