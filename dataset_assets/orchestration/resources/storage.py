"""Where datasets are stored: one root, with a folder per dataset and stage."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.environment import read_environment
from dataset_assets.orchestration.run_locks import end_dead_runs, hold_run
from dataset_assets.storage.store import Store, check_key, open_store


class StorageResource(dg.ConfigurableResource[Store]):
    """The root store. Resource key: `storage`."""

    root: str
    """A folder, or a URL that `dataset_assets.storage` can open, without credentials."""

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Store]:
        """Show that the run has a process, and end runs that have none, before it takes a slot."""
        instance, run = context.instance, context.run
        if instance is None or run is None or read_environment().executor != "in_process":
            yield self.create_resource(context)
            return
        end_dead_runs(instance)
        with hold_run(instance, run.run_id):
            yield self.create_resource(context)

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
