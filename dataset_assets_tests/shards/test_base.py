import pickle

import pyarrow as pa
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.shards.writer import WriterOptions
from dataset_assets_tests.shards.sample_rows import SCHEMA, make_options


def test_options_are_equal_when_pickled():
    options = make_options()
    assert pickle.loads(pickle.dumps(options)) == options


def test_index_is_appended_when_asked():
    assert make_options().table_schema.names == [*SCHEMA.names, "offset", "bytes"]
    assert make_options(with_index=False).table_schema is SCHEMA


def test_schema_metadata_is_kept_when_the_index_is_appended():
    schema = SCHEMA.with_metadata({"a": "b"})
    assert make_options(schema=schema).table_schema.metadata == {b"a": b"b"}


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a.b"])
def test_options_are_refused_when_the_name_is_not_a_shard_name(name):
    with pytest.raises(ConfigurationError, match="name: expected digits such as"):
        make_options(name=name)


@pytest.mark.parametrize("columns", [["a", "a"], ["offset"], ["key", "bytes"]])
def test_options_are_refused_when_columns_occur_twice(columns):
    schema = pa.schema([(name, pa.string()) for name in columns])
    with pytest.raises(
        ConfigurationError, match=f"expected each column once, got several called {columns[-1]}"
    ):
        WriterOptions(name="00000", schema=schema)
