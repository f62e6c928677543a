"""The Hub's API as the clients use it: repositories, commits, listings, refs."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlencode

from dataset_assets_tests.support._hub_repos import Change, Commit, Entry, Refused, Site, pointer
from dataset_assets_tests.support._hub_wire import Answer, Asked, Routes, as_json

ROUTES = Routes()
LFS_SUFFIXES = {
    *(
        ".parquet",
        ".arrow",
        ".tar",
        ".gz",
        ".tgz",
        ".zip",
        ".zst",
        ".bz2",
        ".xz",
        ".7z",
        ".bin",
        ".npy",
        ".npz",
        ".pt",
        ".pth",
        ".safetensors",
    ),
    *(
        ".jpg",
        ".jpeg",
        ".png",
        ".gif",
        ".bmp",
        ".tiff",
        ".webp",
        ".mp4",
        ".webm",
        ".wav",
        ".mp3",
        ".flac",
        ".ogg",
    ),
}
MAX_REGULAR_BYTES = 10 << 20
API = "/api/datasets/{repo}"


@ROUTES.on("GET", "/api/whoami-v2")
def whoami(site: Site, asked: Asked) -> Answer:
    role = site.sign_in(asked.token)
    if role is None:
        raise Refused(401, "Unauthorized")
    token = {"type": "access_token", "accessToken": {"displayName": "test", "role": role}}
    return as_json(
        {
            "type": "user",
            "id": "1",
            "name": "tester",
            "fullname": "Tester",
            "orgs": [{"name": "org", "type": "org"}],
            "auth": token,
        }
    )


@ROUTES.on("POST", "/api/validate-yaml")
def validate_yaml(site: Site, asked: Asked) -> Answer:
    return as_json({"errors": [], "warnings": []})


@ROUTES.on("POST", "/api/repos/create")
def create(site: Site, asked: Asked) -> Answer:
    site.sign_in(asked.token, write=True)
    wish = asked.json()
    if wish.get("type") != "dataset":
        raise Refused(400, f"This Hub keeps datasets only, not {wish.get('type') or 'model'}s")
    repo_id = _repo_id(wish)
    url = {"url": f"{site.url}/datasets/{repo_id}"}
    try:
        site.create(
            repo_id, private=wish.get("visibility") == "private" or bool(wish.get("private"))
        )
    except Refused as refused:
        return as_json({"error": refused.message, **url}, refused.status)
    return as_json({**url, "name": repo_id, "id": "1"})


@ROUTES.on("DELETE", "/api/repos/delete")
def delete(site: Site, asked: Asked) -> Answer:
    site.open(_repo_id(asked.json()), asked.token, write=True)
    del site.repos[_repo_id(asked.json())]
    return as_json({})


@ROUTES.on("PUT", API + "/settings")
def settings(site: Site, asked: Asked, repo_id: str) -> Answer:
    repo = site.open(repo_id, asked.token, write=True)
    wish = asked.json()
    repo.private = (
        wish.get("visibility", "private" if wish.get("private") else "public") == "private"
    )
    return as_json({"private": repo.private})


@ROUTES.on("GET", API + "(?:/revision/{revision})?")
def info(site: Site, asked: Asked, repo_id: str, revision: str) -> Answer:
    repo = site.open(repo_id, asked.token)
    commit = repo.resolve(revision or "main")
    siblings = [
        _sibling(path, entry, blobs="blobs" in asked.query)
        for path, entry in sorted(commit.tree.items())
    ]
    about = {
        "_id": "1",
        "id": repo_id,
        "author": repo_id.partition("/")[0],
        "sha": commit.oid,
        "private": repo.private,
        "siblings": siblings,
    }
    dates = {"lastModified": commit.date, "createdAt": commit.date}
    return as_json(
        {
            **about,
            **dates,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
        }
    )


@ROUTES.on("POST", API + "/preupload/{revision}")
def preupload(site: Site, asked: Asked, repo_id: str, revision: str) -> Answer:
    tree = site.open(repo_id, asked.token, write=True).resolve(revision).tree
    return as_json(
        {
            "files": [
                _preupload_answer(file, tree.get(file["path"])) for file in asked.json()["files"]
            ]
        }
    )


@ROUTES.on("POST", API + "/commit/{branch}")
def commit(site: Site, asked: Asked, repo_id: str, branch: str) -> Answer:
    repo = site.open(repo_id, asked.token, write=True)
    if asked.query.get("create_pr"):
        raise Refused(400, "This Hub has no pull requests")
    oid = repo.commit(branch, _read_change(site, asked.body)).oid
    return as_json(
        {
            "success": True,
            "commitOid": oid,
            "commitUrl": f"{site.url}/datasets/{repo_id}/commit/{oid}",
            "hookOutput": "",
        }
    )


@ROUTES.on("GET", API + "/tree/{revision}(?:/(.+))?")
def tree(site: Site, asked: Asked, repo_id: str, revision: str, folder: str) -> Answer:
    commit = site.open(repo_id, asked.token).resolve(revision)
    prefix = folder.rstrip("/") + "/" if folder else ""
    below = {path: entry for path, entry in commit.tree.items() if path.startswith(prefix)}
    if prefix and not below:
        raise Refused(404, f'{folder} does not exist on "{revision}"', "EntryNotFound")
    deep = _is_true(asked.query.get("recursive"))
    items = {
        path: _file(path, entry, commit, asked.query.get("expand"))
        for path, entry in below.items()
        if deep or "/" not in path[len(prefix) :]
    }
    for path in below:
        parents = [
            str(parent)
            for parent in PurePosixPath(path).parents
            if str(parent).startswith(prefix) and str(parent) != "."
        ]
        items |= {parent: _folder(parent) for parent in (parents if deep else parents[-1:])}
    return _page(site, asked, [items[path] for path in sorted(items)])


@ROUTES.on("POST", API + "/paths-info/{revision}")
def paths_info(site: Site, asked: Asked, repo_id: str, revision: str) -> Answer:
    commit = site.open(repo_id, asked.token).resolve(revision)
    form = (
        asked.json()
        if "json" in (asked.headers["Content-Type"] or "")
        else parse_qs(asked.body.decode())
    )
    expand = str(form.get("expand", "")).strip("[]'")
    found = []
    for path in form.get("paths", []):
        if path in commit.tree:
            found.append(_file(path, commit.tree[path], commit, expand))
        elif any(name.startswith(path.rstrip("/") + "/") for name in commit.tree):
            found.append(_folder(path))
    return as_json(found)


@ROUTES.on("GET", API + "/commits/{revision}")
def commits(site: Site, asked: Asked, repo_id: str, revision: str) -> Answer:
    history = site.open(repo_id, asked.token).history(revision)
    authors = [{"user": "tester"}]
    items = [
        {
            "id": one.oid,
            "title": one.title,
            "message": one.message,
            "authors": authors,
            "date": one.date,
        }
        for one in history
    ]
    return _page(site, asked, items)


@ROUTES.on("GET", API + "/refs")
def refs(site: Site, asked: Asked, repo_id: str) -> Answer:
    repo = site.open(repo_id, asked.token)
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
        for name, oid in repo.branches.items()
    ]
    tags = [
        {"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid}
        for name, oid in repo.tags.items()
    ]
    return as_json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})


@ROUTES.on("POST", API + "/branch/{branch}")
def create_branch(site: Site, asked: Asked, repo_id: str, branch: str) -> Answer:
    repo = site.open(repo_id, asked.token, write=True)
    if branch in repo.branches:
        raise Refused(409, "Reference already exists")
    repo.branches[branch] = repo.resolve(asked.json().get("startingPoint") or "main").oid
    return as_json({})


@ROUTES.on("DELETE", API + "/branch/{branch}")
def delete_branch(site: Site, asked: Asked, repo_id: str, branch: str) -> Answer:
    return _delete_ref(site.open(repo_id, asked.token, write=True).branches, branch)


@ROUTES.on("POST", API + "/tag/{revision}")
def create_tag(site: Site, asked: Asked, repo_id: str, revision: str) -> Answer:
    repo = site.open(repo_id, asked.token, write=True)
    name = asked.json()["tag"]
    if name in repo.tags:
        raise Refused(409, "Tag reference exists already")
    repo.tags[name] = repo.resolve(revision).oid
    return as_json({})


@ROUTES.on("DELETE", API + "/tag/{tag}")
def delete_tag(site: Site, asked: Asked, repo_id: str, tag: str) -> Answer:
    return _delete_ref(site.open(repo_id, asked.token, write=True).tags, tag)


@ROUTES.on("POST", API + "/super-squash/{branch}")
def super_squash(site: Site, asked: Asked, repo_id: str, branch: str) -> Answer:
    repo = site.open(repo_id, asked.token, write=True)
    repo.put(
        branch, asked.json().get("message") or "Super-squash", "", repo.resolve(branch).tree, None
    )
    return as_json({})


def _repo_id(wish: dict[str, Any]) -> str:
    return f"{wish.get('organization') or 'tester'}/{wish['name']}"


def _is_true(value: str | None) -> bool:
    return (value or "").lower() in {"true", "1"}


def _lfs(entry: Entry) -> dict[str, object]:
    return {"size": entry.size, "pointerSize": len(pointer(entry.etag, entry.size))}


def _sibling(path: str, entry: Entry, *, blobs: bool) -> dict[str, object]:
    if not blobs:
        return {"rfilename": path}
    about = {"rfilename": path, "size": entry.size, "blobId": entry.oid}
    return about | ({"lfs": {"sha256": entry.sha256, **_lfs(entry)}} if entry.sha256 else {})


def _file(path: str, entry: Entry, commit: Commit, expand: str | None) -> dict[str, object]:
    about: dict[str, object] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.sha256:
        about["lfs"] = {"oid": entry.sha256, **_lfs(entry)}
    if entry.xet:
        about["xetHash"] = entry.xet
    if _is_true(expand):
        about["lastCommit"] = {"id": commit.oid, "title": commit.title, "date": commit.date}
        about["securityFileStatus"] = {"status": "safe", "avScan": None, "pickleImportScan": None}
    return about


def _folder(path: str) -> dict[str, object]:
    return {
        "type": "directory",
        "oid": hashlib.sha1(path.encode()).hexdigest(),
        "size": 0,
        "path": path,
    }


def _preupload_answer(file: dict[str, Any], present: Entry | None) -> dict[str, object]:
    binary = b"\0" in base64.b64decode(file["sample"])
    lfs = (
        binary
        or file["size"] > MAX_REGULAR_BYTES
        or PurePosixPath(file["path"]).suffix.lower() in LFS_SUFFIXES
    )
    about: dict[str, object] = {
        "path": file["path"],
        "uploadMode": "lfs" if lfs else "regular",
        "shouldIgnore": False,
    }
    return about | ({"oid": present.etag} if present else {})


def _read_change(site: Site, body: bytes) -> Change:
    """Parse a commit: one JSON object per line."""
    change = Change()
    for line in body.decode().splitlines():
        key, value = (operation := json.loads(line))["key"], operation["value"]
        if key == "header":
            change.title, change.message = value["summary"], value.get("description") or ""
            change.parent = value.get("parentCommit")
        elif key == "file":
            change.added[value["path"]] = site.contents.add_blob(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            change.added[value["path"]] = site.contents.lfs_entry(value["oid"], value.get("size"))
        elif key in {"deletedFile", "deletedFolder"}:
            change.deleted.append(
                value["path"].rstrip("/") + ("/" if key == "deletedFolder" else "")
            )
        else:
            raise Refused(400, f"A commit cannot hold {key}")
    return change


def _page(site: Site, asked: Asked, items: Sequence[object]) -> Answer:
    """Respond with a page of a list and a link to the next page."""
    start = int(asked.query.get("cursor", 0))
    end = start + min(site.page_size, int(asked.query.get("limit", site.page_size)))
    more = {}
    if end < len(items):
        query = urlencode({**asked.query, "cursor": end})
        more["Link"] = f'<{site.url}{asked.path}?{query}>; rel="next"'
    return as_json(list(items[start:end]), headers=more)


def _delete_ref(refs: dict[str, str], name: str) -> Answer:
    if refs.pop(name, None) is None:
        raise Refused(404, f"Invalid rev id: {name}", "RevisionNotFound")
    return as_json({})
