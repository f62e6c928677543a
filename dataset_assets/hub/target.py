"""Contract of a publishing target: what a target does, and the checks that all targets share.

A target is one repository: files below paths, under named revisions. Publishing replaces the files
that this package owns in one atomic step and leaves other files alone. Nothing here knows what a
file contains. The targets are in `dataset_assets.hub.targets`; a file name there is a kind.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar, Protocol, Self

from dataset_assets import registry
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.fingerprint import fingerprint_of
from dataset_assets.records.publications import PublishFile, PublishResult
from dataset_assets.records.typed_json import load_object

ROLE = "hub_target"
#: Lists the files of a publication. A later publication deletes listed files that it does not have.
MANIFEST = "manifest.json"

_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"{_PART}/{_PART}")
_TAG = re.compile(_PART)
_MAX_NAME = 96


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What a publication would change in a repository. Paths are sorted."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    unchanged: tuple[str, ...]
    bytes_added: int
    """Bytes of the added and the changed files."""

    @property
    def is_empty(self) -> bool:
        """Whether the repository already holds the publication."""
        return not (self.added or self.changed or self.deleted)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetOptions:
    """How a target is opened. A target ignores what it does not need."""

    root: str = "published"
    """Local folder that holds the repositories of the target `directory`."""
    token: str | None = field(default=None, repr=False)
    """Access token of a remote target. Never read from the environment, and never shown."""
    private: bool = True
    """Whether a repository that publishing creates is private."""


class PublishTarget(Protocol):
    """One repository. Publishing is safe to repeat, to interrupt, and to run concurrently."""

    is_remote: ClassVar[bool]
    """Whether the target needs the network and a token."""
    kind: str
    """Name of the target, as a user types it."""
    repo: str
    """`org/name`."""

    @classmethod
    def open(cls, repo: str, options: TargetOptions) -> Self:
        """Open a repository, which need not exist yet.

        Raises:
            ConfigurationError: the target cannot hold such a repository.
        """

    def head(self) -> str | None:
        """Return the revision that readers get, or None when nothing has been published."""

    def plan(self, files: Sequence[PublishFile]) -> PublishPlan:
        """Compare files with the current revision. Changes and creates nothing."""

    def publish(
        self, files: Sequence[PublishFile], *, version: str, message: str, tag: str = ""
    ) -> PublishResult:
        """Make the repository hold these files, and tag the result.

        Idempotent: unchanged files are not uploaded again and create no new revision. The default
        tag is `v` and the first 12 characters of the version.

        Raises:
            ConfigurationError: the repository cannot be loaded with these files, or the tag already
                names another revision.
            StorageError: the target refuses; readers still get the previous revision.
        """

    def verify(self, files: Sequence[PublishFile], revision: str) -> list[str]:
        """List the files that a revision lacks or holds with other bytes."""

    def open_read(self, path: str, revision: str) -> BinaryIO:
        """Open a published file for seekable reading.

        Raises:
            ObjectMissing: the revision has no such file.
        """

    def load_path(self, revision: str) -> str:
        """Return the first argument of `datasets.load_dataset`."""

    def load_options(self, revision: str) -> dict[str, Any]:
        """Return further arguments of `datasets.load_dataset`. Can hold a token: do not show."""


def open_target(kind: str, repo: str, options: TargetOptions | None = None) -> PublishTarget:
    """Open a repository of a kind of target.

    Args:
        kind: a file name in `dataset_assets.hub.targets`, such as "directory" or "huggingface".
        repo: `org/name`.
        options: where the repository is and how to access it.

    Raises:
        UnknownName: there is no such kind.
        ConfigurationError: the name or an option is not valid.
        MissingDependency: the target needs a package that is not installed.

    Example:
        >>> target = open_target("directory", "me/photos", TargetOptions(root="published"))
        >>> target.repo
        'me/photos'
    """
    target: PublishTarget = registry.load(ROLE, kind).open(repo, options or TargetOptions())
    return target


def is_remote(kind: str) -> bool:
    """Tell whether a kind of target needs the network and a token.

    Raises:
        UnknownName: there is no such kind.
    """
    return bool(registry.load(ROLE, kind).is_remote)


def default_tag(version: str) -> str:
    """Return the tag of a version for which none was chosen."""
    return f"v{version[:12]}"


def check_tag(tag: str) -> str:
    """Return a tag that is valid in every target.

    Raises:
        ConfigurationError: it is not.
    """
    if not _TAG.fullmatch(tag) or ".." in tag or tag.endswith(".lock"):
        raise ConfigurationError(
            "tag: expected letters, digits, '_', '-' and '.', with a letter, digit or '_' at both "
            f"ends, got {tag!r}"
        )
    return tag


def check_repo(repo: str) -> str:
    """Return the name of a repository that is valid in every target.

    Raises:
        ConfigurationError: it is not an `org/name` that the Hub accepts.
    """
    has_valid_form = _REPO.fullmatch(repo) and len(repo) <= _MAX_NAME
    if not has_valid_form or "--" in repo or ".." in repo or repo.endswith(".git"):
        raise ConfigurationError(
            f"not a repository: {repo!r}; expected 'org/name' of letters, digits, '_', '-' and "
            f"'.', without '--', '..' and '.git', at most {_MAX_NAME} characters"
        )
    return repo


def check_files(repo: str, files: Sequence[PublishFile]) -> None:
    """Refuse files that would make the repository unusable.

    Raises:
        ConfigurationError: there are no files, a path occurs twice or leaves the repository, or a
            script would break newer versions of `datasets`.
    """
    paths: set[str] = set()
    for file in files:
        _check_path(file.path)
        if file.path in paths:
            raise ConfigurationError(
                f"{repo}: {file.path} would be published twice; give each file its own path"
            )
        paths.add(file.path)
    if not paths:
        raise ConfigurationError(
            f"{repo}: nothing to publish; expected at least a card and one data file"
        )
    if root_script(repo) in paths:
        raise ConfigurationError(
            f"{repo}: a script named {root_script(repo)} makes the repository unloadable in "
            "datasets 4 and later; put it below legacy/"
        )


def _check_path(path: str) -> None:
    is_inside = not any(part in ("", ".", "..", ".git") for part in path.split("/"))
    if not is_inside or "\\" in path or not path.isprintable():
        raise ConfigurationError(
            f"not a path in a repository: {path!r}; expected relative parts separated by '/', "
            "without '..'"
        )


def root_script(repo: str) -> str:
    """Return the path of a script that makes datasets 4 and later refuse to load a repository."""
    return f"{repo.rpartition('/')[2]}.py"


def fingerprint(files: Iterable[PublishFile]) -> str:
    """Hash paths and contents of a publication, independent of their order. Returns hex."""
    rows = sorted((file.path, file.bytes, file.sha256) for file in files)
    return fingerprint_of(rows)


def listed_files(manifest: bytes) -> frozenset[str]:
    """Return the paths that a published manifest lists; none for a manifest of another tool."""
    try:
        return frozenset(str(entry["name"]) for entry in load_object(manifest)["files"])
    except (ValueError, TypeError, KeyError):
        return frozenset()


def make_plan(
    files: Sequence[PublishFile],
    present: Iterable[str],
    is_same: Callable[[PublishFile], bool],
    owned: Collection[str],
) -> PublishPlan:
    """Compare a publication with the paths that are present in a repository.

    Args:
        files: the publication.
        present: paths in the repository.
        is_same: whether a file equals the one that is present. Called for those only.
        owned: paths that an earlier publication put there. They are deleted when `files` lacks
            them; other paths stay.
    """
    existing = set(present)
    added = [file for file in files if file.path not in existing]
    unchanged = {file.path for file in files if file.path in existing and is_same(file)}
    changed = [file for file in files if file.path in existing and file.path not in unchanged]
    stale = existing - {file.path for file in files}
    return PublishPlan(
        added=tuple(sorted(file.path for file in added)),
        changed=tuple(sorted(file.path for file in changed)),
        deleted=tuple(sorted(stale.intersection(owned))),
        unchanged=tuple(sorted(unchanged)),
        bytes_added=sum(file.bytes for file in [*added, *changed]),
    )
