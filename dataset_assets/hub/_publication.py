"""Where the version to load lies: a target as a person names it -> an address that never changes, and a fingerprint for the cache."""

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
_HUB = "hf://datasets/"
_TIMEOUT_S = 60
_RETRY = RetryOptions(attempts=4)


@dataclass(frozen=True, slots=True)
class Publication:
    """One published version, pinned."""

    path: str  # for `datasets.load_dataset`
    revision: str | None  # commit hash; None for a folder
    fingerprint: str  # hex; changes with any file
    base: str  # files of the version are below it

    def cache_dir(self, cache_dir: str | None) -> str:
        """Return a cache folder that only this version uses: `datasets` answers out of a shared one when files change or the Hub fails."""
        import datasets

        return os.path.join(
            cache_dir or str(datasets.config.HF_DATASETS_CACHE),
            "dataset_assets",
            self.fingerprint[:32],
        )


def find_publication(
    target: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    archives_only: bool = False,
) -> Publication:
    """Find a folder, or a repository on the Hub (`org/name`, `hf://datasets/org/name`; a folder of that name goes first).

    With `archives_only`, a folder of archives that was never published will do.

    Raises:
        ObjectMissing: there is no such target, revision or published version, or the token may not see it.
        ConfigurationError: the target can not be loaded.
        AccessDenied: the token is refused.
        HubError: the Hub does not answer.
    """
    folder = Path(target.removeprefix("file://")).expanduser()
    if folder.is_dir() and not target.startswith(_HUB):
        return _in_folder(folder, revision, archives_only=archives_only)
    repo = target.removeprefix(_HUB)
    if _REPO.fullmatch(repo) and not target.startswith(("./", "../")):
        return _on_hub(repo, revision, token)
    raise ObjectMissing(
        f"{target!r} is not a folder, and not a repository: expected the path of a publication, or 'org/name' on the Hub"
    )


def _in_folder(folder: Path, revision: str | None, *, archives_only: bool) -> Publication:
    published = (folder / "snapshots").is_dir()
    snapshot = (
        _snapshot(folder, revision or "main")
        if published
        else _unpacked(folder, revision, archives_only=archives_only)
    ).resolve()
    if re.search(r"[\[\]*?]|::", str(snapshot)):
        raise ConfigurationError(
            f"{snapshot}: datasets takes '[', ']', '*', '?' and '::' in a path for a pattern; rename or move the folder"
        )
    return Publication(str(snapshot), None, _fingerprint(snapshot), str(snapshot))


def _snapshot(folder: Path, wanted: str) -> Path:
    """Return the folder of a revision: a branch, a tag or the name of a snapshot."""
    found = [
        reference
        for reference in (folder / "refs" / wanted, folder / "refs" / "tags" / wanted)
        if reference.is_file()
    ]
    name = found[0].read_text(encoding="utf-8").strip() if found else wanted
    snapshot = folder / "snapshots" / name
    if "/" in name or name in ("", ".", "..") or not (snapshot / "README.md").is_file():
        known = sorted(
            path.relative_to(folder / "refs").as_posix()
            for path in (folder / "refs").rglob("*")
            if path.is_file()
        )
        raise ObjectMissing(
            f"{folder} has no published version {wanted!r}; there are: {', '.join(known) or 'none'}; publish first"
        )
    return snapshot


def _unpacked(folder: Path, revision: str | None, *, archives_only: bool) -> Path:
    """Return a folder that is a version itself: a snapshot, or a download of one."""
    has_archives = (
        (folder / "manifest.json").is_file()
        or any(folder.glob("*.tar"))
        or any(folder.glob("*.tar.gz"))
    )
    has_tables = (folder / "README.md").is_file() and (folder / "data").is_dir()
    if not (has_tables or (archives_only and has_archives)):
        below = sorted(
            path.parent.relative_to(folder).as_posix() for path in folder.glob("*/*/snapshots/")
        )
        hint = (
            f"published datasets below it: {', '.join(below)}"
            if below
            else "publish first: `dataset-assets publish`"
        )
        raise ObjectMissing(
            f"{folder} has no published version (no snapshots/, and no README.md with data/); {hint}"
        )
    if revision is not None:
        raise ConfigurationError(
            f"{folder} is one version: it has no revision {revision!r}; name the folder above snapshots/, or no revision"
        )
    return folder


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256(str(folder).encode(errors="surrogateescape"))
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        status = path.stat()
        digest.update(
            f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\0".encode(
                errors="surrogateescape"
            )
        )
    return digest.hexdigest()


def _on_hub(repo: str, revision: str | None, token: str | None) -> Publication:
    info = _dataset_info(repo, revision, token)
    names = [sibling.rfilename for sibling in info.siblings or ()]
    if (
        info.sha is None
        or "README.md" not in names
        or not any(name.startswith("data/") for name in names)
    ):
        raise ObjectMissing(
            f"{repo} has no published version at {revision or 'main'} (no README.md with data/); publish first"
        )
    return Publication(
        f"{_HUB}{repo}",
        info.sha,
        hashlib.sha256(f"{repo}@{info.sha}".encode()).hexdigest(),
        f"{_HUB}{repo}@{info.sha}",
    )


def _dataset_info(repo: str, revision: str | None, token: str | None) -> "DatasetInfo":
    """Ask the Hub for a revision's commit. The message of an error has no token in it."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    api = HfApi(token=token)
    try:
        return patiently(
            lambda: api.dataset_info(repo, revision=revision, timeout=_TIMEOUT_S), repo
        )
    except HFValidationError as error:
        raise ConfigurationError(f"{repo!r} is not the name of a repository: {error}") from None
    except RevisionNotFoundError:
        raise ObjectMissing(f"{repo} on {api.endpoint} has no revision {revision!r}") from None
    except RepositoryNotFoundError:  # gated ones too
        sent = (
            "the token that was sent may not read it"
            if token or get_token()
            else "it is private and no token was sent: set HF_TOKEN"
        )
        raise ObjectMissing(
            f"{repo} is no folder here, and not on {api.endpoint}, or {sent}"
        ) from None
    except (HfHubHTTPError, OSError) as error:
        status = status_of(error)
        if status in (401, 403):
            raise AccessDenied(
                f"{api.endpoint} refuses the token for {repo} (HTTP {status}): set HF_TOKEN to one with read access"
            ) from None
        raise HubError(
            f"{repo} can not be asked for at {api.endpoint} (HTTP {status}, {type(error).__name__})"
        ) from None


def patiently(call: Callable[[], _Result], what: str) -> _Result:
    """Call, again when the Hub has a bad moment.

    Raises:
        HubError: it has too many of them. Other failures come as they are.
    """
    try:
        return call_with_retry(call, _RETRY)
    except failures() as error:
        if not is_transient(error):
            raise
        status = status_of(error)
        answer = f"HTTP {status}" if status else type(error).__name__
        raise HubError(
            f"{what}: the Hub does not answer ({answer}); nothing was loaded, also not from a cache: try again"
        ) from None
