"""One object per asset or partition, at `<root>/<asset key>/[<partition>/]<file>`, on any store.

Writing is atomic, and skipped if the object already has the same bytes. An output is one value, or
`{partition: value}` if a run makes several partitions, which Dagster's own file IO managers refuse.
An input is one value, or `{partition: value}` if the parameter is annotated as a dict or several
partitions are loaded.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, get_origin

import dagster as dg

from dataset_assets.errors import ObjectMissing, ShardError, StorageError
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.storage.store import Store


class StoreIOManager(dg.ConfigurableIOManager):
    """Base class; subclasses convert between values and bytes."""

    storage: dg.ResourceDependency[StorageResource]

    file_name: ClassVar[str]

    @abstractmethod
    def dump(self, value: Any) -> bytes:
        """Serialize.

        Raises:
            StorageError: the IO manager does not accept values of this type.
        """

    @abstractmethod
    def read(self, store: Store) -> Any:
        """Read `file_name`.

        Raises:
            ObjectMissing: it does not exist.
            ShardError, ValueError, TypeError, KeyError: it is damaged.
        """

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write one value, or one per partition."""
        if not context.has_asset_partitions:
            self._write(self._store(context), obj)
            return
        keys = set(context.asset_partition_keys)
        if isinstance(obj, Mapping) and set(obj) == keys:
            for key in sorted(keys):
                self._write(self._store(context, key), obj[key])
        elif len(keys) == 1:
            self._write(self._store(context, *keys), obj)
        else:
            raise StorageError(
                f"{_name(context)}: expected {{partition: value}} for the partitions "
                f"{sorted(keys)}, got {_describe(obj)}"
            )

    def load_input(self, context: dg.InputContext) -> Any:
        """Read one value, or one per partition.

        Raises:
            Failure: it does not exist; the message says what to materialize. Not retried.
        """
        if not context.has_asset_partitions:
            return self._read(self._store(context), _name(context))
        keys = list(context.asset_partition_keys)
        values = {
            key: self._read(self._store(context, key), f"partition {key} of {_name(context)}")
            for key in keys
        }
        return values if len(keys) != 1 or _wants_dict(context) else values[keys[0]]

    def _store(self, context: dg.OutputContext | dg.InputContext, *partition: str) -> Store:
        return self.storage.store(*context.asset_key.path, *partition)

    def _write(self, store: Store, value: Any) -> None:
        data = self.dump(value)
        try:
            if store.read(self.file_name) == data:
                return
        except ObjectMissing:
            pass
        store.write(self.file_name, data)

    def _read(self, store: Store, name: str) -> Any:
        where = store.locate(self.file_name)
        try:
            return self.read(store)
        except ObjectMissing as exc:
            raise dg.Failure(
                f"{where} does not exist: materialize {name} first", allow_retries=False
            ) from exc
        except (ShardError, ValueError, TypeError, KeyError, RecursionError) as exc:
            raise dg.Failure(
                f"{where} is damaged ({exc}): materialize {name} again", allow_retries=False
            ) from exc


def _name(context: dg.OutputContext | dg.InputContext) -> str:
    return context.asset_key.to_user_string()


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"the partitions {sorted(map(str, value))}"
    return f"one {type(value).__name__}"


def _wants_dict(context: dg.InputContext) -> bool:
    annotation = context.dagster_type.typing_type
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, Mapping)
