"""What the real client does at the Hub of the tests."""

from typing import Any

from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi
from huggingface_hub.utils import httpx

REPO = "org/vids"


def fill(api: HfApi, files: dict[str, bytes], **how: Any) -> CommitInfo:
    api.create_repo(REPO, repo_type="dataset", private=how.pop("private", None), exist_ok=True)
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(REPO, operations, commit_message="Publish", repo_type="dataset", **how)


def read_into(got: bytearray, url: str) -> None:
    with httpx.stream("GET", url) as answer:
        for chunk in answer.iter_raw():
            got += chunk
