"""What layouts read beyond the plain case: names, options, columns, keys."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pyarrow as pa
import pytest

from dataset_assets.errors import ObjectMissing, ShardCorrupt, UnreadableSource
from dataset_assets.records.training import TableCell
from dataset_assets.storage.store import open_store
from dataset_assets.training.caption_columns import CAPTION_COLUMNS
from dataset_assets.training.layout import SourceOptions
from dataset_assets.training.layouts.two_file import CAPTION_LISTS, MEDIA_LISTS
from dataset_assets.training.media import sniff_suffix
from dataset_assets.training.payloads import SampleReader
from dataset_assets.training.source import open_training_source
from dataset_assets_tests.support.hub_server import HubServer, in_process
from dataset_assets_tests.training.training_sets import (
    CAPTIONS,
    JPG,
    METADATA,
    MP4,
    folder,
    media_files,
    pairs,
    parquet,
    payloads,
    rows,
    shards,
    split,
    table,
    tar_of,
    two_file,
    webdataset,
    write,
)

KEYS = list(CAPTIONS)


def opened(tmp_path, files, **options):
    return open_training_source(write(tmp_path / "set", files), SourceOptions(**options))


def captions(source):
    return {sample.key: dict(sample.captions) for sample in source.samples}


@pytest.mark.parametrize("medium", ["image", "video"])
@pytest.mark.parametrize("captions_name", CAPTION_LISTS)
def test_every_name_of_the_lists(tmp_path, medium, captions_name):
    for listing in MEDIA_LISTS[medium]:
        source = opened(tmp_path / listing, two_file(medium, captions_name, listing))
        assert source.because == f"{captions_name} and {listing}"
        expected = {f"{medium}s/{key}": {"caption": text} for key, text in CAPTIONS.items()}
        assert captions(source) == expected


def test_lines_end_at_line_breaks_only(tmp_path):
    files = {
        "prompt.txt": "\ufeffA goat\u2028with a line separator.\r\nA mouse.\r\n\r\n".encode(),
        "videos.txt": b"./a.mp4\r\nb/c.mp4\n",
        "a.mp4": MP4,
        "b/c.mp4": MP4,
    }
    expected = {
        "a": {"caption": "A goat\u2028with a line separator."},
        "b/c": {"caption": "A mouse."},
    }
    assert captions(opened(tmp_path, files)) == expected


def test_a_file_that_is_listed_twice(tmp_path):
    files = {"prompt.txt": b"A.\nB.", "images.txt": b"a.jpg\na.jpg", "a.jpg": JPG}
    assert captions(opened(tmp_path, files)) == {"a": {"caption": "A."}, "a~2": {"caption": "B."}}


def test_files_that_differ_in_their_suffix(tmp_path):
    files = {"prompt.txt": b"A.\nB.", "images.txt": b"a.jpg\na.png", "a.jpg": JPG, "a.png": JPG}
    with pytest.raises(UnreadableSource, match="expected distinct names without suffixes, got"):
        opened(tmp_path, files)


def test_the_wanted_list_of_two(tmp_path):
    files = {**two_file("image"), **two_file("video")}
    for medium in ("image", "video"):
        source = opened(tmp_path, files, medium=medium)
        assert [sample.key for sample in source.samples] == [f"{medium}s/{key}" for key in KEYS]


def test_pairs_in_subfolders(tmp_path):
    files = {**pairs("image"), "more/1.txt": b"A text.", "more/1.jpg": JPG}
    source = opened(tmp_path, files, subfolders=True)
    assert [sample.key for sample in source.samples] == [*KEYS, "more/1"]
    source = opened(tmp_path, files, subfolders=False)
    assert [sample.key for sample in source.samples] == KEYS


def test_the_wanted_medium_of_pairs(tmp_path):
    files = {**pairs("image"), **pairs("video")}
    for medium, suffix in {"image": "jpg", "video": "mp4"}.items():
        source = opened(tmp_path, files, medium=medium)
        assert source.medium == medium
        assert {sample.suffix for sample in source.samples} == {suffix}


@pytest.mark.parametrize("medium", ["image", "video"])
@pytest.mark.parametrize("suffix", METADATA)
def test_every_metadata_file(tmp_path, medium, suffix):
    source = opened(tmp_path, folder(medium, suffix))
    assert source.layout == "folder"
    assert captions(source) == {key: {"caption": text} for key, text in CAPTIONS.items()}


def test_metadata_under_data(tmp_path):
    metadata = {"metadata.json": json.dumps({"data": rows("image")}).encode()}
    source = opened(tmp_path, {**media_files("image"), **metadata})
    assert list(captions(source)) == KEYS


def test_columns_of_a_folder(tmp_path):
    row = {
        "file_name": "0001.jpg",
        "text": "A goat.",
        "long_caption": ["A goat stands.", "A goat walks."],
        "score": 0.5,
        "tags": {"animal": True},
        "prompt": "",
    }
    files = {"metadata.jsonl": json.dumps(row).encode(), "0001.jpg": JPG}
    (sample,) = opened(tmp_path, files).samples
    assert list(sample.captions.items()) == [
        ("text", "A goat."),
        ("long_caption", "A goat stands."),
    ]
    assert sample.columns == {
        "long_caption": ["A goat stands.", "A goat walks."],
        "score": 0.5,
        "tags": {"animal": True},
    }
    (sample,) = opened(tmp_path, files, caption_columns=("long_caption", "text")).samples
    assert list(sample.captions) == ["long_caption", "text"]
    assert sample.columns["prompt"] == ""


def test_metadata_of_the_split(tmp_path):
    files = {}
    for name in ("train", "validation"):
        files |= {f"{name}/{key}": data for key, data in folder("image", "csv").items()}
    source = opened(tmp_path, files)
    assert [sample.key for sample in source.samples] == [f"train/{key}" for key in KEYS]
    source = opened(tmp_path, files, split="val")
    assert [sample.key for sample in source.samples] == [f"validation/{key}" for key in KEYS]


def test_one_of_several_metadata_files(tmp_path):
    files = {**folder("image", "csv"), **folder("image", "json")}
    source = opened(tmp_path, files, metadata_file="metadata.json")
    assert list(captions(source)) == KEYS


def test_members_of_a_tar(tmp_path):
    more = {"caption": "From the JSON.", "score": 3, "url": "http://example.org/1.jpg"}
    members = {
        "a.b/1.jpg": JPG,
        "a.b/1.json": json.dumps(more).encode(),
        "a.b/1.seg.png": JPG,
        "a.b/1.txt": "From the text: café.\n".encode(),
        "a.b/1.cls": b"7",
    }
    source = opened(tmp_path, {"a.tar": tar_of(members)}, payload_column="jpg")
    (sample,) = source.samples
    assert (sample.key, sample.suffix) == ("a.b/1", "jpg")
    assert sample.captions == {"caption": "From the JSON.", "txt": "From the text: café."}
    assert sample.columns == {"score": 3, "url": "http://example.org/1.jpg", "cls": "7"}
    (sample,) = opened(
        tmp_path, {"a.tar": tar_of(members)}, payload_column="jpg", caption_columns=("txt",)
    ).samples
    assert list(sample.captions) == ["txt"]


def test_tars_that_share_keys(tmp_path):
    tar = webdataset("image")["00000.tar"]
    source = opened(tmp_path, {"a/0.tar": tar, "a/1.tar": tar})
    assert [sample.key for sample in source.samples] == [
        "a/0/0001",
        "a/0/0002",
        "a/1/0001",
        "a/1/0002",
    ]


def test_tars_of_the_split(tmp_path):
    tars = webdataset("image")
    files = {"train-0.tar": tars["00000.tar"], "test-0.tar": tars["00001.tar"]}
    assert list(captions(opened(tmp_path, files))) == KEYS[:2]
    assert list(captions(opened(tmp_path, files, split="test"))) == KEYS[2:]


@pytest.mark.parametrize("medium", ["image", "video"])
def test_tables_of_bytes(tmp_path, medium):
    """The format is told by the bytes."""
    columns = {medium: list(payloads(medium).values()), "caption": list(CAPTIONS.values())}
    source = opened(tmp_path, {"a.parquet": parquet(pa.table(columns))})
    assert source.medium == medium
    assert [sample.key for sample in source.samples] == [f"a/{row:07d}" for row in range(4)]
    reader = SampleReader()
    assert [reader.read(sample) for sample in source.samples] == columns[medium]
    for sample in reversed(source.samples):
        assert reader.read(sample) == columns[medium][sample.cell.row]


def test_tables_named_by_suffix(tmp_path):
    columns = {"mp4": [MP4], "txt": ["A goat."]}
    (sample,) = opened(tmp_path, {"a.parquet": parquet(pa.table(columns))}).samples
    assert (sample.medium, sample.suffix, sample.cell.column) == ("video", "mp4", "mp4")


def test_tables_of_paths(tmp_path):
    structs = [{"bytes": None, "path": name} for name in media_files("image")]
    for column in (structs, list(media_files("image"))):
        columns = {"image": column, "text": list(CAPTIONS.values())}
        files = {**media_files("image"), "a.parquet": parquet(pa.table(columns))}
        source = opened(tmp_path, files, layout="parquet")
        assert list(captions(source)) == KEYS
        assert SampleReader().read(source.samples[0]) == JPG


def test_a_table_with_images_and_videos(tmp_path):
    columns = {"image": [JPG], "video": [MP4], "text": ["A goat."]}
    files = {"a.parquet": parquet(pa.table(columns))}
    for medium, data in {"image": JPG, "video": MP4}.items():
        (sample,) = opened(tmp_path, files, medium=medium).samples
        assert SampleReader().read(sample) == data


def test_several_caption_columns_of_a_table(tmp_path):
    columns = {"image": [JPG], "short_caption": ["A"], "long_caption": ["B"], "note": ["C"]}
    files = {"a.parquet": parquet(pa.table(columns))}
    (sample,) = opened(tmp_path, files).samples
    assert sample.captions == {"short_caption": "A", "long_caption": "B"}
    assert sample.columns == {"note": "C"}
    (sample,) = opened(tmp_path, files, caption_columns=("note",)).samples
    assert sample.captions == {"note": "C"}


@pytest.mark.parametrize("output_format", ["files", "webdataset", "parquet", "tfrecord"])
@pytest.mark.parametrize("medium", ["image", "video"])
def test_every_format_of_shard_sets(tmp_path, output_format, medium):
    source = opened(tmp_path, shards(medium, output_format))
    assert source.layout == "shards"
    reader = SampleReader()
    assert [reader.read(sample) for sample in source.samples] == list(payloads(medium).values())
    assert [sample.captions["caption"] for sample in source.samples] == list(CAPTIONS.values())
    assert source.samples[0].columns["url"] == "http://example.org/0.jpg"


@pytest.mark.parametrize("medium", ["image", "video"])
def test_a_published_split(tmp_path, medium):
    """The files of a version at the top, as a publication has them."""
    files = {name.split("/", 2)[-1]: data for name, data in split(medium).items()}
    published = {name: data for name, data in files.items() if name != "current.json"}
    tables = {name: data for name, data in published.items() if not name.endswith(".tar")}
    source = opened(tmp_path, published)
    assert (source.layout, source.medium) == ("split", medium)
    assert captions(source) == {key: {"caption": text} for key, text in CAPTIONS.items()}
    del tables["manifest.json"], tables["assignment.parquet"]
    source = opened(tmp_path / "tables", tables)
    assert (source.layout, source.medium) == ("parquet", medium)
    assert captions(source) == {key: {"caption": text} for key, text in CAPTIONS.items()}


def test_a_repository_is_pinned(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)
        hub.create("org/set")
        first = hub.write("org/set", pairs("image"))
        source = open_training_source("org/set")
        assert source.url == f"hf://datasets/org/set@{first}"
        hub.write("org/set", {"0001.jpg": b"another", "0002.txt": b"Another."})
        assert SampleReader().read(source.samples[0]) == JPG
        again = open_training_source("hf://datasets/org/set", SourceOptions(revision=first))
        assert again.samples == source.samples
        assert (
            again.fingerprint == open_training_source(f"hf://datasets/org/set@{first}").fingerprint
        )
        assert open_training_source("org/set").samples != source.samples


def test_a_folder_of_a_repository(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)
        hub.create("org/set")
        hub.write("org/set", {f"a/b/{name}": data for name, data in pairs("video").items()})
        source = open_training_source("hf://datasets/org/set/a/b")
        assert list(captions(source)) == KEYS


def test_fingerprint(tmp_path):
    url = write(tmp_path / "set", pairs("image"))
    first = open_training_source(url).fingerprint
    assert open_training_source(url).fingerprint == first
    assert open_training_source(url, SourceOptions(medium="image")).fingerprint != first
    open_store(url).write("0001.txt", b"Another caption.")
    assert open_training_source(url).fingerprint != first


def test_documents_and_hidden_files_are_no_data(tmp_path):
    files = {"README.md": b"x", "LICENSE.txt": b"x", ".git/a.txt": b"x", "__MACOSX/a.jpg": b"x"}
    assert list(captions(opened(tmp_path, {**pairs("image"), **files}))) == KEYS


def test_common_names_of_captions():
    theirs = "short_prompt long_caption alt_texts image_alt_text video_alt_description descriptions"
    assert set(theirs.split()) <= set(CAPTION_COLUMNS)
    assert len(set(CAPTION_COLUMNS)) == len(CAPTION_COLUMNS)


def test_first_bytes():
    assert sniff_suffix(JPG) == "jpg"
    assert sniff_suffix(MP4) == "mp4"
    assert sniff_suffix(b"\0\0\0\x14ftypqt  ") == "mov"
    assert sniff_suffix(b"RIFF\0\0\0\0WEBP") == "webp"
    assert sniff_suffix(b"") == ""


def test_table_of_hub_has_one_key_column(tmp_path):
    assert list(captions(opened(tmp_path, table("video")))) == KEYS


def test_a_reader_travels_to_another_process(tmp_path):
    source = opened(tmp_path, table("image"))
    reader = SampleReader()
    assert reader.read(source.samples[3]) == payloads("image")[KEYS[3]]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        read = pool.submit(reader.read, source.samples[3]).result()
    assert read == payloads("image")[KEYS[3]]


def test_a_source_that_changed(tmp_path):
    source = opened(tmp_path, pairs("image"))
    (tmp_path / "set" / "0001.jpg").write_bytes(b"shorter")
    with pytest.raises(ShardCorrupt, match="expected [0-9]+ bytes for the sample 0001, got 7"):
        SampleReader().read(source.samples[0])
    source = opened(tmp_path / "table", table("image"))
    gone = replace(source.samples[0], cell=TableCell("image", 9))
    with pytest.raises(ShardCorrupt, match="expected more than 9 rows, got 4; open the source"):
        SampleReader().read(gone)


DOCUMENTED = {
    "two_file": {
        "prompt.txt": b"A goat.\nA mouse.\n",
        "videos.txt": b"videos/00000.mp4\nvideos/00001.mp4\n",
        "videos/00000.mp4": MP4,
        "videos/00001.mp4": MP4,
    },
    "pairs": {
        "a.txt": b"A goat.",
        "a.mp4": MP4,
        "bkjlaskdjg.txt": b"A mouse.",
        "bkjlaskdjg.mp4": MP4,
    },
}


@pytest.mark.parametrize("layout", DOCUMENTED)
def test_trees_of_the_documentation(tmp_path, layout):
    source = opened(tmp_path, DOCUMENTED[layout])
    assert (source.layout, source.medium) == (layout, "video")
    texts = [sample.captions["caption"] for sample in source.samples]
    assert texts == ["A goat.", "A mouse."]


def test_captions_that_are_no_text(tmp_path):
    for value, match in {
        json.dumps({"a": 1}): "expected text in each caption column, got {'a': 1}; set",
        json.dumps([[1]]): "expected text in each caption column, got",
    }.items():
        line = f'{{"file_name": "a.jpg", "caption": {value}}}'
        with pytest.raises(UnreadableSource, match=match):
            opened(tmp_path, {"a.jpg": JPG, "metadata.jsonl": line.encode()})
    columns = {"image": [JPG], "caption": pa.array(["é".encode("latin-1")], pa.binary())}
    files = {"a.parquet": parquet(pa.table(columns))}
    with pytest.raises(UnreadableSource, match="expected captions in UTF-8, got b'.xe9'"):
        opened(tmp_path / "table", files, payload_column="image")


def test_a_private_repository(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)
        hub.create("org/set", private=True)
        hub.write("org/set", pairs("image"))
        source = open_training_source("org/set")
        assert SampleReader().read(source.samples[0]) == JPG
        assert hub.leaks == []
        in_process(monkeypatch, hub, signed_in=False)
        with pytest.raises(ObjectMissing, match="no token was sent: set HF_TOKEN"):
            open_training_source("org/set")
