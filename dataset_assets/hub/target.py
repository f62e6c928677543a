"""Where a dataset can be published: the contract of a target, what every target refuses, and what a publication would change.

A target holds one repository: files below paths, under named revisions. A publication replaces the files that this package owns, in one step
that a reader sees whole or not at all, and leaves the files of other people alone. Nothing here knows what is in a file.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.splits import Published, PublishFile

#: Lists what was published with it: what it names and is not published any more is deleted. Nothing else ever is.
MANIFEST = "manifest.json"

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_PART}/{_PART}")
_TAG = re.compile(_PART)
_MAX_NAME = 96


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What a publication would change in a repository. Paths, sorted."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: tuple[str, ...]
    bytes_added: int  # of the added and the changed files

    @property
    def is_empty(self) -> bool:
        """Tell whether everything is there already."""
        return not (self.added or self.changed or self.deleted)


class Target(Protocol):
    """One repository at one place. Publishing is safe to repeat, to interrupt at any point, and to run twice at once."""

    kind: str  # "directory" or "huggingface"
    repo: str  # "org/name"

    def head(self) -> str | None:
        """Return the revision that readers get, or None when nothing has been published."""

    def plan(self, files: Sequence[PublishFile]) -> PublishPlan:
        """Compare with what readers get now. Changes nothing, creates nothing."""

    def publish(
        self, files: Sequence[PublishFile], *, version: str, message: str, tag: str = ""
    ) -> Published:
        """Make the repository hold these files, and name the result with a tag.

        Idempotent: equal files are not sent again and make no new revision. Without a tag it is `v` and the begin of the version.

        Raises:
            ConfigurationError: the repository can not be loaded with these files, or the tag names something else already.
            StorageError: the target refuses; readers get what they got before.
        """

    def verify(self, files: Sequence[PublishFile], revision: str) -> list[str]:
        """List the files that a revision has not, or has with other bytes. Nothing, when it is sound."""

    def open_read(self, path: str, revision: str) -> BinaryIO:
        """Open a published file for seekable reading.

        Raises:
            ObjectMissing: the revision has no such file.
        """

    def load_path(self, revision: str) -> str:
        """Return the first argument of `datasets.load_dataset`."""

    def load_options(self, revision: str) -> dict[str, Any]:
        """Return further arguments of `datasets.load_dataset`. They may hold a token: never show them."""


def default_tag(version: str) -> str:
    """Return the tag of a version that was given none."""
    return f"v{version[:12]}"


def check_tag(tag: str) -> str:
    """Return a tag that every target takes.

    Raises:
        ConfigurationError: it does not.
    """
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith(".lock"):
        raise ConfigurationError(
            f"not a tag: {tag!r}; expected letters, digits, '_', '-' and '.', none but the first two at its ends"
        )
    return tag


def check_repo(repo: str) -> str:
    """Return the name of a repository that every target takes.

    Raises:
        ConfigurationError: it is not `org/name`, as the Hub wants it.
    """
    if (
        not _REPO.fullmatch(repo)
        or "--" in repo
        or ".." in repo
        or repo.endswith(".git")
        or len(repo) > _MAX_NAME
    ):
        raise ConfigurationError(
            f"not a repository: {repo!r}; expected 'org/name' of letters, digits, '_', '-' and '.', "
            f"without '--', '..' and '.git', at most {_MAX_NAME} characters"
        )
    return repo


def check_files(repo: str, files: Sequence[PublishFile]) -> None:
    """Refuse files that would make the repository useless.

    Raises:
        ConfigurationError: nothing to publish, a path twice, a path that leaves the repository, or a script that newer clients stumble over.
    """
    seen: set[str] = set()
    for file in files:
        parts = file.path.split("/")
        if (
            "\\" in file.path
            or not file.path.isprintable()
            or any(part in ("", ".", "..", ".git") for part in parts)
        ):
            raise ConfigurationError(
                f"not a path in a repository: {file.path!r}; expected relative parts separated by '/', without '..'"
            )
        if file.path in seen:
            raise ConfigurationError(
                f"{repo}: {file.path} would be published twice; give every file a path of its own"
            )
        seen.add(file.path)
    if not seen:
        raise ConfigurationError(
            f"{repo}: there is nothing to publish; expected at least a card and one file of data"
        )
    if script_of(repo) in seen:
        raise ConfigurationError(
            f"{repo}: a script named {script_of(repo)} makes the repository unloadable in datasets 4 and later; put it below legacy/"
        )


def script_of(repo: str) -> str:
    """Return the path of the script that datasets 4 and later refuse to load a repository for."""
    return f"{repo.rpartition('/')[2]}.py"


def fingerprint(files: Iterable[PublishFile]) -> str:
    """Hash the paths and contents of a publication: hex, equal for equal publications, whatever their order."""
    rows = sorted((file.path, file.bytes, file.sha256) for file in files)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def listed_files(manifest: bytes) -> frozenset[str]:
    """Return the paths that a published manifest lists: what was published, whatever else lies in the repository. Somebody else's manifest lists none."""
    try:
        return frozenset(str(entry["name"]) for entry in json.loads(manifest)["files"])
    except (ValueError, TypeError, KeyError):
        return frozenset()


def make_plan(
    files: Sequence[PublishFile],
    there: Iterable[str],
    is_same: Callable[[PublishFile], bool],
    owned: Collection[str],
) -> PublishPlan:
    """Compare a publication with the paths that are there; `is_same` is asked for those only. What is `owned` and not published again is deleted."""
    present, ours = set(there), {file.path for file in files}
    fresh = [file for file in files if file.path not in present]
    same = {file.path for file in files if file.path in present and is_same(file)}
    changed = [file for file in files if file.path in present and file.path not in same]
    return PublishPlan(
        added=tuple(sorted(file.path for file in fresh)),
        changed=tuple(sorted(file.path for file in changed)),
        deleted=tuple(sorted((present - ours).intersection(owned))),
        unchanged=tuple(sorted(same)),
        bytes_added=sum(file.bytes for file in [*fresh, *changed]),
    )
