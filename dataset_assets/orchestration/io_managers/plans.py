"""Plans of URL lists, `<dataset>/raw_urls/plan.json`.

The pipeline has already written them; the IO manager only confirms that.
"""

from typing import Any, ClassVar

from dataset_assets.errors import StorageError
from dataset_assets.orchestration.io_managers._base import StoreIOManager
from dataset_assets.records.plans import Plan
from dataset_assets.storage.store import Store


class PlanIOManager(StoreIOManager):
    """Passes a `Plan`. Resource key: `plans`."""

    file_name: ClassVar[str] = "plan.json"

    def dump(self, value: Any) -> bytes:
        """Serialize a plan."""
        if not isinstance(value, Plan):
            raise StorageError(f"expected a Plan, got {type(value).__name__}")
        return value.to_json()

    def read(self, store: Store) -> Plan:
        """Read a plan."""
        return Plan.from_json(store.read(self.file_name))
