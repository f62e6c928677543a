"""Manifests of shard sets, `<dataset>/<stage>/<partition>/manifest.json`.

The pipelines have already written them; the IO manager only confirms that.
"""

from typing import Any, ClassVar

from dataset_assets.errors import StorageError
from dataset_assets.orchestration.io_managers._base import StoreIOManager
from dataset_assets.records.shards import Manifest
from dataset_assets.shards.commits import MANIFEST, read_manifest
from dataset_assets.storage.store import Store


class ManifestIOManager(StoreIOManager):
    """Passes a `Manifest`. Resource key: `manifests`."""

    file_name: ClassVar[str] = MANIFEST

    def dump(self, value: Any) -> bytes:
        """Serialize a manifest."""
        if not isinstance(value, Manifest):
            raise StorageError(f"expected a Manifest, got {type(value).__name__}")
        return value.to_json()

    def read(self, store: Store) -> Manifest:
        """Read a manifest."""
        return read_manifest(store)
