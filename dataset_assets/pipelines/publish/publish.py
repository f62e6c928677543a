"""A split -> a dataset that everybody can load: tables, archives, card, legacy script and manifest, put into a repository in one step.

Which files those are is decided here; how they get there is a target's affair (`hub/`). Publishing twice changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from typing import overload

from dataset_assets.errors import NotRedistributable
from dataset_assets.hub.card import CardOptions, card_text
from dataset_assets.hub.legacy_script import legacy_script, script_path
from dataset_assets.hub.target import PublishPlan, PublishTarget, check_tag, default_tag
from dataset_assets.pipelines.verify.publication import verify_publication
from dataset_assets.records.publications import PublishFile, PublishResult
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.table import features_of
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.storage.store import Store

__all__ = ["PublishOptions", "publication_files", "publish", "verify_publication"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """What a publication holds and says.

    Raises:
        ConfigurationError: a value can not work; the message says what was expected and what came.
    """

    license: str  # as the Hub names it: "cc-by-4.0", "mit", "other"
    pretty_name: str = ""  # the repository's name when empty
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    source_urls: tuple[str, ...] = ()
    text: str = ""  # markdown, below the title of the card
    archives: bool = True  # False: tables only
    legacy_script: bool = True  # for datasets < 4; left out when there are no archives
    tag: str = ""  # "": v and the begin of the version
    message: str = ""  # of the commit

    def __post_init__(self) -> None:
        CardOptions(license=self.license, languages=self.languages)
        if self.tag:
            check_tag(self.tag)


@overload
def publish(
    split_store: Store, target: PublishTarget, options: PublishOptions
) -> PublishResult: ...


@overload
def publish(
    split_store: Store, target: PublishTarget, options: PublishOptions, *, dry_run: bool
) -> PublishResult | PublishPlan: ...


def publish(
    split_store: Store, target: PublishTarget, options: PublishOptions, *, dry_run: bool = False
) -> PublishResult | PublishPlan:
    """Publish the current version of a split; with `dry_run`, only say what that would change.

    Idempotent: what is there already is not sent again, and makes no new revision.

    Raises:
        ObjectMissing: there is no split.
        ConfigurationError: the split has no tables, or the repository can not take it.
        NotRedistributable: it holds data whose license forbids that, also to a private repository.
        StorageError: the target refuses; readers get what they got before.
    """
    manifest = load_split(split_store)
    _check_terms(manifest)
    files = publication_files(split_store, manifest, target.repo, options)
    if dry_run:
        return target.plan(files)
    message = options.message or f"Publish {default_tag(manifest.version)}"
    return target.publish(files, version=manifest.version, message=message, tag=options.tag)


def _check_terms(manifest: SplitManifest) -> None:
    if manifest.options.get("redistributable", True) is not True:
        terms = manifest.options.get("source_license", {})
        raise NotRedistributable(
            f"this split holds data under the {terms.get('name', 'license of its source')} ({terms.get('url', 'see staged.json')}), "
            "which forbids to pass it on: it can not be published, also not to a private repository"
        )


def publication_files(
    split_store: Store, manifest: SplitManifest, repo: str, options: PublishOptions
) -> list[PublishFile]:
    """Return what a version becomes in a repository. Deterministic: equal versions and options give equal files."""
    kept = tuple(file for file in manifest.files if options.archives or file.kind == "parquet")
    manifest = replace(manifest, files=kept)
    script = (
        script_path(repo)
        if options.legacy_script and any(file.kind != "parquet" for file in kept)
        else ""
    )
    card = CardOptions(
        license=options.license,
        pretty_name=options.pretty_name,
        tags=options.tags,
        languages=options.languages,
        source_urls=options.source_urls,
        text=options.text,
        code_version=_code_version(),
        legacy_script=script,
    )
    folder = version_store(split_store, manifest)
    features = features_of(manifest.media, manifest.columns)
    made = [
        _text("README.md", card_text(manifest, features, card, repo)),
        _text("manifest.json", manifest.to_json().decode()),
        # At the tag, so that an old copy of the script keeps reading what it counts.
        *(
            [
                _text(
                    script,
                    legacy_script(
                        manifest, repo, revision=options.tag or default_tag(manifest.version)
                    ),
                )
            ]
            if script
            else []
        ),
    ]
    return [*_stored(folder, manifest), *made]


def _stored(folder: Store, manifest: SplitManifest) -> Sequence[PublishFile]:
    return [
        PublishFile(
            path=file.name,
            bytes=file.bytes,
            sha256=file.sha256,
            store_url=folder.url,
            key=file.name,
        )
        for file in manifest.files
    ]


def _text(path: str, text: str) -> PublishFile:
    data = text.encode()
    return PublishFile(path=path, bytes=len(data), sha256=sha256(data).hexdigest(), text=text)


def _code_version() -> str:
    try:
        return package_version("dataset-assets")
    except PackageNotFoundError:  # run from its folder, not installed
        return ""
