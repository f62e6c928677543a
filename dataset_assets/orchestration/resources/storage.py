"""Where datasets are stored: one root, with a folder per dataset and stage."""

import dagster as dg

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.store import Store, check_key, open_store


class StorageResource(dg.ConfigurableResource[Store]):
    """The root store. Resource key: `storage`."""

    root: str
    """A folder, or a URL that `dataset_assets.storage` can open, without credentials."""

    def store(self, *folders: str) -> Store:
        """Return the store of a folder; each name is one level.

        Raises:
            ConfigurationError: a name is not that of one folder.
        """
        store = open_store(self.root)
        for folder in folders:
            store = store.child(check_level(folder))
        return store

    def resolve(self, path: str) -> str:
        """Return an absolute path or URL unchanged, a relative path below the root."""
        if "://" in path or path.startswith("/"):
            return path
        return f"{open_store(self.root).url.rstrip('/')}/{path}"


def check_level(name: str) -> str:
    """Return a name that is exactly one level of a key.

    Raises:
        ConfigurationError: it has a separator, or is `..`.
    """
    if "/" in name:
        raise ConfigurationError(f"key: expected one name without '/', got {name!r}")
    return check_key(name)
