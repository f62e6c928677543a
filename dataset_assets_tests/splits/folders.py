"""Stores with a few tiny files in them, on a disk and elsewhere."""

import itertools

from dataset_assets.storage.store import open_store

_NUMBERS = itertools.count()


def local_store(tmp_path, files):
    for key, data in files.items():
        path = tmp_path / "source" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return open_store(str(tmp_path / "source"))


def memory_store(tmp_path, files):
    store = open_store(f"memory://{tmp_path.name}-{next(_NUMBERS)}/source")
    for key, data in files.items():
        store.write(key, data)
    return store


STORES = {"local": local_store, "memory": memory_store}
