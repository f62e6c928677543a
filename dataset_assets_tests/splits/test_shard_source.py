import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from dataset_assets import download, verify
from dataset_assets.errors import ConfigurationError, ObjectMissing, ShardCorrupt, ShardIncomplete
from dataset_assets.pipelines.split.open_source import open_source
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.pipelines.verify.split import verify_split
from dataset_assets.shards.commits import list_records
from dataset_assets.shards.reading import read_samples
from dataset_assets.splits._shard_columns import merge_columns, plain_value
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.source import check_sample_key
from dataset_assets.splits.sources import shards
from dataset_assets.storage.store import open_store
from dataset_assets_tests.end_to_end.conftest import Gallery
from dataset_assets_tests.support.http_server import HttpServer

FORMATS = ("webdataset", "files", "parquet", "tfrecord")
ROWS, MISSING = 11, frozenset({3, 8})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A function that downloads a gallery in a format and layout once, and returns the folder."""
    folder = tmp_path_factory.mktemp("shards")
    with HttpServer() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        gallery = Gallery(server, folder)

        def make(output_format="webdataset", layout="dataset_assets", **changes):
            first, list_name = changes.get("first", 0), f"urls {changes.get('first', 0)}.parquet"
            out = folder / f"{output_format} {layout} {first}"
            if not out.exists():
                source = gallery.list(
                    ROWS, name=list_name, missing=frozenset(first + n for n in MISSING), first=first
                )
                options = {
                    "input_format": "parquet",
                    "caption_col": "caption",
                    "save_additional_columns": ["number"],
                }
                options |= {
                    "number_sample_per_shard": 4,
                    "image_size": 64,
                    "distributor": "serial",
                    "allow_private_networks": True,
                }
                download(
                    source,
                    output_folder=str(out),
                    output_format=output_format,
                    layout=layout,
                    **options,
                )
            return out

        yield make


def payloads(folder):
    """What the shards hold, by key."""
    store = open_store(str(folder))
    return {
        sample.key: sample.payload
        for record in list_records(store)
        for sample in read_samples(store, record)
    }


@pytest.mark.parametrize("layout", ["dataset_assets", "img2dataset"])
@pytest.mark.parametrize("output_format", FORMATS)
def test_samples_are_the_successes_when_shards_are_of_any_format(made, output_format, layout):
    folder = made(output_format, layout)
    source, expected = shards.SplitSource([open_store(str(folder))]), payloads(folder)
    samples = source.samples()
    assert len(expected) == ROWS - len(MISSING)
    assert [sample.key for sample in samples] == sorted(expected)
    assert {sample.key: source.read(sample) for sample in reversed(samples)} == {
        key: [data] for key, data in expected.items()
    }
    assert [sample.bytes for sample in samples] == [len(expected[sample.key]) for sample in samples]
    assert {sample.parts for sample in samples} == {("jpg",)}
    assert source.media == "image"
    assert source.columns == {
        "number": "int64",
        "caption": "string",
        "url": "string",
        "width": "int32",
        "height": "int32",
        "sha256": "string",
    }
    first = samples[0].columns
    assert (first["number"], first["caption"]) == (0, "picture 0 – ünïcode")
    assert len(first["sha256"]) == 64
    assert all(check_sample_key(sample.key) for sample in samples)


def test_a_payload_is_one_range_read_when_the_sidecar_has_an_index(made, monkeypatch):
    store = open_store(str(made("webdataset")))
    source = shards.SplitSource([store])
    reads = []
    monkeypatch.setattr(
        type(store), "read", lambda self, *where: reads.append(where) or b"x" * where[2]
    )
    source.read(source.samples()[4])
    assert [(name, length) for name, _, length in reads] == [
        ("00001.tar", source.samples()[4].bytes)
    ]


def test_the_fingerprint_is_of_the_content_when_a_set_is_moved_or_changed(made, tmp_path):
    folder = made("webdataset")
    shutil.copytree(folder, tmp_path / "copy")
    one, copy = (
        shards.SplitSource([open_store(str(folder))]),
        shards.SplitSource([open_store(str(tmp_path / "copy"))]),
    )
    other = shards.SplitSource([open_store(str(made("webdataset", first=100)))])
    assert one.fingerprint == copy.fingerprint != other.fingerprint


@pytest.mark.parametrize("reverse", [False, True])
def test_keys_have_the_name_of_the_set_when_sets_use_the_same_ones(made, tmp_path, reverse):
    for name, first in (("cats", 0), ("dogs", 100)):
        shutil.copytree(made("webdataset", first=first), tmp_path / name / "shards")
    stores = [open_store(str(tmp_path / name / "shards")) for name in ("cats", "dogs")]
    source = shards.SplitSource(stores[::-1] if reverse else stores)
    keys = [sample.key for sample in source.samples()]
    assert len(set(keys)) == 2 * (ROWS - len(MISSING))
    assert {key.partition("/")[0] for key in keys} == {"cats", "dogs"}
    numbers = {sample.key: sample.columns["number"] for sample in source.samples()}
    assert all((numbers[key] >= 100) == key.startswith("dogs/") for key in keys)
    assert source.fingerprint == shards.SplitSource(stores).fingerprint
    assert all(len(source.read(sample)[0]) == sample.bytes for sample in source.samples())


def test_keys_stay_as_they_are_when_sets_use_other_ones(made, tmp_path):
    """So that a partition that comes later moves no sample of the ones before it."""
    first, rest = tmp_path / "a", tmp_path / "b"
    shutil.copytree(made("webdataset"), first)
    shutil.copytree(first, rest)
    for folder, names in ((first, ("00001", "00002")), (rest, ("00000",))):
        for name in names:
            for path in folder.glob(f"{name}*"):
                path.unlink()
        raw = json.loads((folder / "manifest.json").read_bytes())
        raw["shards"] = [shard for shard in raw["shards"] if shard["name"] not in names]
        (folder / "manifest.json").write_text(json.dumps(raw))
    both = shards.SplitSource([open_store(str(first)), open_store(str(rest))])
    whole = shards.SplitSource([open_store(str(made("webdataset")))])
    assert [sample.key for sample in both.samples()] == [sample.key for sample in whole.samples()]
    assert both.fingerprint == whole.fingerprint


@pytest.mark.parametrize("below", ["", "2024/"])
def test_sets_are_recognized_when_a_folder_is_one_or_has_them(made, tmp_path, below):
    shutil.copytree(made("webdataset"), tmp_path / "shards" / below)
    source = open_source("auto", str(tmp_path / "shards"))
    assert (source.kind, len(source.samples())) == ("shards", ROWS - len(MISSING))


def test_sets_are_refused_when_their_folders_do_not_tell_them_apart(made, tmp_path):
    for path in ("x/a", "y/a", "x/b"):
        shutil.copytree(made("webdataset"), tmp_path / path)
    with pytest.raises(ConfigurationError, match="called a"):
        shards.SplitSource([open_store(str(tmp_path / path)) for path in ("x/a", "y/a", "x/b")])


def test_equal_images_stay_together_when_shards_are_split(made, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(made("webdataset"), tmp_path / name)
    source = shards.SplitSource([open_store(str(tmp_path / name)) for name in ("one", "two")])
    out = open_store(str(tmp_path / "split"))
    manifest = split_archives(source, out, SplitOptions(ratios={"train": 0.5, "test": 0.5}))
    assert verify_split(out) == []
    assert manifest.samples == 2 * (ROWS - len(MISSING))
    assert sum(count.groups for count in manifest.splits.values()) == ROWS - len(MISSING)


@pytest.mark.parametrize("output_format", FORMATS)
def test_splits_of_every_format_hold_the_same_images(made, tmp_path, output_format):
    out = open_store(str(tmp_path / "split"))
    manifest = split_archives(shards.SplitSource([open_store(str(made(output_format)))]), out)
    assert {name: count.samples for name, count in manifest.splits.items()} == {
        "train": 7,
        "validation": 1,
        "test": 1,
    }
    assert verify_split(out) == []


def spoil(folder, target, how):
    path = folder / target
    if how == "delete":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    else:
        path.write_bytes(path.read_bytes()[:-8] + b"00000000")


@pytest.mark.parametrize(
    ("target", "how", "error", "said"),
    [
        ("00001.tar", "delete", ShardIncomplete, "00001.tar is missing"),
        ("00001.tar", "cut", ShardIncomplete, "00001.tar has"),
        ("00001.parquet", "delete", ShardIncomplete, "00001.parquet is missing"),
        ("00001.parquet", "overwrite", ShardCorrupt, "00001.parquet: not a readable Parquet file"),
        ("manifest.json", "cut", ShardCorrupt, "manifest.json: expected a manifest"),
    ],
)
def test_a_set_is_refused_when_it_is_not_what_its_manifest_says(
    made, tmp_path, target, how, error, said
):
    shutil.copytree(made("webdataset"), tmp_path / "set")
    spoil(tmp_path / "set", target, how)
    with pytest.raises(error) as refused:
        shards.SplitSource([open_store(str(tmp_path / "set"))])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_payload_is_refused_when_the_file_was_cut_since(made, tmp_path):
    shutil.copytree(made("webdataset"), tmp_path / "set")
    source = shards.SplitSource([open_store(str(tmp_path / "set"))])
    source.read(source.samples()[0])
    tar = tmp_path / "set" / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:600])
    with pytest.raises(ShardCorrupt, match=r"00000\.tar: expected \d+ bytes of sample \d+, got"):
        source.read(source.samples()[0])


def change_a_byte(path):
    """Change one in the first image; in a file without images, one before its footer."""
    data = bytearray(path.read_bytes())
    image = data.find(b"\xff\xd8\xff")
    data[40 if image < 0 else image + 100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("output_format", "target"),
    [
        ("webdataset", "00001.tar"),
        ("tfrecord", "00001.tfrecord"),
        ("parquet", "00001.parquet"),
        ("webdataset", "00001.parquet"),
    ],
)
def test_no_split_is_made_when_a_byte_of_a_shard_has_changed(made, tmp_path, output_format, target):
    shutil.copytree(made(output_format), tmp_path / "set")
    change_a_byte(tmp_path / "set" / target)
    out = open_store(str(tmp_path / "split"))
    with pytest.raises(ShardCorrupt, match=rf"{target} has changed: .*delete 00001_stats.json and"):
        split_archives(shards.SplitSource([open_store(str(tmp_path / "set"))]), out)
    assert out.size("current.json") is None


@pytest.mark.parametrize("how", ["cut", "delete"])
def test_no_shard_is_left_out_when_a_set_without_a_manifest_is_damaged(made, tmp_path, how):
    shutil.copytree(made("webdataset", "img2dataset"), tmp_path / "set")
    assert verify(str(tmp_path / "set")) == []
    spoil(tmp_path / "set", "00001.tar", how)
    assert ["00001.tar" in problem for problem in verify(str(tmp_path / "set"))] == [True]
    with pytest.raises(ShardIncomplete, match=r"00001\.tar"):
        shards.SplitSource([open_store(str(tmp_path / "set"))])


def test_a_record_that_cannot_be_read_is_named_when_there_is_no_manifest(made, tmp_path):
    shutil.copytree(made("webdataset", "img2dataset"), tmp_path / "set")
    (tmp_path / "set" / "00001_stats.json").write_text("{")
    said = "00001_stats.json: expected a record of this package"
    assert [said in problem for problem in verify(str(tmp_path / "set"))] == [True]


@pytest.mark.parametrize(("how", "said"), [("cut", "00001.tar: exp"), ("delete", "is missing")])
def test_verify_says_what_is_wrong_with_the_files_of_a_shard(made, tmp_path, how, said):
    shutil.copytree(made("webdataset"), tmp_path / "set")
    spoil(tmp_path / "set", "00001.tar", how)
    assert [said in problem for problem in verify(str(tmp_path / "set"))] == [True]


def test_a_set_without_payloads_is_refused(made):
    with pytest.raises(ConfigurationError, match="the format 'dummy', which keeps none"):
        shards.SplitSource([open_store(str(made("dummy")))])


@pytest.mark.parametrize("files", [[], ["00000.tar", "00000.parquet"]])
def test_a_folder_is_refused_when_nothing_in_it_was_committed(made, tmp_path, files):
    for name in files:
        shutil.copy(made("webdataset") / name, tmp_path)
    with pytest.raises(ObjectMissing, match="no shards in"):
        shards.SplitSource([open_store(str(tmp_path))])


def test_no_sets_are_refused():
    with pytest.raises(ConfigurationError, match="at least one folder"):
        shards.SplitSource([])


def test_what_no_manifest_names_is_not_read(made, tmp_path):
    shutil.copytree(made("webdataset"), tmp_path / "set")
    for name in ("99999.tar", "99999.parquet", "00000.txt"):
        Path(tmp_path / "set" / name).write_bytes(b"of another tool")
    assert len(shards.SplitSource([open_store(str(tmp_path / "set"))]).samples()) == ROWS - len(
        MISSING
    )


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ((pa.int8(),), "int32"),
        ((pa.int32(), pa.int64()), "int64"),
        ((pa.uint32(),), "int64"),
        ((pa.uint64(),), "string"),
        ((pa.int64(), pa.float32()), "double"),
        ((pa.null(), pa.bool_()), "bool"),
        ((pa.null(),), "string"),
        ((pa.dictionary(pa.int32(), pa.string()), pa.large_string()), "string"),
        ((pa.list_(pa.int32()),), "string"),
        ((pa.timestamp("us"),), "string"),
    ],
)
def test_a_column_has_the_type_that_holds_all_when_tables_differ(types, expected):
    schemas = [
        (f"t{n}", pa.schema([("c", kind), ("status", pa.string())])) for n, kind in enumerate(types)
    ]
    assert merge_columns(schemas) == {"c": expected}


def test_columns_are_refused_when_their_types_do_not_go_together():
    schemas = [("one", pa.schema([("c", pa.int64())])), ("two", pa.schema([("c", pa.string())]))]
    with pytest.raises(
        ConfigurationError,
        match="column 'c': expected one type, got int64 in one and string in two",
    ):
        merge_columns(schemas)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, "string", None),
        ("text", "string", "text"),
        (3, "int64", 3),
        ([1, [2]], "string", "[1, [2]]"),
        ({"b": "ü", "a": b"\x01"}, "string", '{"a": "01", "b": "ü"}'),
        (b"\x01", "string", "01"),
        (2**63, "string", "9223372036854775808"),
    ],
)
def test_a_value_is_text_when_no_other_type_holds_it(value, kind, expected):
    assert plain_value(value, kind) == expected
