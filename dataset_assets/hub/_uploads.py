"""Content on its way to the Hub: sent in batches, addressed by its hash, invisible until a commit names it.

What was sent once is never sent again, by this process or by the next one, so an interrupted publication goes on where it was.
Source: https://huggingface.co/docs/huggingface_hub/guides/upload#preupload-lfs-files-before-commit
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dataset_assets.errors import ObjectMissing
from dataset_assets.hub._client import Client
from dataset_assets.hub._content import check_content, local_path, open_content
from dataset_assets.records.publications import PublishFile

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

_BATCH_FILES = 50
_ATTEMPTS = 2  # of a batch; the client repeats every request of it by itself
_MAX_REGULAR_BYTES = 10_000_000  # larger files are never part of the commit's own body, so they are not needed for it


class Uploads:
    """The additions of one publication. A context manager: copies of objects that are not on this machine's disk last as long as it."""

    def __init__(self, client: Client, revision: str) -> None:
        self._client, self._revision = client, revision
        self._operations: dict[str, CommitOperationAdd] = {}
        self._folder = tempfile.TemporaryDirectory(
            prefix="dataset-assets-upload-", ignore_cleanup_errors=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._folder.cleanup()

    def send(self, files: Sequence[PublishFile]) -> "list[CommitOperationAdd]":
        """Upload what was not uploaded before, and return what a commit needs. Idempotent.

        Raises:
            AccessDenied, HubError: the Hub does not take it.
            ShardCorrupt, ObjectMissing: a file is not what the split recorded. Nothing has become visible.
        """
        waiting = [file for file in files if file.path not in self._operations]
        for first in range(0, len(waiting), _BATCH_FILES):
            self._send_batch(waiting[first : first + _BATCH_FILES])
        return [self._operations[file.path] for file in files]

    def _send_batch(self, files: Sequence[PublishFile]) -> None:
        operations = [self._operation(file, number) for number, file in enumerate(files)]
        self._client.call(
            f"uploading {files[0].path}"
            + (f" and {len(files) - 1} more" if len(files) > 1 else ""),
            lambda api: api.preupload_lfs_files(
                self._client.repo,
                operations,
                repo_type="dataset",
                revision=self._revision,
                free_memory=False,
            ),
            attempts=_ATTEMPTS,
        )
        for file, operation in zip(files, operations, strict=True):
            # The client hashed what it read, so this costs no second look and holds for the bytes that were sent.
            check_content(file, operation.upload_info.sha256.hex())
            self._operations[file.path] = operation
        for file, operation in zip(files, operations, strict=True):
            if file.bytes > _MAX_REGULAR_BYTES and str(operation.path_or_fileobj).startswith(
                self._folder.name
            ):
                Path(str(operation.path_or_fileobj)).unlink()

    def _operation(self, file: PublishFile, number: int) -> "CommitOperationAdd":
        from huggingface_hub import CommitOperationAdd

        if file.text is not None:
            return CommitOperationAdd(file.path, file.text.encode())
        path = local_path(file) or self._copy(file, number)
        if not path.is_file():
            raise ObjectMissing(
                f"no such object: {path}, which was to become {file.path}; nothing was published: make the split again"
            )
        return CommitOperationAdd(file.path, path)

    def _copy(self, file: PublishFile, number: int) -> Path:
        path = Path(self._folder.name, f"{len(self._operations) + number}")
        with open_content(file) as source, path.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        return path
