"""Where datasets live: one root, a folder per dataset, a folder per stage."""

import dagster as dg

from dataset_assets.errors import ConfigurationError
from dataset_assets.storage.store import Store, check_key, open_store


class StorageResource(dg.ConfigurableResource[Store]):
    """The store below which everything is written. Resource key: `storage`."""

    root: str
    """A folder, or a url that `dataset_assets.storage` understands, without credentials."""

    def store(self, *folders: str) -> Store:
        """Return the store of a folder; every name is one level down.

        Raises:
            ConfigurationError: a name is not the name of one folder.
        """
        store = open_store(self.root)
        for folder in folders:
            store = store.child(check_level(folder))
        return store

    def resolve(self, path: str) -> str:
        """Return an absolute path or url as it is, a relative one below the root."""
        if "://" in path or path.startswith("/"):
            return path
        return f"{open_store(self.root).url.rstrip('/')}/{path}"


def check_level(name: str) -> str:
    """Return a name that is exactly one level of a key.

    Raises:
        ConfigurationError: it has a separator, or would climb up.
    """
    if "/" in name:
        raise ConfigurationError(f"not a valid key: {name!r}; expected one name without '/'")
    return check_key(name)
