"""Plain JSON values, the default for one-off assets in a catalog: `<asset key>/[<partition>/]value.json`."""

import json
from typing import Any, ClassVar

from dataset_assets.errors import StorageError
from dataset_assets.orchestration.io_managers._base import StoreIOManager
from dataset_assets.storage.store import Store


class ValueIOManager(StoreIOManager):
    """Passes what JSON can say. Resource key: `io_manager`."""

    file_name: ClassVar[str] = "value.json"

    def dump(self, value: Any) -> bytes:
        """See `StoreIOManager`."""
        try:
            return json.dumps(value, indent=1, ensure_ascii=False).encode(
                "utf-8", "backslashreplace"
            )
        except (TypeError, ValueError) as exc:
            raise StorageError(
                f"expected a JSON value, got {type(value).__name__}: {exc}; nothing is pickled here, return a path or a table"
            ) from exc

    def read(self, store: Store) -> Any:
        """See `StoreIOManager`."""
        return json.loads(store.read(self.file_name))
