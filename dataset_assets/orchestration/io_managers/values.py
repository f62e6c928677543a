"""JSON values, the default for one-off assets: `<asset key>/[<partition>/]value.json`."""

import json
from typing import Any, ClassVar

from dataset_assets.errors import StorageError
from dataset_assets.orchestration.io_managers._base import StoreIOManager
from dataset_assets.storage.store import Store


class ValueIOManager(StoreIOManager):
    """Passes JSON values. Resource key: `io_manager`."""

    file_name: ClassVar[str] = "value.json"

    def dump(self, value: Any) -> bytes:
        """Serialize a value as JSON."""
        try:
            text = json.dumps(value, indent=1, ensure_ascii=False)
        except (TypeError, ValueError) as exc:
            raise StorageError(
                f"expected a JSON value, got {type(value).__name__}: {exc}; return a path or a "
                "table, because nothing is pickled"
            ) from exc
        return text.encode("utf-8", "backslashreplace")

    def read(self, store: Store) -> Any:
        """Read a value."""
        return json.loads(store.read(self.file_name))
