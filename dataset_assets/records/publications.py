"""What travels to and from a publication. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishFile:
    """One file to publish: an object of a store, or generated text."""

    path: str  # in the repository, and in the store
    bytes: int
    sha256: str
    store_url: str = ""  # where its bytes are
    text: str | None = None  # instead of an object: the card, the legacy script


@dataclass(frozen=True, slots=True)
class PublishResult:
    """Result of a publication."""

    target: str  # "directory" or "huggingface"
    repo: str  # "org/name"
    revision: str  # commit hash, or the name of the snapshot
    version: str  # of the split
    tag: str
    url: str  # what a person opens: the page of the commit, or the folder
    changed: bool  # False: every file was in the repository already
    added: int  # files
    deleted: int
    bytes_added: int
