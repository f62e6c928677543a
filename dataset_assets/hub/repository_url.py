"""The pinned URL of a dataset repository, with which `storage` reads its files.

Files are read by the file system of `huggingface_hub`, which takes the token from HF_TOKEN or a
login.
"""

import re

from dataset_assets.errors import ConfigurationError, MissingDependency

#: How URLs of dataset repositories begin.
HUB = "hf://datasets/"
_REPOSITORY = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?P<folder>/.*)?")


def repository_url(repository: str, revision: str | None = None) -> str:
    """Return the URL of a repository at the commit that its revision has now.

    Args:
        repository: `org/name`, `org/name@revision` or one of them with `/folder`.
        revision: branch, tag or commit; None is that of `repository`, or else the main branch.

    Raises:
        ConfigurationError: it is not the name of a repository, or has two revisions.
        MissingDependency: `huggingface_hub` is not installed.
        ObjectMissing: there is no such repository or revision, or the token has no access.
        AccessDenied, HubError: the Hub rejects the token, or does not respond.
    """
    found = _REPOSITORY.fullmatch(repository.rstrip("/"))
    if found is None:
        raise ConfigurationError(
            f"expected a repository such as {HUB}org/name, got {HUB}{repository}; correct the name"
        )
    if found["revision"] and revision and revision != found["revision"]:
        raise ConfigurationError(
            f"revision: expected that of {HUB}{repository}, got {revision!r}; give one of them"
        )
    try:
        from dataset_assets.hub._published_version import dataset_info

        info = dataset_info(found["repo"], revision or found["revision"], None)
    except ImportError as exc:
        raise MissingDependency(
            "datasets on the Hub need the package huggingface_hub: pip install "
            "'dataset-assets[hub]'"
        ) from exc
    return f"{HUB}{found['repo']}@{info.sha}{found['folder'] or ''}"
