"""IO managers, alone and as Dagster uses them: plain, partitioned, and with mapped partitions."""

import json

import dagster as dg
import pyarrow as pa
import pytest

from dataset_assets.errors import ConfigurationError, StorageError
from dataset_assets.orchestration.io_managers import (
    ManifestIOManager,
    PlanIOManager,
    TableIOManager,
    ValueIOManager,
)
from dataset_assets.orchestration.resources.storage import StorageResource
from dataset_assets.records.plans import Plan, PlanPart
from dataset_assets.records.shards import Manifest, ShardFile, ShardRecord

ANY = dg.PythonObjectDagsterType(object, name="anything")
KEY = dg.AssetKey(["set", "stage"])
SPLITS = dg.StaticPartitionsDefinition(["train", "test"])
RECORD = ShardRecord(
    3,
    2,
    1,
    0,
    0.0,
    0.0,
    0.0,
    {},
    "00000",
    0,
    "f",
    {"opt_out": 1},
    (ShardFile("00000.tar", 5, "aa"),),
)
VALUES = {
    PlanIOManager: Plan(
        10,
        64,
        ("url",),
        has_caption=False,
        parts=(PlanPart("list", "f", 7, 0, 1, ("part.parquet",), 9, ("a",)),),
    ),
    ManifestIOManager: Manifest((RECORD,), "f", "webdataset"),
    TableIOManager: pa.table({"key": ["a", "b"], "size": [1, 2]}),
    ValueIOManager: {"list": [1, 2.5, None], "text": "é"},
}


@pytest.fixture(params=["local", "memory"])
def storage(request, tmp_path):
    return StorageResource(
        root=str(tmp_path) if request.param == "local" else f"memory://{tmp_path}"
    )


@pytest.fixture(params=VALUES, ids=lambda manager: manager.__name__)
def manager(request, storage):
    return request.param(storage=storage)


def _read(manager, **context):
    output = dg.build_output_context(asset_key=KEY)
    return manager.load_input(
        dg.build_input_context(asset_key=KEY, upstream_output=output, dagster_type=ANY, **context)
    )


def test_value_comes_back_when_it_was_written(manager):
    value = VALUES[type(manager)]
    manager.handle_output(dg.build_output_context(asset_key=KEY), value)
    assert _read(manager) == value


def test_value_of_a_partition_comes_back_when_it_was_written(manager):
    value = VALUES[type(manager)]
    manager.handle_output(
        dg.build_output_context(asset_key=KEY, partition_key="train", asset_partitions_def=SPLITS),
        value,
    )
    assert (
        _read(
            manager,
            asset_partition_key_range=dg.PartitionKeyRange("train", "train"),
            asset_partitions_def=SPLITS,
        )
        == value
    )


def test_missing_value_is_named_with_what_to_materialize_when_read(manager):
    with pytest.raises(
        dg.Failure,
        match=f"set.stage.{manager.file_name} does not exist: materialize set/stage first",
    ) as caught:
        _read(manager)
    assert not caught.value.allow_retries


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\x80\x04\x95cposix\nsystem\n(S'touch poisoned'\ntR.",
        b'{"a":',
        b"[" * 100_000,
        b"null",
        b"{}",
    ],
)
def test_foreign_bytes_are_refused_and_never_run_when_read(manager, poison, tmp_path, monkeypatch):
    if isinstance(manager, ValueIOManager) and poison in (b"null", b"{}"):
        return  # these are values
    monkeypatch.chdir(tmp_path)
    manager.storage.store("set", "stage").write(manager.file_name, poison)
    with pytest.raises(dg.Failure, match=r"is damaged .*: materialize set/stage again"):
        _read(manager)
    assert not (tmp_path / "poisoned").exists()


def test_value_of_another_kind_is_refused_when_written(storage):
    for kind in VALUES:
        with pytest.raises(StorageError, match="expected a "):
            kind(storage=storage).handle_output(dg.build_output_context(asset_key=KEY), object())


@pytest.mark.parametrize("level", ["../../x", "a/b", "..", ".", "", "a\\b", "nul\0"])
def test_key_that_leaves_its_folder_is_refused_when_written(tmp_path, level):
    manager = ValueIOManager(storage=StorageResource(root=str(tmp_path / "root")))
    with pytest.raises(ConfigurationError, match="key: expected (relative parts|one name)"):
        manager.handle_output(dg.build_output_context(asset_key=dg.AssetKey(["set", level])), 1)
    assert list(tmp_path.iterdir()) == []


def test_escaped_dots_are_only_letters_when_they_are_a_key(tmp_path):
    manager = ValueIOManager(storage=StorageResource(root=str(tmp_path / "root")))
    manager.handle_output(dg.build_output_context(asset_key=dg.AssetKey(["set", "%2e%2e"])), 1)
    assert (tmp_path / "root" / "set" / "%2e%2e" / "value.json").read_text() == "1"


def test_old_value_stays_readable_when_writing_is_interrupted(tmp_path, monkeypatch):
    manager = ValueIOManager(storage=StorageResource(root=str(tmp_path)))
    manager.handle_output(dg.build_output_context(asset_key=KEY), "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        manager.handle_output(dg.build_output_context(asset_key=KEY), "new")
    assert _read(manager) == "old"


def test_nothing_is_written_when_the_same_value_is_there(tmp_path):
    manager = ValueIOManager(storage=StorageResource(root=str(tmp_path)))
    manager.handle_output(dg.build_output_context(asset_key=KEY), [1])
    before = (tmp_path / "set" / "stage" / "value.json").stat()
    manager.handle_output(dg.build_output_context(asset_key=KEY), [1])
    after = (tmp_path / "set" / "stage" / "value.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def _graph(tmp_path, *assets):
    storage = StorageResource(root=str(tmp_path))
    return dg.Definitions(assets=assets, resources={"io_manager": ValueIOManager(storage=storage)})


def test_downstream_gets_the_value_when_nothing_is_partitioned(tmp_path):
    @dg.asset
    def one():
        return {"x": 1}

    @dg.asset
    def two(one):
        return one["x"] + 1

    result = dg.materialize([one, two], resources=_graph(tmp_path).resources)
    assert result.output_for_node("two") == 2
    assert json.loads((tmp_path / "two" / "value.json").read_text()) == 2


def test_downstream_gets_its_partition_when_both_are_partitioned(tmp_path):
    @dg.asset(partitions_def=SPLITS)
    def one(context):
        return context.partition_key

    @dg.asset(partitions_def=SPLITS)
    def two(one):
        return f"{one}!"

    dg.materialize([one, two], resources=_graph(tmp_path).resources, partition_key="test")
    assert json.loads((tmp_path / "two" / "test" / "value.json").read_text()) == "test!"
    assert not (tmp_path / "two" / "train").exists()


def test_downstream_gets_every_partition_when_one_run_made_them(tmp_path):
    @dg.asset(partitions_def=SPLITS, backfill_policy=dg.BackfillPolicy.single_run())
    def one(context):
        return {key: key.upper() for key in context.partition_keys}

    @dg.asset
    def two(one: dict[str, str]):
        return sorted(one.items())

    resources = _graph(tmp_path).resources
    tags = {
        "dagster/asset_partition_range_start": "train",
        "dagster/asset_partition_range_end": "test",
    }
    made = dg.materialize([one], resources=resources, tags=tags)
    assert sorted(event.partition for event in made.asset_materializations_for_node("one")) == [
        "test",
        "train",
    ]
    dg.materialize([one, two], resources=resources, selection=[two])
    assert json.loads((tmp_path / "two" / "value.json").read_text()) == [
        ["test", "TEST"],
        ["train", "TRAIN"],
    ]


def test_downstream_is_told_which_partition_is_missing_when_one_was_not_made(tmp_path):
    @dg.asset(partitions_def=SPLITS)
    def one(context):
        return context.partition_key

    @dg.asset
    def two(one: dict[str, str]): ...

    resources = _graph(tmp_path).resources
    dg.materialize([one], resources=resources, partition_key="train")
    result = dg.materialize([one, two], resources=resources, selection=[two], raise_on_error=False)
    failure = result.failure_data_for_node("two").error
    assert "materialize partition test of one first" in f"{failure.message}{failure.cause}"


@pytest.mark.parametrize("given", ["one value", {"train": 1}, {"train": 1, "test": 2, "other": 3}])
def test_output_is_refused_when_it_does_not_name_the_partitions_of_the_run(tmp_path, given):
    @dg.asset(partitions_def=SPLITS, backfill_policy=dg.BackfillPolicy.single_run())
    def one():
        return given

    tags = {
        "dagster/asset_partition_range_start": "train",
        "dagster/asset_partition_range_end": "test",
    }
    result = dg.materialize(
        [one], resources=_graph(tmp_path).resources, tags=tags, raise_on_error=False
    )
    assert "expected {partition: value} for the partitions ['test', 'train']" in str(
        result.failure_data_for_node("one").error
    )
