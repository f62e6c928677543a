"""The Hugging Face Hub as a target: everything is uploaded first, then ONE commit makes it visible.

    create the repository -> head -> compare hashes with its tree -> upload in batches -> commit on top of that head -> read back -> tag

A commit names the head that it was planned for, so a second writer's commit is never overwritten unseen: the plan is made again. A commit whose
answer was lost is found by the same comparison and not made twice. Source: https://huggingface.co/docs/huggingface_hub/guides/upload
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO

from dataset_assets.errors import ConfigurationError, HubError, MissingDependency
from dataset_assets.hub._client import Client
from dataset_assets.hub._content import git_sha1
from dataset_assets.hub._limits import HubLimits
from dataset_assets.hub._uploads import Uploads
from dataset_assets.hub.retry import RetryOptions, failures, is_transient, status_of
from dataset_assets.hub.target import (
    MANIFEST,
    PublishPlan,
    check_files,
    check_repo,
    check_tag,
    default_tag,
    listed_files,
    make_plan,
    script_of,
)
from dataset_assets.records.splits import Published, PublishFile

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

_CONFLICTS = (409, 412)
#: made by the Hub itself
_NEVER_OURS = (".gitattributes",)
_LIMITS = HubLimits()
_RETRY = RetryOptions()


@dataclass(frozen=True, slots=True)
class _Head:
    """What readers get now."""

    commit: str
    tree: "Mapping[str, RepoFile]"


class HuggingFaceTarget:
    """One dataset repository of a Hub. See `_base.Target`. The token is never read from the environment, and never shown."""

    kind = "huggingface"

    def __init__(
        self,
        repo: str,
        *,
        token: str | None,
        private: bool = True,
        endpoint: str
        | None = None,  # None: HF_ENDPOINT, or the public Hub; `datasets` reads from HF_ENDPOINT only
        revision: str = "main",  # branch
        limits: HubLimits = _LIMITS,
        retry: RetryOptions = _RETRY,
    ) -> None:
        if find_spec("huggingface_hub") is None:
            raise MissingDependency(
                "publishing to the Hub needs the package huggingface_hub: pip install 'dataset-assets[hub]'"
            )
        self.repo = check_repo(repo)
        self.revision, self._private, self._limits, self._retry = revision, private, limits, retry
        self._client = Client(self.repo, token, endpoint=endpoint, retry=retry)

    def __repr__(self) -> str:
        return f"HuggingFaceTarget({self.repo!r}, revision={self.revision!r})"

    def head(self) -> str | None:
        """See `_base.Target`."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        def ask(api: "HfApi") -> str | None:
            try:
                return api.repo_info(self.repo, repo_type="dataset", revision=self.revision).sha
            except (RepositoryNotFoundError, RevisionNotFoundError):
                return None

        return self._client.call("reading the head", ask)

    def plan(self, files: Sequence[PublishFile]) -> PublishPlan:
        """See `_base.Target`."""
        check_files(self.repo, files)
        commit = self.head()
        return self._plan(files, _Head(commit, self._tree(commit)) if commit else _Head("", {}))

    def publish(
        self, files: Sequence[PublishFile], *, version: str, message: str, tag: str = ""
    ) -> Published:
        """See `_base.Target`."""
        name = check_tag(tag or default_tag(version))
        check_files(self.repo, files)
        self._limits.check_files(self.repo, files)
        self._create()
        published = self._publish(files, version, message, tag)
        return replace(published, tag=self._tag(name, published.revision))

    def verify(self, files: Sequence[PublishFile], revision: str) -> list[str]:
        """See `_base.Target`."""
        tree = self._tree(revision)
        where = f"{self.repo}@{revision[:12]}"
        missing = [f"{where}: {file.path} is missing" for file in files if file.path not in tree]
        return missing + [
            f"{where}: {file.path} differs from what was published"
            for file in files
            if file.path in tree and not _is_same(tree[file.path], file)
        ]

    def open_read(self, path: str, revision: str) -> BinaryIO:
        """See `_base.Target`."""
        name = f"datasets/{self.repo}@{revision}/{path}"
        file: BinaryIO = self._client.call(
            f"opening {path}", lambda _: self._client.files.open(name, "rb")
        )
        return file

    def load_path(self, revision: str) -> str:
        """See `_base.Target`."""
        del revision  # is an option here
        return self.repo

    def load_options(self, revision: str) -> dict[str, Any]:
        """See `_base.Target`."""
        return {"revision": revision, **self._client.load_options()}

    def _create(self) -> None:
        private, revision = self._private, self.revision
        self._client.call(
            "creating the repository",
            lambda api: api.create_repo(
                self.repo, repo_type="dataset", private=private, exist_ok=True
            ),
        )
        info = self._client.call(
            "reading the repository", lambda api: api.repo_info(self.repo, repo_type="dataset")
        )
        if private and info.private is False:
            raise ConfigurationError(
                f"{self.repo} is public, and a private repository was asked for: make it private on the Hub, or publish with private: false"
            )
        if revision != "main":
            self._client.call(
                f"creating the branch {revision}",
                lambda api: api.create_branch(
                    self.repo, repo_type="dataset", branch=revision, exist_ok=True
                ),
            )

    def _publish(
        self, files: Sequence[PublishFile], version: str, message: str, tag: str
    ) -> Published:
        """Plan, upload and commit until the head holds the files: once, unless others commit meanwhile or an answer is lost."""
        first: tuple[str, PublishPlan] | None = None
        reason = ""
        with Uploads(self._client, self.revision) as uploads:
            for attempt in range(self._retry.attempts):
                head = self._read_head()
                plan = self._plan(files, head)
                if first is None:
                    self._check_tag(tag, head.commit, plan)
                before, wanted = first = first or (head.commit, plan)
                if plan.is_empty:
                    return self._published(
                        version, head.commit, wanted, changed=head.commit != before
                    )
                try:
                    commit = self._commit(files, plan, head, uploads, message)
                except _PlanAgain as exc:
                    reason = str(exc)
                    self._retry.wait(attempt)
                    continue
                self._check_commit(files, commit)
                return self._published(version, commit, wanted, changed=True)
        raise HubError(f"{reason}; gave up after {self._retry.attempts} attempts")

    def _read_head(self) -> _Head:
        info = self._client.call(
            "reading the head",
            lambda api: api.repo_info(self.repo, repo_type="dataset", revision=self.revision),
        )
        commit = str(info.sha)
        return _Head(commit, self._tree(commit))

    def _tree(self, revision: str) -> "dict[str, RepoFile]":
        from huggingface_hub.hf_api import RepoFile

        def ask(api: "HfApi") -> dict[str, RepoFile]:
            entries = api.list_repo_tree(
                self.repo, repo_type="dataset", revision=revision, recursive=True
            )
            return {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}

        return self._client.call(f"listing the files of {revision[:12]}", ask)

    def _plan(self, files: Sequence[PublishFile], head: _Head) -> PublishPlan:
        tree, script = head.tree, script_of(self.repo)
        if script in tree:
            raise ConfigurationError(
                f"{self.repo} has a file {script}, for which datasets 4 and later refuse to load it: delete or rename that file on the Hub first"
            )
        plan = make_plan(
            files,
            tree,
            lambda file: _is_same(tree[file.path], file),
            owned=self._owned(files, head),
        )
        after = {*tree, *plan.added}.difference(plan.deleted)
        self._limits.check_change(
            self.repo, len(plan.added) + len(plan.changed) + len(plan.deleted), after
        )
        return plan

    def _owned(self, files: Sequence[PublishFile], head: _Head) -> frozenset[str]:
        """Return what the last publication put there, by its manifest. Everything else is somebody else's, and stays."""
        if MANIFEST not in head.tree or head.tree.keys() <= {
            *(file.path for file in files),
            *_NEVER_OURS,
        }:
            return frozenset()
        with self.open_read(MANIFEST, head.commit) as file:
            return listed_files(file.read())

    def _commit(
        self,
        files: Sequence[PublishFile],
        plan: PublishPlan,
        head: _Head,
        uploads: Uploads,
        message: str,
    ) -> str:
        """Upload and commit on top of the head that was planned for.

        Raises:
            _PlanAgain: somebody else committed, or no answer came, and nobody knows whether the commit exists.
        """
        from huggingface_hub import CommitOperationDelete

        sent = {*plan.added, *plan.changed}
        additions = uploads.send([file for file in files if file.path in sent])
        deletions = [CommitOperationDelete(path, is_folder=False) for path in plan.deleted]
        try:
            return self._client.api.create_commit(
                self.repo,
                [*additions, *deletions],
                commit_message=message,
                repo_type="dataset",
                revision=self.revision,
                parent_commit=head.commit,
            ).oid
        except failures() as exc:
            error = self._client.explain("committing", exc)
            again = status_of(exc) in _CONFLICTS or is_transient(exc)
        raise _PlanAgain(str(error)) if again else error

    def _check_commit(self, files: Sequence[PublishFile], commit: str) -> None:
        problems = self.verify(files, commit)
        if problems:
            raise HubError(
                f"{problems[0]}, right after its commit ({len(problems)} of {len(files)} files): "
                f"look at {self._url(commit)}, and publish again"
            )

    def _check_tag(self, tag: str, commit: str, plan: PublishPlan) -> None:
        """Refuse a tag that was asked for and names something else: tags never move."""
        found = self._tags().get(tag) if tag else None
        if found is not None and (found != commit or not plan.is_empty):
            raise ConfigurationError(
                f"{self.repo}: the tag {tag!r} names {found[:12]} already, and tags never move; choose another"
            )

    def _tags(self) -> dict[str, str]:
        refs = self._client.call(
            "listing the tags", lambda api: api.list_repo_refs(self.repo, repo_type="dataset")
        )
        return {ref.name: ref.target_commit for ref in refs.tags}

    def _tag(self, tag: str, commit: str) -> str:
        """Give a commit a tag, and return it: "" when it is another commit's, which has the same version and, say, another card."""
        found = self._tags().get(tag)
        if found is None:
            self._client.call(
                f"creating the tag {tag}",
                lambda api: api.create_tag(
                    self.repo, repo_type="dataset", tag=tag, revision=commit, exist_ok=True
                ),
            )
        return tag if found in (None, commit) else ""

    def _published(
        self, version: str, commit: str, plan: PublishPlan, *, changed: bool
    ) -> Published:
        return Published(
            target=self.kind,
            repo=self.repo,
            revision=commit,
            version=version,
            tag="",
            url=self._url(commit),
            changed=changed,
            added=len(plan.added) + len(plan.changed),
            deleted=len(plan.deleted),
            bytes_added=plan.bytes_added,
        )

    def _url(self, commit: str) -> str:
        return f"{self._client.api.endpoint}/datasets/{self.repo}/commit/{commit}"


class _PlanAgain(HubError):
    """A commit that may or may not exist, or that came second."""


def _is_same(there: "RepoFile", file: PublishFile) -> bool:
    """Compare by hash. The Hub knows the sha256 of large files, and git's name for small ones."""
    if there.size != file.bytes:
        return False
    return (
        there.lfs.sha256 == file.sha256
        if there.lfs is not None
        else there.blob_id == git_sha1(file)
    )
