"""What the Hub takes. Found out before anything is sent, with advice: its own answer comes after hours of upload.

Source: https://huggingface.co/docs/hub/storage-limits
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.publications import PublishFile

_ADVICE = (
    "make larger archives and tables (max_archive_bytes, max_table_bytes), so that there are fewer"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLimits:
    """How much of what one publication may have."""

    max_files_per_commit: int = 2_000  # more, and the Hub's 60 s for a commit run out
    max_files_per_folder: int = 10_000
    max_files: int = 100_000
    max_file_bytes: int = 50 * 10**9

    def check_files(self, repo: str, files: Sequence[PublishFile]) -> None:
        """Refuse files that are too large.

        Raises:
            ConfigurationError: one is.
        """
        for file in files:
            if file.bytes > self.max_file_bytes:
                raise ConfigurationError(
                    f"{repo}: {file.path} has {file.bytes:,} bytes, expected at most {self.max_file_bytes:,}; "
                    "make smaller archives and tables (max_archive_bytes, max_table_bytes)"
                )

    def check_change(self, repo: str, changed: int, after: Collection[str]) -> None:
        """Refuse a commit that changes too much, or that leaves too much behind.

        Raises:
            ConfigurationError: it does.
        """
        if changed > self.max_files_per_commit:
            raise ConfigurationError(
                f"{repo}: {changed:,} files would change in one commit, expected {self.max_files_per_commit:,}; {_ADVICE}"
            )
        if len(after) > self.max_files:
            raise ConfigurationError(
                f"{repo}: there would be {len(after):,} files, expected at most {self.max_files:,}; {_ADVICE}"
            )
        folders = Counter(path.rpartition("/")[0] for path in after)
        folder, entries = max(folders.items(), key=lambda item: item[1], default=("", 0))
        if entries > self.max_files_per_folder:
            raise ConfigurationError(
                f"{repo}: {folder or 'its top'} would have {entries:,} files, expected at most {self.max_files_per_folder:,}; {_ADVICE}"
            )
