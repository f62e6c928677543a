"""Finds a published version: turns the name of a target into a pinned address and a fingerprint."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dataset_assets.errors import AccessDenied, ConfigurationError, HubError, ObjectMissing
from dataset_assets.hub.retry import (
    RetryOptions,
    call_with_retry,
    failures,
    is_transient,
    status_of,
)

if TYPE_CHECKING:
    from huggingface_hub.hf_api import DatasetInfo

_Result = TypeVar("_Result")

_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_FOLDER = re.compile(r"[\w-][\w.-]{0,199}", re.ASCII)
_PATTERN = re.compile(r"[\[\]*?]|::")
_HUB = "hf://datasets/"
_TIMEOUT_S = 60
_RETRY = RetryOptions(attempts=4)


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """One published version, pinned."""

    path: str
    """First argument of `datasets.load_dataset`."""
    revision: str | None
    """Commit hash; None for a folder."""
    fingerprint: str
    """Hex; changes with any file."""
    base: str
    """Files of the version are below it."""

    def cache_dir(self, cache_dir: str | None) -> str:
        """Return a cache folder that only this version uses.

        With a shared one, `datasets` returns stale rows when files change or the Hub fails.
        """
        import datasets

        root = cache_dir or str(datasets.config.HF_DATASETS_CACHE)
        return os.path.join(root, "dataset_assets", self.fingerprint[:32])


def find_version(
    target: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    archives_only: bool = False,
) -> PublishedVersion:
    """Find a published version in a folder or in a repository on the Hub.

    Args:
        target: a folder, `org/name` or `hf://datasets/org/name`; an existing folder has priority.
        revision: branch, tag or commit; None is the newest of the main branch.
        token: for private repositories.
        archives_only: accept a folder of archives that was never published.

    Raises:
        ObjectMissing: no such target, revision or published version, or the token has no access.
        ConfigurationError: the target cannot be loaded.
        AccessDenied: the token is rejected.
        HubError: the Hub does not respond.
    """
    folder = Path(target.removeprefix("file://")).expanduser()
    if folder.is_dir() and not target.startswith(_HUB):
        return _in_folder(folder, revision, archives_only=archives_only)
    repo = target.removeprefix(_HUB)
    if _REPO.fullmatch(repo) and not target.startswith(("./", "../")):
        return _on_hub(repo, revision, token)
    raise ObjectMissing(
        f"expected the folder of a publication, or 'org/name' on the Hub, got {target!r}, which "
        "is not a folder"
    )


def _in_folder(folder: Path, revision: str | None, *, archives_only: bool) -> PublishedVersion:
    if (folder / "snapshots").is_dir():
        snapshot = _snapshot(folder, revision or "main").resolve()
    else:
        snapshot = _unpacked(folder, revision, archives_only=archives_only).resolve()
    if _PATTERN.search(str(snapshot)):
        raise ConfigurationError(
            f"{snapshot}: datasets interprets '[', ']', '*', '?' and '::' in a path as a pattern; "
            "rename or move the folder"
        )
    return PublishedVersion(str(snapshot), None, _fingerprint(snapshot), str(snapshot))


def _snapshot(folder: Path, revision: str) -> Path:
    """Return the folder of a revision: a branch, a tag or the name of a snapshot."""
    name = revision
    for reference in (folder / "refs" / revision, folder / "refs" / "tags" / revision):
        if reference.is_file():
            name = reference.read_text(encoding="utf-8", errors="replace").strip()
            break
    snapshot = folder / "snapshots" / name
    if not _FOLDER.fullmatch(name) or not (snapshot / "README.md").is_file():
        references = [path for path in (folder / "refs").rglob("*") if path.is_file()]
        known = sorted(path.relative_to(folder / "refs").as_posix() for path in references)
        expected = f"expected one of {', '.join(known)}" if known else "publish first"
        raise ObjectMissing(f"{folder} has no published version {revision!r}; {expected}")
    return snapshot


def _unpacked(folder: Path, revision: str | None, *, archives_only: bool) -> Path:
    """Return a folder that itself is a version: a snapshot, or a download of one."""
    has_tables = (folder / "README.md").is_file() and (folder / "data").is_dir()
    if not has_tables and not (archives_only and _has_archives(folder)):
        raise ObjectMissing(
            f"{folder} has no published version (no snapshots/, and no README.md with data/); "
            f"{_publication_hint(folder)}"
        )
    if revision is not None:
        raise ConfigurationError(
            f"{folder} is one version and has no revision {revision!r}; give the folder above "
            "snapshots/, or no revision"
        )
    return folder


def _has_archives(folder: Path) -> bool:
    if (folder / "manifest.json").is_file():
        return True
    return any(folder.glob("*.tar")) or any(folder.glob("*.tar.gz"))


def _publication_hint(folder: Path) -> str:
    found = [path.parent.relative_to(folder) for path in folder.glob("*/*/snapshots/")]
    if found:
        names = sorted(path.as_posix() for path in found)
        return f"published datasets below it: {', '.join(names)}"
    return "publish first: `dataset-assets publish`"


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256(str(folder).encode(errors="surrogateescape"))
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        line = f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\0"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _on_hub(repo: str, revision: str | None, token: str | None) -> PublishedVersion:
    info = dataset_info(repo, revision, token)
    names = [sibling.rfilename for sibling in info.siblings or ()]
    has_tables = "README.md" in names and any(name.startswith("data/") for name in names)
    if info.sha is None or not has_tables:
        raise ObjectMissing(
            f"{repo} has no published version at {revision or 'main'} (no README.md with data/); "
            "publish first"
        )
    fingerprint = hashlib.sha256(f"{repo}@{info.sha}".encode()).hexdigest()
    return PublishedVersion(f"{_HUB}{repo}", info.sha, fingerprint, f"{_HUB}{repo}@{info.sha}")


def dataset_info(repo: str, revision: str | None, token: str | None) -> "DatasetInfo":
    """Read the commit of a revision. No error contains the token."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi(token=token)
    try:
        return call_hub(lambda: api.dataset_info(repo, revision=revision, timeout=_TIMEOUT_S), repo)
    except HFValidationError as error:
        raise ConfigurationError(
            f"expected the name of a repository, got {repo!r}: {error}"
        ) from None
    except RevisionNotFoundError:
        raise ObjectMissing(f"{repo} on {api.endpoint} has no revision {revision!r}") from None
    except RepositoryNotFoundError:  # gated repositories too
        access = "it is private and no token was sent: set HF_TOKEN"
        if token or get_token():
            access = "the token that was sent has no access to it"
        raise ObjectMissing(
            f"{repo} is not a local folder, and not on {api.endpoint}, or {access}"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        status = status_of(error)
        if status in (401, 403):
            raise AccessDenied(
                f"{api.endpoint} rejects the token for {repo} (HTTP {status}); set HF_TOKEN to "
                "one with read access"
            ) from None
        raise HubError(
            f"{repo}: cannot query {api.endpoint} (HTTP {status}, {type(error).__name__})"
        ) from None


def call_hub(call: Callable[[], _Result], target: str) -> _Result:
    """Call the Hub and retry transient failures.

    Raises:
        HubError: transient failures did not end. Other failures pass through unchanged.
    """
    try:
        return call_with_retry(call, _RETRY)
    except failures() as error:
        if not is_transient(error):
            raise
        status = status_of(error)
        reason = f"HTTP {status}" if status else type(error).__name__
        raise HubError(
            f"{target}: the Hub did not respond ({reason}); nothing was loaded, not even from a "
            "cache: try again"
        ) from None
