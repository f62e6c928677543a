"""`publish`: publishes the split at a URL. Called by users.

The work is done by `open_target` and `publish_split`; here are URLs and flat options only.
"""

from typing import Any

from dataset_assets.hub.target import PublishPlan, TargetOptions, open_target
from dataset_assets.pipelines.publish.publish_split import PublishOptions, publish_split
from dataset_assets.records.publications import PublishResult
from dataset_assets.storage.store import open_store


def publish(
    folder: str,
    repo: str,
    *,
    target: str = "directory",
    root: str = "published",
    token: str | None = None,
    private: bool = True,
    dry_run: bool = False,
    **options: Any,
) -> PublishResult | PublishPlan:
    """Publish the current version of a split as a dataset that `load_published` reads.

    Publishing is atomic: readers see either the whole new version or the old one. Idempotent: files
    already in the repository are not uploaded again.

    Args:
        folder: path or URL of the split.
        repo: `org/name`.
        target: "directory" for a local folder laid out like a repository, "huggingface" for the
            Hugging Face Hub, or another installed target.
        root: target "directory": the folder that holds the repositories.
        token: access token of a remote target, with write permission for the repository.
        private: whether a repository that this call creates is private.
        dry_run: return what would change, and change nothing.
        **options: fields of `PublishOptions`, such as `license` and `tag`.

    Returns:
        The new revision, or with `dry_run` the plan.

    Raises:
        ConfigurationError: an invalid option, or the repository cannot hold the split.
        ObjectMissing: there is no split.
        NotRedistributable: the license of the data forbids redistribution.
        StorageError: the target refuses; readers still get the previous revision.

    Example:
        >>> from dataset_assets import publish
        >>> result = publish("splits", "me/holidays", license="cc-by-4.0")
        >>> result.changed
        True
        >>> publish("splits", "me/holidays", license="cc-by-4.0").changed
        False
    """
    publication = PublishOptions(**options)
    access = TargetOptions(root=root, token=token, private=private)
    opened = open_target(target, repo, access)
    return publish_split(open_store(folder), opened, publication, dry_run=dry_run)
