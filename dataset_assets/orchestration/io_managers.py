"""IO managers: how assets pass values to each other. Nothing is pickled; shards never pass here.

A value is one object per asset or partition, at `<root>/<asset key>/[<partition>/]<file>`, on any
store. Writing is atomic, and skipped if the object already has the same bytes, as plans and
manifests do, which the pipelines write. An output is one value, or `{partition: value}` if a run
makes several partitions, which Dagster's own file IO managers refuse. An input is one value, or
`{partition: value}` if the parameter is annotated as a dict or several partitions are loaded.
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, get_origin

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.errors import ObjectMissing, ShardError, StorageError
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.pipelines.download.plan_urls import PLAN, load_plan
from dataset_assets.records.plans import Plan
from dataset_assets.records.shards import Manifest
from dataset_assets.records.typed_json import load_json
from dataset_assets.shards.commits import MANIFEST, read_manifest
from dataset_assets.storage.parquet import translate_parquet_errors
from dataset_assets.storage.store import Store


class StoreIOManager(dg.ConfigurableIOManager):
    """Base class; subclasses convert between values and bytes."""

    storage: dg.ResourceDependency[StorageResource]

    file_name: ClassVar[str]
    value_type: ClassVar[type] = object

    @abstractmethod
    def dump(self, value: Any) -> bytes:
        """Serialize a value of `value_type`.

        Raises:
            StorageError: the value cannot be serialized.
        """

    @abstractmethod
    def read(self, store: Store) -> Any:
        """Read `file_name`.

        Raises:
            ObjectMissing: it does not exist.
            ShardError, ValueError: it is damaged.
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
        if not isinstance(value, self.value_type):
            raise StorageError(f"expected a {self.value_type.__name__}, got {type(value).__name__}")
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
        except (ShardError, ValueError) as exc:
            raise dg.Failure(
                f"{where} is damaged ({exc}): materialize {name} again", allow_retries=False
            ) from exc


class PlanIOManager(StoreIOManager):
    """Passes the `Plan` of URL lists. Resource key: `plans`."""

    file_name = PLAN
    value_type = Plan

    def dump(self, value: Plan) -> bytes:
        """Serialize a plan."""
        return value.to_json()

    def read(self, store: Store) -> Plan:
        """Read a plan."""
        return load_plan(store)


class ManifestIOManager(StoreIOManager):
    """Passes the `Manifest` of a shard set. Resource key: `manifests`."""

    file_name = MANIFEST
    value_type = Manifest

    def dump(self, value: Manifest) -> bytes:
        """Serialize a manifest."""
        return value.to_json()

    def read(self, store: Store) -> Manifest:
        """Read a manifest."""
        return read_manifest(store)


class TableIOManager(StoreIOManager):
    """Passes a small `pyarrow.Table` that belongs to no shard set. Resource key: `tables`."""

    file_name = "table.parquet"
    value_type = pa.Table

    def dump(self, value: pa.Table) -> bytes:
        """Serialize a table as Parquet."""
        sink = pa.BufferOutputStream()
        pq.write_table(value, sink, compression="zstd")
        return bytes(sink.getvalue())

    def read(self, store: Store) -> pa.Table:
        """Read a table."""
        data = store.read(self.file_name)
        with translate_parquet_errors(store.locate(self.file_name)):
            return pq.read_table(pa.BufferReader(data))


class ValueIOManager(StoreIOManager):
    """Passes JSON values, the default for one-off assets. Resource key: `io_manager`."""

    file_name = "value.json"

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
        return load_json(store.read(self.file_name))


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
