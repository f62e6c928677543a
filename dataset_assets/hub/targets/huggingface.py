"""The Hugging Face Hub as a publishing target: all files are uploaded, then ONE commit shows them.

    create the repository -> head -> compare hashes with its tree -> upload in batches
        -> commit with that head as parent -> read back -> tag

A commit names the head that it was planned for, so another writer's commit is never overwritten:
the publication is planned again. The same comparison finds a commit whose response was lost, which
is then not repeated. Source: https://huggingface.co/docs/huggingface_hub/guides/upload
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self

from dataset_assets.errors import ConfigurationError, HubError, MissingDependency
from dataset_assets.hub._client import Client
from dataset_assets.hub._content import git_sha1
from dataset_assets.hub._limits import HubLimits
from dataset_assets.hub._uploads import Uploads
from dataset_assets.hub.retry import (
    RetryOptions,
    call_with_retry,
    failures,
    is_transient,
    status_of,
)
from dataset_assets.hub.target import (
    MANIFEST,
    PublishPlan,
    TargetOptions,
    check_files,
    check_repo,
    check_tag,
    default_tag,
    listed_files,
    make_plan,
    root_script,
)
from dataset_assets.records.publications import PublishFile, PublishResult

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

_CONFLICTS = (409, 412)
_HUB_FILES = (".gitattributes",)  # the Hub itself creates them
_LIMITS = HubLimits()
_RETRY = RetryOptions()


@dataclass(frozen=True, slots=True)
class _Head:
    """The current revision and its files."""

    commit: str
    tree: "Mapping[str, RepoFile]"


class HubTarget:
    """One dataset repository of a Hub. The token is never read from the environment or shown."""

    is_remote: ClassVar[bool] = True
    kind = "huggingface"

    def __init__(
        self,
        repo: str,
        *,
        token: str | None,
        private: bool = True,
        endpoint: str | None = None,
        revision: str = "main",
        limits: HubLimits = _LIMITS,
        retry: RetryOptions = _RETRY,
    ) -> None:
        """Open a repository, which need not exist yet.

        Args:
            repo: `org/name`.
            token: access token; None reads public repositories only.
            private: whether a new repository is private. An existing public one is then refused.
            endpoint: URL of the Hub; None is HF_ENDPOINT, or the public Hub. `datasets` always
                reads from HF_ENDPOINT.
            revision: branch to publish to.
            limits: sizes and counts to refuse before anything is sent.
            retry: for calls that fail for transient reasons.
        """
        if find_spec("huggingface_hub") is None:
            raise MissingDependency(
                "publishing to the Hub needs the package huggingface_hub: "
                "pip install 'dataset-assets[hub]'"
            )
        self.repo = check_repo(repo)
        self.revision = revision
        self._private = private
        self._limits = limits
        self._retry = retry
        self._client = Client(self.repo, token, endpoint=endpoint, retry=retry)

    @classmethod
    def open(cls, repo: str, options: TargetOptions) -> Self:
        """Open the repository on the Hub of HF_ENDPOINT, or the public one."""
        return cls(repo, token=options.token, private=options.private)

    def __repr__(self) -> str:
        return f"huggingface.HubTarget({self.repo!r}, revision={self.revision!r})"

    def head(self) -> str | None:
        """Return the commit of the branch, or None when there is no repository or branch."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        def ask(api: "HfApi") -> str | None:
            try:
                return api.repo_info(self.repo, repo_type="dataset", revision=self.revision).sha
            except (RepositoryNotFoundError, RevisionNotFoundError):
                return None

        return self._client.call("reading the head", ask)

    def plan(self, files: Sequence[PublishFile]) -> PublishPlan:
        """Compare files with the current commit, by hash."""
        check_files(self.repo, files)
        commit = self.head()
        return self._plan(files, _Head(commit, self._tree(commit)) if commit else _Head("", {}))

    def publish(
        self, files: Sequence[PublishFile], *, version: str, message: str, tag: str = ""
    ) -> PublishResult:
        """Upload files, commit them at once, read them back, and tag the commit."""
        name = check_tag(tag or default_tag(version))
        check_files(self.repo, files)
        self._limits.check_files(self.repo, files)
        self._create()
        result = self._publish(files, version, message, tag)
        return replace(result, tag=self._tag(name, result.revision))

    def verify(self, files: Sequence[PublishFile], revision: str) -> list[str]:
        """List missing and different files of a commit, by the hashes that the Hub knows."""
        tree = self._tree(revision)
        where = f"{self.repo}@{revision[:12]}"
        missing = [f"{where}: {file.path} is missing" for file in files if file.path not in tree]
        return missing + [
            f"{where}: {file.path} differs from what was published"
            for file in files
            if file.path in tree and not _is_same(tree[file.path], file)
        ]

    def open_read(self, path: str, revision: str) -> BinaryIO:
        """Open a file of a commit.

        Raises:
            ObjectMissing: the commit has no such file.
        """
        name = f"datasets/{self.repo}@{revision}/{path}"
        file: BinaryIO = self._client.call(
            f"opening {path}", lambda _: self._client.files.open(name, "rb")
        )
        return file

    def load_path(self, revision: str) -> str:
        """Return the name of the repository; `load_options` name the revision."""
        del revision
        return self.repo

    def load_options(self, revision: str) -> dict[str, Any]:
        """Return the revision and the token."""
        return {"revision": revision, **self._client.load_options()}

    def _create(self) -> None:
        self._client.call(
            "creating the repository",
            lambda api: api.create_repo(
                self.repo, repo_type="dataset", private=self._private, exist_ok=True
            ),
        )
        info = self._client.call(
            "reading the repository", lambda api: api.repo_info(self.repo, repo_type="dataset")
        )
        if self._private and info.private is False:
            raise ConfigurationError(
                f"{self.repo}: expected a private repository, but it is public; make it private "
                "on the Hub, or publish with private: false"
            )
        if self.revision != "main":
            self._client.call(
                f"creating the branch {self.revision}",
                lambda api: api.create_branch(
                    self.repo, repo_type="dataset", branch=self.revision, exist_ok=True
                ),
            )

    def _publish(
        self, files: Sequence[PublishFile], version: str, message: str, tag: str
    ) -> PublishResult:
        """Plan, upload and commit until the head holds the files.

        One round does unless others commit meanwhile or a response is lost. The counts of the
        result are those of the first plan: a later one no longer lists what a lost commit did.
        """
        first: tuple[str, PublishPlan] | None = None

        def publish_once() -> PublishResult:
            nonlocal first
            head = self._read_head()
            plan = self._plan(files, head)
            if first is None:
                self._check_tag(tag, head.commit, plan)
                first = head.commit, plan
            commit = head.commit
            if not plan.is_empty:
                commit = self._commit(files, plan, head, uploads, message)
                self._check_commit(files, commit)
            return self._result(version, commit, first[1], changed=commit != first[0])

        with Uploads(self._client, self.revision) as uploads:
            try:
                return call_with_retry(publish_once, self._retry, _needs_new_plan)
            except _CommitUncertain as exc:
                reason = str(exc)
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
        script = root_script(self.repo)
        if script in head.tree:
            raise ConfigurationError(
                f"{self.repo} has a file {script}, because of which datasets 4 and later refuse to "
                "load it; delete or rename that file on the Hub first"
            )

        def is_same(file: PublishFile) -> bool:
            return _is_same(head.tree[file.path], file)

        plan = make_plan(files, head.tree, is_same, owned=self._owned(files, head))
        changes = len(plan.added) + len(plan.changed) + len(plan.deleted)
        after = {*head.tree, *plan.added}.difference(plan.deleted)
        self._limits.check_change(self.repo, changes, after)
        return plan

    def _owned(self, files: Sequence[PublishFile], head: _Head) -> frozenset[str]:
        """Return the paths that the last publication's manifest lists; other files stay."""
        known = {*_HUB_FILES, *(file.path for file in files)}
        if MANIFEST not in head.tree or head.tree.keys() <= known:
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
            _CommitUncertain: another writer has committed, or the response was lost, so that the
                commit may exist.
        """
        from huggingface_hub import CommitOperationDelete

        changed = {*plan.added, *plan.changed}
        additions = uploads.send([file for file in files if file.path in changed])
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
            is_uncertain = status_of(exc) in _CONFLICTS or is_transient(exc)
        # Outside the handler: the client's traceback could show the token.
        raise _CommitUncertain(str(error)) if is_uncertain else error

    def _check_commit(self, files: Sequence[PublishFile], commit: str) -> None:
        problems = self.verify(files, commit)
        if problems:
            raise HubError(
                f"{problems[0]}, right after its commit ({len(problems)} of {len(files)} files); "
                f"look at {self._url(commit)}, and publish again"
            )

    def _check_tag(self, tag: str, commit: str, plan: PublishPlan) -> None:
        """Refuse a chosen tag that names another revision: tags never move."""
        tagged = self._tags().get(tag) if tag else None
        if tagged is not None and (tagged != commit or not plan.is_empty):
            raise ConfigurationError(
                f"{self.repo}: the tag {tag!r} names {tagged[:12]} already, and tags never move; "
                "choose another"
            )

    def _tags(self) -> dict[str, str]:
        refs = self._client.call(
            "listing the tags", lambda api: api.list_repo_refs(self.repo, repo_type="dataset")
        )
        return {ref.name: ref.target_commit for ref in refs.tags}

    def _tag(self, tag: str, commit: str) -> str:
        """Tag a commit and return the tag; "" when the tag names another commit.

        The other commit has the same version, but for example another card.
        """
        tagged = self._tags().get(tag)
        if tagged is None:
            self._client.call(
                f"creating the tag {tag}",
                lambda api: api.create_tag(
                    self.repo, repo_type="dataset", tag=tag, revision=commit, exist_ok=True
                ),
            )
        return tag if tagged in (None, commit) else ""

    def _result(
        self, version: str, commit: str, plan: PublishPlan, *, changed: bool
    ) -> PublishResult:
        return PublishResult(
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


class _CommitUncertain(HubError):
    """A commit that may exist, or that another writer's commit preceded."""


def _needs_new_plan(exc: BaseException) -> bool:
    return isinstance(exc, _CommitUncertain)


def _is_same(entry: "RepoFile", file: PublishFile) -> bool:
    """Compare by hash: the Hub knows the sha256 of large files, and git's hash of small ones."""
    if entry.size != file.bytes:
        return False
    if entry.lfs is not None:
        return entry.lfs.sha256 == file.sha256
    return entry.blob_id == git_sha1(file)
