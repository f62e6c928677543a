"""`publish`: publishes a split: tables, archives, card, legacy script and manifest, in one step.

`publish` takes URLs and flat options, `publish_split` what is open already. This module decides
which files a publication has; a target in `dataset_assets.hub` decides how they get there.
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from typing import Any

from dataset_assets.errors import NotRedistributable
from dataset_assets.hub.card import card_text
from dataset_assets.hub.card_options import CardOptions
from dataset_assets.hub.legacy_script import legacy_script, script_path
from dataset_assets.hub.target import (
    MANIFEST,
    PublishPlan,
    PublishTarget,
    TargetOptions,
    check_tag,
    default_tag,
    open_target,
)
from dataset_assets.pipelines.publish._stored_urls import check_stored_urls
from dataset_assets.records.publications import PublishFile, PublishResult
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.table import features_of
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.storage.store import Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions(CardOptions):
    """What a publication contains and what its card says.

    Raises:
        ConfigurationError: a value is not valid.
    """

    archives: bool = True
    """Publish the tar archives beside the tables."""
    legacy_script: bool = True
    """Add a loading script for `datasets` before 4. Has no effect without archives."""
    tag: str = ""
    """Tag of the revision. Default: `v` and the first 12 characters of the version."""
    message: str = ""
    """Message of the commit. Default: `Publish` and the default tag."""

    def __post_init__(self) -> None:
        CardOptions.__post_init__(self)
        if self.tag:
            check_tag(self.tag)


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
    publish_or_plan = plan_publication if dry_run else publish_split
    return publish_or_plan(open_store(folder), opened, publication)


def publish_split(
    split_store: Store, target: PublishTarget, options: PublishOptions
) -> PublishResult:
    """Publish the current version of a split.

    Idempotent: files already in the repository are not uploaded again, and a publication that
    changes nothing creates no new revision. Readers see either the old version or the new one.

    Args:
        split_store: the output of `split`, opened with `open_store`.
        target: the repository, opened with `open_target`.
        options: what the publication contains and what its card says.

    Raises:
        ObjectMissing: there is no split.
        ConfigurationError: the split has no tables, its URLs have passwords or signatures, or the
            repository cannot hold it.
        NotRedistributable: it holds data whose license forbids redistribution, even to a private
            repository.
        StorageError: the target refuses; readers still get the previous revision.
    """
    manifest = load_split(split_store)
    files = publication_files(split_store, manifest, target.repo, options)
    message = options.message or f"Publish {default_tag(manifest.version)}"
    return target.publish(files, version=manifest.version, message=message, tag=options.tag)


def plan_publication(
    split_store: Store, target: PublishTarget, options: PublishOptions
) -> PublishPlan:
    """Return what `publish_split` would change in a repository; change nothing.

    Raises:
        As `publish_split`.
    """
    manifest = load_split(split_store)
    return target.plan(publication_files(split_store, manifest, target.repo, options))


def _check_license(manifest: SplitManifest) -> None:
    if manifest.options.get("redistributable", True) is not True:
        terms = manifest.options.get("source_license", {})
        raise NotRedistributable(
            f"this split holds data under the {terms.get('name', 'license of its source')} "
            f"({terms.get('url', 'see staged.json')}), which forbids redistribution; it cannot be "
            "published, even to a private repository"
        )


def publication_files(
    split_store: Store, manifest: SplitManifest, repo: str, options: PublishOptions
) -> list[PublishFile]:
    """Return the files of a publication. Equal versions and options give equal files.

    Args:
        split_store: the output of `split`.
        manifest: the version to publish.
        repo: `org/name`, which the card and the script contain.
        options: what the publication contains and what its card says.

    Raises:
        ConfigurationError: the split has no tables, or its URLs have passwords or signatures.
        NotRedistributable: it holds data whose license forbids redistribution.
    """
    _check_license(manifest)
    check_stored_urls(split_store, manifest)
    stored = tuple(file for file in manifest.files if options.archives or file.kind == "parquet")
    manifest = replace(manifest, files=stored)
    has_archives = any(file.kind != "parquet" for file in stored)
    script = script_path(repo) if options.legacy_script and has_archives else ""
    card = card_text(
        manifest,
        features_of(manifest.media, manifest.columns),
        options,
        repo,
        code_version=_code_version(),
        legacy_script=script,
    )
    texts = {"README.md": card, MANIFEST: manifest.to_json().decode()}
    if script:
        # The script reads its own tag, so an old copy still finds the archives that it lists.
        tag = options.tag or default_tag(manifest.version)
        texts[script] = legacy_script(manifest, repo, revision=tag)
    folder = version_store(split_store, manifest)
    return [
        *(PublishFile(file.name, file.bytes, file.sha256, folder.url) for file in stored),
        *(_text_file(path, text) for path, text in texts.items()),
    ]


def _text_file(path: str, text: str) -> PublishFile:
    data = text.encode()
    return PublishFile(path=path, bytes=len(data), sha256=sha256(data).hexdigest(), text=text)


def _code_version() -> str:
    try:
        return package_version("dataset-assets")
    except PackageNotFoundError:  # run from its source folder
        return ""
