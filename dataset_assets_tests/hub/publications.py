"""Small files to publish."""

import json
from hashlib import sha256
from random import Random

from dataset_assets.records.publications import PublishFile


def stored(store, path, data):
    store.write(path, data, durable=False)
    return PublishFile(
        path=path, bytes=len(data), sha256=sha256(data).hexdigest(), store_url=store.url
    )


def made(path, text):
    data = text.encode()
    return PublishFile(path=path, bytes=len(data), sha256=sha256(data).hexdigest(), text=text)


def small_publication(store, *, seed=0, tables=3):
    """Return tables and archives of every split, a card and a manifest.

    Another seed gives other bytes in the same paths.
    """
    random = Random(seed)
    splits = ("train", "validation", "test")
    names = [
        f"data/{split}-{number:05d}-of-{tables:05d}.parquet"
        for split in splits
        for number in range(tables)
    ]
    found = [stored(store, name, random.randbytes(2000)) for name in names]
    found += [
        stored(store, f"archives/{split}-00000-of-00001.tar", random.randbytes(3000))
        for split in splits
    ]
    manifest = {"seed": seed, "files": [{"name": file.path} for file in found]}
    return [
        *found,
        made("README.md", f"---\nlicense: mit\n---\n# Version {seed}\n"),
        made("manifest.json", json.dumps(manifest)),
    ]


def hashes(files):
    return {file.path: file.sha256 for file in files}
