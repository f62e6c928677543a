"""Uploads to the Hub: in batches, addressed by hash, invisible until a commit names them.

Uploaded content is never uploaded again, so an interrupted publication resumes in the next process.
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
_ATTEMPTS = 2  # of a batch; the client itself retries every request of it
# Larger files are never part of the commit's own body, so their copies are not needed for it.
_MAX_REGULAR_BYTES = 10_000_000


class Uploads:
    """The additions of one publication.

    A context manager, which holds local copies of the objects of remote stores.
    """

    def __init__(self, client: Client, revision: str) -> None:
        self._client = client
        self._revision = revision
        self._operations: dict[str, CommitOperationAdd] = {}
        self._folder = tempfile.TemporaryDirectory(
            prefix="dataset-assets-upload-", ignore_cleanup_errors=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._folder.cleanup()

    def send(self, files: Sequence[PublishFile]) -> "list[CommitOperationAdd]":
        """Upload files, and return the operations that a commit needs. Idempotent.

        Raises:
            AccessDenied, HubError: the Hub refuses it.
            ShardCorrupt, ObjectMissing: a file is not what the split recorded. Nothing is visible.
        """
        pending = [file for file in files if file.path not in self._operations]
        for start in range(0, len(pending), _BATCH_FILES):
            self._send_batch(pending[start : start + _BATCH_FILES])
        return [self._operations[file.path] for file in files]

    def _send_batch(self, files: Sequence[PublishFile]) -> None:
        operations = [self._operation(file, number) for number, file in enumerate(files)]
        others = f" and {len(files) - 1} more" if len(files) > 1 else ""
        self._client.call(
            f"uploading {files[0].path}{others}",
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
            # The client has hashed the bytes that it sent, so they need not be read again.
            check_content(file, operation.upload_info.sha256.hex())
            self._operations[file.path] = operation
        for file, operation in zip(files, operations, strict=True):
            path = str(operation.path_or_fileobj)
            if file.bytes > _MAX_REGULAR_BYTES and path.startswith(self._folder.name):
                Path(path).unlink()

    def _operation(self, file: PublishFile, number: int) -> "CommitOperationAdd":
        from huggingface_hub import CommitOperationAdd

        if file.text is not None:
            return CommitOperationAdd(file.path, file.text.encode())
        path = local_path(file) or self._copy(file, number)
        if not path.is_file():
            raise ObjectMissing(
                f"no such object: {path}, for {file.path}; nothing was published: recreate the "
                "split"
            )
        return CommitOperationAdd(file.path, path)

    def _copy(self, file: PublishFile, number: int) -> Path:
        path = Path(self._folder.name, f"{len(self._operations) + number}")
        with open_content(file) as source, path.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
        return path
