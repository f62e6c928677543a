"""Lists of one plan whose columns have different types: converted without loss, or refused."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_assets.errors import UnreadableList
from dataset_assets.pipelines.download.plan_parts import plan_once, read_shard
from dataset_assets.pipelines.download.plan_urls import plan_urls
from dataset_assets.storage.store import open_store
from dataset_assets.urls.lists import ListOptions


@pytest.fixture
def store(tmp_path):
    """The folder of the plan."""
    return open_store(str(tmp_path / "plan"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1, None]), pa.array([2.0, 3.0])),
        (pa.array([1.5, float("nan")]), pa.array([2, None])),
        (pa.array([0.5, float("nan")]), pa.array([float("nan"), 0.25], pa.float32())),
        (pa.array(["a", None]), pa.array([7, None])),
        (pa.array(["a", None]), pa.array([True, None])),
        (pa.array([1, 2]), pa.array([None, None], pa.string())),
        (pa.array([[1.5], None]), pa.array([[1], []])),
        (pa.array([1, 2], pa.int8()), pa.array([127, None])),
    ],
    ids=[
        "int to float",
        "nan",
        "float32",
        "int to text",
        "bool to text",
        "nulls",
        "lists",
        "int64",
    ],
)
def test_columns_of_all_lists_have_the_type_of_the_first(store, tmp_path, first, second):
    source = lists_with_columns(tmp_path, first, second)
    options = ListOptions(input_format="parquet", save_additional_columns=("x",))
    plan = plan_urls(source, store, options)
    shards = [read_shard(store, plan, shard) for shard in range(2)]
    assert [shard.schema.field("x").type for shard in shards] == [first.type] * 2
    back = shards[1]["x"].cast(second.type).to_pylist()
    assert str(back) == str(second.to_pylist())  # as texts: nan is not equal to itself
    os.utime(tmp_path / "lists" / "b.parquet")
    assert plan_urls(source, store, options) == plan


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1, 2]), pa.array([2.5, 3.0])),
        (pa.array([1, 2]), pa.array(["007", "8"])),
        (pa.array([True, False]), pa.array([2, 1])),
        (pa.array([1.5, 2.5]), pa.array([2**53 + 1, 1])),
        (pa.array([1, 2], pa.int8()), pa.array([128, 1])),
        (pa.array([1, 2]), pa.array([[1], [2]])),
        (pa.array(["a", "b"]), pa.array([{"a": 1}, {"a": 2}])),
    ],
    ids=["fraction", "zeros", "bool", "digits", "range", "lists", "structs"],
)
def test_list_with_another_type_is_refused_when_a_value_would_change(
    store, tmp_path, first, second
):
    source = lists_with_columns(tmp_path, first, second)
    options = ListOptions(input_format="parquet", save_additional_columns=("x",))
    refusal = rf"b\.parquet: expected {first.type} in column 'x' as in .*a\.parquet, got"
    with pytest.raises(UnreadableList, match=refusal):
        plan_urls(source, store, options)
    with pytest.raises(UnreadableList, match=refusal):
        plan_once(source, store, options, samples_per_shard=10)


def lists_with_columns(tmp_path, *columns):
    """Write lists a, b, ... with a column x each, and return their folder."""
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, column in zip("ab", columns, strict=True):
        urls = [f"http://h/{name}/{number}" for number in range(len(column))]
        pq.write_table(pa.table({"url": urls, "x": column}), folder / f"{name}.parquet")
    return str(folder)
