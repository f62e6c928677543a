"""Content of files on the Hub of the tests: LFS uploads, Xet tokens, downloads."""

import hashlib
import re

from dataset_assets_tests.support._hub_repos import Entry, Refused, Site
from dataset_assets_tests.support._hub_wire import Answer, Asked, Routes, as_json

ROUTES = Routes()
LFS_JSON = {"Content-Type": "application/vnd.git-lfs+json"}


@ROUTES.on("POST", "/datasets/{repo}.git/info/lfs/objects/batch")
def lfs_batch(site: Site, asked: Asked, repo_id: str) -> Answer:
    site.open(repo_id, asked.token, write=True)
    wish = asked.json()
    known = wish.get("transfers", [])
    if (
        site.contents.xet is not None and "xet" in known
    ):  # older clients ask here; newer ones go to Xet at once
        return as_json(
            {
                "transfer": "xet",
                "objects": [{"oid": one["oid"], "size": one["size"]} for one in wish["objects"]],
            },
            headers=LFS_JSON,
        )
    multipart = site.multipart_over is not None and "multipart" in known
    objects = [
        _lfs_object(site, one["oid"], one["size"], multipart=multipart) for one in wish["objects"]
    ]
    return as_json({"transfer": "basic", "objects": objects}, headers=LFS_JSON)


def _lfs_object(site: Site, oid: str, size: int, *, multipart: bool) -> dict[str, object]:
    """Respond with the upload URL of an object, or none when it is already stored."""
    about: dict[str, object] = {"oid": oid, "size": size}
    if site.contents.has_lfs(oid):
        return about
    here = f"{site.url}/lfs/{oid}"
    upload: dict[str, object] = {"href": here}
    if multipart and size > (site.multipart_over or 0):
        count = -(-size // site.part_bytes)
        parts = {str(number): f"{here}/part/{number}" for number in range(1, count + 1)}
        upload = {
            "href": f"{here}/complete",
            "header": {"chunk_size": str(site.part_bytes), **parts},
        }
    return {**about, "actions": {"upload": upload, "verify": {"href": f"{here}/verify"}}}


@ROUTES.on("PUT", "/lfs/{oid}")
def lfs_put(site: Site, asked: Asked, oid: str) -> Answer:
    site.contents.add_lfs(oid, asked.body)
    return Answer()


@ROUTES.on("PUT", "/lfs/{oid}/part/{number}")
def lfs_part(site: Site, asked: Asked, oid: str, number: str) -> Answer:
    site.parts.setdefault(oid, {})[int(number)] = asked.body
    return Answer(headers={"ETag": f'"{hashlib.md5(asked.body).hexdigest()}"'})


@ROUTES.on("POST", "/lfs/{oid}/complete")
def lfs_complete(site: Site, asked: Asked, oid: str) -> Answer:
    parts = site.parts.get(oid, {})
    numbers = [part["partNumber"] for part in asked.json()["parts"]]
    if not set(numbers) <= set(parts):
        raise Refused(400, f"parts {sorted(set(numbers) - set(parts))} have not come")
    site.contents.add_lfs(oid, b"".join(parts[number] for number in numbers))
    del site.parts[oid]
    return as_json({})


@ROUTES.on("POST", "/lfs/{oid}/verify")
def lfs_verify(site: Site, asked: Asked, oid: str) -> Answer:
    site.sign_in(asked.token, write=True)
    site.contents.lfs_entry(oid, asked.json()["size"])
    return as_json({})


@ROUTES.on("GET", "/api/datasets/{repo}/xet-(read|write)-token/{revision}")
def xet_token(site: Site, asked: Asked, repo_id: str, right: str, revision: str) -> Answer:
    site.open(repo_id, asked.token, write=right == "write")
    if site.contents.xet is None:
        raise Refused(404, "This Hub has no Xet")
    body, headers = site.contents.xet.token()
    return as_json(body, headers=headers)


@ROUTES.on("GET", "/datasets/{repo}/resolve/{revision}/(.+)")
def resolve(site: Site, asked: Asked, repo_id: str, revision: str, path: str) -> Answer:
    commit = site.open(repo_id, asked.token).resolve(revision)
    entry = commit.tree.get(path)
    if entry is None:
        raise Refused(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.oid})
    headers = {
        "X-Repo-Commit": commit.oid,
        "ETag": f'"{entry.etag}"',
        "X-Linked-Etag": f'"{entry.etag}"',
        "X-Linked-Size": str(entry.size),
    }
    headers |= {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    if entry.xet:
        headers |= {
            "X-Xet-Hash": entry.xet,
            "X-Xet-Refresh-Route": f"{site.url}/api/datasets/{repo_id}/xet-read-token/{commit.oid}",
        }
    return _range(site, asked, entry, headers)


def _range(site: Site, asked: Asked, entry: Entry, headers: dict[str, str]) -> Answer:
    """Respond with a file or the requested range of it."""
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.headers["Range"] or "")
    file = site.contents.path(entry) if asked.method == "GET" else None
    if wanted is None or wanted[0] == "bytes=-":
        return Answer(headers=headers, file=file, size=entry.size)
    first, last = wanted[1], wanted[2]
    start = int(first) if first else max(0, entry.size - int(last))
    end = min(entry.size, int(last) + 1) if first and last else entry.size
    if start >= end:
        return Answer(status=416, headers={**headers, "Content-Range": f"bytes */{entry.size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    return Answer(status=206, headers=headers, file=file, start=start, size=end - start)
