"""A local Hugging Face Hub for tests: what the real clients need to publish and read a dataset.

    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)    # or subprocess.run(..., env=os.environ | hub.environment())
        hub.fault("POST", "/commit/", after=True)
        ...
        hub.files("org/name"), hub.commits("org/name"), hub.log

Content is uploaded with LFS, in one piece or (`multipart_over`) in parts; with `xet=True` to a Xet
store in a folder, by the real `hf_xet`. The server does what the clients accept: which files are
LFS, the texts of errors and the commit ids are its own. It knows two tokens: `token`, and
`read_token`, which cannot write. It holds datasets only.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dataset_assets_tests.support import _hub_api, _hub_files
from dataset_assets_tests.support._hub_repos import Change, Commit, Contents, Entry, Site
from dataset_assets_tests.support._hub_wire import Fault, Routes, Seen, Server
from dataset_assets_tests.support._hub_xet import XetStore


class HubServer:
    """A running Hub, with its repositories in a folder."""

    def __init__(
        self,
        folder: Path,
        *,
        xet: bool = False,
        token: str = "hf_test",
        read_token: str = "hf_read",
        page_size: int = 1000,
        multipart_over: int | None = None,  # bytes
    ) -> None:
        self.folder, self.token, self.xet = Path(folder), token, xet
        contents = Contents(self.folder, XetStore(self.folder / "cas") if xet else None)
        self._site = Site(contents, {token: "write", read_token: "read"}, page_size, multipart_over)
        self._server = Server(
            self._site, Routes([*_hub_api.ROUTES, *_hub_files.ROUTES]), (token, read_token)
        )
        self.url = self._site.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.stop()
        if kind is None and self._server.errors:
            raise AssertionError("the Hub of the tests failed:\n" + "\n".join(self._server.errors))

    # What happened

    @property
    def seen(self) -> list[Seen]:
        """Every request so far. `status` is 0 when the response was not sent completely."""
        return list(self._server.seen)

    @property
    def log(self) -> list[tuple[str, str, int]]:
        """Every request so far: method, decoded path without query, status."""
        return [(one.method, one.path, one.status) for one in self.seen]

    @property
    def leaks(self) -> list[str]:
        """Requests that carried a known token anywhere but in `Authorization`."""
        return list(self._server.leaks)

    def count(self, method: str, regex: str, *, signed: bool | None = None) -> int:
        """Count the requests whose method and path match regular expressions.

        `signed` counts only those with a token, or without.
        """
        return sum(
            bool(re.fullmatch(method, one.method) and re.search(regex, one.path))
            and signed in {None, one.signed}
            for one in self._server.seen
        )

    def forget(self) -> None:
        """Clear the log."""
        self._server.seen.clear()

    # What goes wrong

    def fault(self, method: str, regex: str, times: int = 1, **how: Any) -> Fault:
        """Inject a fault into the next `times` requests whose method and path match.

        The returned fault's `.times` is the number of requests that it will still affect.

        Args:
            method: regular expression for the whole method.
            regex: regular expression for a part of the decoded path.
            times: number of requests.
            **how: status, headers: return these without doing anything. close: abort the connection
                before doing anything. after: do it, then abort the connection. cut_after: send a
                number of bytes of the response, then abort the connection, or with fin close it.
                delay_s: wait first. action: call this first.
        """
        fault = Fault(method, regex, times, **how)
        self._server.faults.append(fault)
        return fault

    def tamper(self, repo_id: str, path: str, data: bytes, *, lfs: bool | None = None) -> None:
        """Change a file of the head commit without changing the commit's id."""
        with self._server.lock:
            tree = self._site.repos[repo_id].resolve("main").tree
            old = tree.get(path)
            as_lfs = (old is not None and old.sha256 is not None) if lfs is None else lfs
            tree[path] = self._add(data, lfs=as_lfs)

    # What is there

    def create(self, repo_id: str, *, private: bool = False) -> None:
        """Create a repository."""
        with self._server.lock:
            self._site.create(repo_id, private=private)

    def write(
        self,
        repo_id: str,
        files: Mapping[str, bytes | None],
        *,
        title: str = "Someone else",
        lfs: bool = False,
    ) -> str:
        """Commit to main as another writer; None deletes a file. Returns the commit id."""
        added = {path: self._add(data, lfs=lfs) for path, data in files.items() if data is not None}
        change = Change(
            title, added=added, deleted=[path for path, data in files.items() if data is None]
        )
        with self._server.lock:
            return self._site.repos[repo_id].commit("main", change).oid

    def repositories(self) -> dict[str, bool]:
        """Return whether each repository is private."""
        return {repo.id: repo.private for repo in self._site.repos.values()}

    def commits(self, repo_id: str, revision: str = "main") -> list[Commit]:
        """Return the commits of a revision (`.oid`, `.title`, `.message`), the last first."""
        return list(self._site.repos[repo_id].history(revision))

    def branches(self, repo_id: str) -> dict[str, str]:
        """Return branch -> commit id."""
        return dict(self._site.repos[repo_id].branches)

    def tags(self, repo_id: str) -> dict[str, str]:
        """Return tag -> commit id."""
        return dict(self._site.repos[repo_id].tags)

    def files(self, repo_id: str, revision: str = "main") -> dict[str, str]:
        """Return path -> sha256 of the content, in the order of the paths."""
        return {
            path: self._sha256(entry)
            for path, entry in sorted(self._site.repos[repo_id].resolve(revision).tree.items())
        }

    def read(self, repo_id: str, path: str, revision: str = "main") -> bytes:
        """Return a file's content."""
        entry = self._site.repos[repo_id].resolve(revision).tree[path]
        return self._site.contents.path(entry).read_bytes()

    def _add(self, data: bytes, *, lfs: bool) -> Entry:
        contents = self._site.contents
        return (
            contents.add_lfs(hashlib.sha256(data).hexdigest(), data)
            if lfs
            else contents.add_blob(data)
        )

    def _sha256(self, entry: Entry) -> str:
        return (
            entry.sha256 or hashlib.sha256(self._site.contents.path(entry).read_bytes()).hexdigest()
        )

    # How clients find it

    def environment(self, *, signed_in: bool = True) -> dict[str, str]:
        """Return environment variables for a process that uses this Hub.

        The process writes below the folder only.
        """
        home = self.folder / "home"
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": self.token if signed_in else "",
            "HF_HOME": str(home),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_ASSETS_CACHE": str(home / "assets"),
            "HF_XET_CACHE": str(home / "xet"),
            "HF_DATASETS_CACHE": str(home / "datasets"),
            "HF_DATASETS_DOWNLOADED_DATASETS_PATH": str(home / "datasets" / "downloads"),
            "HF_DATASETS_EXTRACTED_DATASETS_PATH": str(
                home / "datasets" / "downloads" / "extracted"
            ),
            "HF_MODULES_CACHE": str(home / "modules"),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "0" if self.xet else "1",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }


def in_process(monkeypatch: Any, hub: HubServer, *, signed_in: bool = True) -> HubServer:
    """Make the clients in this process use `hub` until the test ends.

    They read the environment only once, when they are imported.
    """
    environment = hub.environment(signed_in=signed_in)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    import datasets
    import huggingface_hub
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _xet

    huggingface_hub.close_session()
    huggingface_hub.HfFileSystem.clear_instance_cache()
    for name in ("HF_HOME", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE"):
        monkeypatch.setattr(constants, name, environment[name])
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        hub.url + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(
        constants, "HF_STORED_TOKENS_PATH", os.path.join(environment["HF_HOME"], "stored_tokens")
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not hub.xet)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(hf_api.api, "endpoint", hub.url)
    monkeypatch.setattr(_xet, "XET_CONNECTION_INFO_CACHE", {})  # keyed by URL, and ports are reused
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.url)
    monkeypatch.setattr(
        datasets.config,
        "HUB_DATASETS_URL",
        hub.url + "/datasets/{repo_id}/resolve/{revision}/{path}",
    )
    for name in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE"):
        monkeypatch.setattr(datasets.config, name, Path(environment[name]))
    monkeypatch.setattr(
        datasets.config,
        "DOWNLOADED_DATASETS_PATH",
        Path(environment["HF_DATASETS_DOWNLOADED_DATASETS_PATH"]),
    )
    monkeypatch.setattr(
        datasets.config,
        "EXTRACTED_DATASETS_PATH",
        Path(environment["HF_DATASETS_EXTRACTED_DATASETS_PATH"]),
    )
    # Otherwise it asks a second host.
    monkeypatch.setattr(datasets.config, "USE_PARQUET_EXPORT", False)
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
    monkeypatch.setattr(datasets.config, "STREAMING_READ_RETRY_INTERVAL", 0)
    return hub
