"""What a training set can do wrong is one error that says what to do."""

import gzip
import json
import logging

import pyarrow as pa
import pytest

from dataset_assets.errors import (
    ArchiveCorrupt,
    ConfigurationError,
    EmptyList,
    MissingColumn,
    ObjectMissing,
    ShardCorrupt,
    SourceError,
    UnknownName,
    UnreadableSource,
)
from dataset_assets.hub.repository_url import repository_url
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.splits.sources.recordings import SplitSource as Recordings
from dataset_assets.storage.store import open_store
from dataset_assets.training.layout import SourceOptions
from dataset_assets.training.source import open_training_source
from dataset_assets_tests.pipelines.sources import write_recordings
from dataset_assets_tests.support.hub_server import HubServer, in_process
from dataset_assets_tests.training.training_sets import (
    JPG,
    MP4,
    csv_of,
    folder,
    media_files,
    pairs,
    parquet,
    rows,
    shards,
    split,
    table,
    tar_of,
    two_file,
    webdataset,
    write,
)


def without(files, *names):
    return {name: data for name, data in files.items() if name not in names}


def refused(tmp_path, files, match, kind=UnreadableSource, **options):
    url = write(tmp_path / "set", files)
    with pytest.raises(kind, match=match) as caught:
        open_training_source(url, SourceOptions(**options))
    assert isinstance(caught.value, SourceError)


TWO_FILE = two_file("image")
WRONG_TWO_FILE = {
    "no captions": (
        without(TWO_FILE, "prompt.txt"),
        (
            "exactly one list of captions .captions.txt, caption.txt, prompt.txt, prompts.txt"
            "., got none; add it"
        ),
    ),
    "no images": (
        without(TWO_FILE, "images.txt"),
        "expected exactly one list of images or videos .*, got none; add it",
    ),
    "two lists of captions": (
        {**TWO_FILE, "captions.txt": b"a"},
        "one list of captions .*, got captions.txt and prompt.txt; keep one of them",
    ),
    "two lists of images": (
        {**TWO_FILE, "image.txt": b"a"},
        "one list of images or videos .*, got images.txt and image.txt; keep one of them",
    ),
    "images and videos": (
        {**TWO_FILE, "videos.txt": b"a.mp4"},
        "got images.txt and videos.txt; set medium to 'image' or 'video'",
    ),
    "too few captions": (
        {**TWO_FILE, "prompt.txt": b"One.\nTwo."},
        "expected as many lines in prompt.txt as in images.txt, got 2 and 4",
    ),
    "no file": (
        without(TWO_FILE, "images/0002.jpg"),
        (
            r"expected a file for each name in a list, got none for 1 \(images/0002.jpg "
            r"\(images.txt, line 2\)\); add what is missing, or set incomplete to 'skip'"
        ),
    ),
    "a blank caption": (
        {**TWO_FILE, "prompt.txt": b"One.\n\nThree.\nFour."},
        (
            r"a caption for each image and video, got none for 1 \(images/0002.jpg \(prompt.txt, "
            r"line 2\)\)"
        ),
    ),
    "another medium": (
        {**TWO_FILE, "images.txt": b"a.mp4\nb.jpg\nc.jpg\nd.jpg"},
        "expected the path of an image in images.txt, line 1, got 'a.mp4'",
    ),
    "a path that leads out": (
        {**TWO_FILE, "images.txt": b"../a.jpg\nb.jpg\nc.jpg\nd.jpg"},
        "expected paths relative to its folder, got '../a.jpg'",
    ),
    "an absolute path": (
        {**TWO_FILE, "images.txt": b"/a.jpg\nb.jpg\nc.jpg\nd.jpg"},
        "expected paths relative to its folder, got '/a.jpg'",
    ),
    "other text than UTF-8": (
        {**TWO_FILE, "prompt.txt": "é".encode("latin-1")},
        "prompt.txt: expected text in UTF-8, got other bytes at byte 0",
    ),
}


@pytest.mark.parametrize(("files", "match"), WRONG_TWO_FILE.values(), ids=WRONG_TWO_FILE)
def test_two_file(tmp_path, files, match):
    refused(tmp_path, files, match)


PAIRS = pairs("image")
WRONG_PAIRS = {
    "several images": (
        {**PAIRS, "0001.png": JPG},
        (
            r"one image or video for each text file, got 0001.jpg and 0001.png \(1 such names"
            r"\); rename or remove all but one"
        ),
    ),
    "image and video": (
        {**PAIRS, "0001.mp4": MP4},
        "got 0001.jpg and 0001.mp4 .*; set medium to 'image' or 'video'",
    ),
    "a text alone": (
        {**PAIRS, "lonely.txt": b"A text."},
        r"expected an image or video for each caption, got none for 1 \(lonely.txt\)",
    ),
    "an image alone": (
        without(PAIRS, "0002.txt"),
        r"expected a caption for each image and video, got none for 1 \(0002.jpg\)",
    ),
    "an empty text": (
        {**PAIRS, "0002.txt": b" \n"},
        r"expected a caption for each image and video, got none for 1 \(0002.jpg\)",
    ),
    "subfolders": (
        {**PAIRS, "more/1.txt": b"A text.", "more/1.jpg": JPG},
        (
            r"expected caption pairs in the folder itself, got 1 text files in subfolders "
            r"\(more/1.txt\); set subfolders to true"
        ),
    ),
}


@pytest.mark.parametrize(("files", "match"), WRONG_PAIRS.values(), ids=WRONG_PAIRS)
def test_pairs(tmp_path, files, match):
    refused(tmp_path, files, match)


ROWS = rows("image")
FOLDER = folder("image")
WRONG_FOLDER = {
    "several metadata files": (
        {**FOLDER, "metadata.csv": b"file_name,text\n"},
        "expected exactly one metadata file .*, got metadata.csv and metadata.jsonl; keep one",
        UnreadableSource,
    ),
    "no caption": (
        {**FOLDER, "metadata.jsonl": json.dumps({**ROWS[0], "caption": None}).encode()},
        r"a caption for each image and video, got none for 4 \(0001.jpg \(metadata.jsonl, row 1\)",
        UnreadableSource,
    ),
    "no file": (
        without(FOLDER, "0003.jpg"),
        r"a file for each name in a list, got none for 1 \(0003.jpg \(metadata.jsonl, row 3\)\)",
        UnreadableSource,
    ),
    "an image without a row": (
        {**FOLDER, "more.jpg": JPG},
        r"got none for 1 \(more.jpg, which no metadata file lists\)",
        UnreadableSource,
    ),
    "no column of captions": (
        {**media_files("image"), "metadata.csv": b"file_name,note\n0001.jpg,x"},
        (
            "metadata.csv: expected a column with a common name of captions .*, got file_name, note"
            "; set caption_columns"
        ),
        MissingColumn,
    ),
    "no column of files": (
        {**media_files("image"), "metadata.csv": b"name,text\n0001.jpg,x"},
        "expected one column of file names .*, got the columns name, text; set payload_column",
        MissingColumn,
    ),
    "no file name": (
        {**media_files("image"), "metadata.csv": b"file_name,text\n,x"},
        "row 1: expected the path of an image or video in the column 'file_name', got ''",
        UnreadableSource,
    ),
    "a comma in a csv": (
        {**media_files("image"), "metadata.csv": b"file_name,text\n0001.jpg,A goat, a mouse"},
        "expected a file of rows in the format csv, .*expected 2 values in line 2, got 3; quote",
        UnreadableSource,
    ),
    "an open quote in a csv": (
        {**media_files("image"), "metadata.csv": b'file_name,text\n0001.jpg,"A goat'},
        "expected a file of rows in the format csv",
        UnreadableSource,
    ),
    "a json without rows": (
        {**media_files("image"), "metadata.json": b'{"rows": []}'},
        "expected a list of objects, or an object with such a list under 'data'",
        UnreadableSource,
    ),
    "a broken line of a jsonl": (
        {**media_files("image"), "metadata.jsonl": b'{"file_name": "0001.jpg"}\n{'},
        "expected a file of rows in the format jsonl, .*line 2",
        UnreadableSource,
    ),
    "no parquet": (
        {**media_files("image"), "metadata.parquet": b"PAR1"},
        "metadata.parquet: expected a file of rows in the format parquet",
        UnreadableSource,
    ),
}


@pytest.mark.parametrize(("files", "match", "kind"), WRONG_FOLDER.values(), ids=WRONG_FOLDER)
def test_folder(tmp_path, files, match, kind):
    refused(tmp_path, files, match, kind)


TARS = webdataset("image")
MEMBERS = pairs("image")
WRONG_TARS = {
    "no captions": (
        {"a.tar": tar_of(media_files("image"))},
        r"a caption for each image and video, got none for 4 \(0001 in a.tar, 0002 in a.tar",
        UnreadableSource,
    ),
    "no image": (
        {"a.tar": tar_of({"1.txt": b"A goat."})},
        r"expected an image or video for each caption, got none for 1 \(1 in a.tar\)",
        UnreadableSource,
    ),
    "two images": (
        {"a.tar": tar_of({"1.jpg": JPG, "1.png": JPG, "1.txt": b"x"})},
        "sample 1: expected one image or video, got members jpg and png; set payload_column",
        UnreadableSource,
    ),
    "compressed": (
        {"a.tar.gz": gzip.compress(TARS["00000.tar"])},
        r"expected tars without compression, .*got a.tar.gz; unpack them",
        UnreadableSource,
    ),
    "compressed under another name": (
        {"a.tar": gzip.compress(TARS["00000.tar"])},
        "a.tar: expected a tar without compression, got a tar.gz; unpack it",
        UnreadableSource,
    ),
    "json that is no object": (
        {"a.tar": tar_of({"1.jpg": JPG, "1.json": b"[1]"})},
        "1.json: expected a JSON object, got something else",
        UnreadableSource,
    ),
    "no tar": ({"a.tar": b"x" * 600}, "expected a zip, tar or tar.gz", ArchiveCorrupt),
    "cut": ({"a.tar": TARS["00000.tar"][:-9000]}, "a.tar", ArchiveCorrupt),
    "another split": (
        {"test-0.tar": TARS["00000.tar"], "val-0.tar": TARS["00001.tar"]},
        (
            "that they are of the split 'train', got test: test-0.tar; validation: val-0.tar;"
            " set split"
        ),
        UnreadableSource,
    ),
}


@pytest.mark.parametrize(("files", "match", "kind"), WRONG_TARS.values(), ids=WRONG_TARS)
def test_webdataset(tmp_path, files, match, kind):
    refused(tmp_path, files, match, kind)


WRONG_TABLES = {
    "no captions": (
        {"a.parquet": parquet(pa.table({"image": [JPG], "note": ["x"]}))},
        "a.parquet: expected a column with a common name of captions .*, got note",
        MissingColumn,
    ),
    "no images": (
        {"a.parquet": parquet(pa.table({"text": ["x"]}))},
        "expected one column of images or videos, got the columns text; set payload_column",
        MissingColumn,
    ),
    "images and videos": (
        {"a.parquet": parquet(pa.table({"image": [JPG], "video": [MP4], "text": ["x"]}))},
        "expected one column of images or videos, got image and video; set payload_column",
        MissingColumn,
    ),
    "other bytes": (
        {"a.parquet": parquet(pa.table({"image": [b"x"], "text": ["x"]}))},
        "an image or video in a known format in each row, got none for 1 .row 0 of a.parquet",
        UnreadableSource,
    ),
    "a blank caption": (
        {"a.parquet": parquet(pa.table({"image": [JPG], "text": [" "]}))},
        "a caption for each image and video, got none for 1 .row 0 of a.parquet",
        UnreadableSource,
    ),
    "paths of nothing": (
        {"a.parquet": parquet(pa.table({"image": ["b.jpg"], "text": ["x"]}))},
        "a file for each name in a list, got none for 1 .b.jpg .row 0 of a.parquet",
        UnreadableSource,
    ),
    "another split": (
        {"data/test-0.parquet": parquet(pa.table({"image": [JPG], "text": ["x"]}))},
        "of the split 'train', got test: data/test-0.parquet; set split",
        UnreadableSource,
    ),
}


@pytest.mark.parametrize(("files", "match", "kind"), WRONG_TABLES.values(), ids=WRONG_TABLES)
def test_parquet(tmp_path, files, match, kind):
    refused(tmp_path, files, match, kind)


def test_no_parquet_file(tmp_path):
    url = write(tmp_path / "set", {"a.parquet": b"no table"})
    with pytest.raises(ShardCorrupt, match="a.parquet: not a readable Parquet file"):
        open_training_source(url)


def test_caption_columns_that_are_not_there(tmp_path):
    refused(
        tmp_path,
        table("image"),
        "expected the caption columns text, long, got no long among key, text; correct",
        MissingColumn,
        caption_columns=("text", "long"),
    )


MIXTURES = {
    "two layouts": (
        {**FOLDER, **PAIRS},
        (
            "one layout, got folder .metadata.jsonl. and pairs .4 texts beside .*; set layout "
            "to 'folder' or 'pairs', or move the other files"
        ),
    ),
    "tars and tables": (
        {**TARS, **table("image")},
        "got parquet .1 Parquet files, .*. and webdataset .2 tars, such as 00000.tar.; set layout",
    ),
    "lists and pairs": ({**TWO_FILE, "a.txt": b"x", "a.jpg": JPG}, "got pairs .* and two_file"),
    "a shard set and pairs": (
        {**shards("image"), "a.txt": b"x", "a.jpg": JPG},
        "got pairs .1 texts beside .* and shards .the shard sets .*set.; set layout to 'pairs' or",
    ),
    "shard sets and pairs": (
        {**{f"one/{name}": data for name, data in shards("image").items()}, **PAIRS},
        "got pairs .4 texts beside .* and shards .the shard sets .*set/one.; set layout",
    ),
    "a split and tars": (
        {**split("image"), "more.tar": b"x"},
        "got split .current.json. and webdataset .2 tars, .*; set layout",
    ),
    "no layout": (
        media_files("image"),
        (
            r"expected captions.txt with images.txt .*, got 4 other files \(0001.jpg, 0002.jpg, "
            r"0003.jpg, ...\); add captions, or set layout"
        ),
    ),
    "images and videos": (
        {**PAIRS, "a.mp4": MP4, "a.txt": b"x"},
        r"expected images or videos, got images \(0001\) and videos \(a\); set medium to",
    ),
}


@pytest.mark.parametrize(("files", "match"), MIXTURES.values(), ids=MIXTURES)
def test_mixtures(tmp_path, files, match):
    refused(tmp_path, files, match)


def test_a_layout_that_is_not_there(tmp_path):
    for layout, match in {
        "shards": "expected a shard set, got no manifest.json",
        "split": "expected a split, got neither current.json nor",
        "folder": "expected a metadata file .*, got none",
        "webdataset": "expected tars without compression.*, got none",
        "parquet": "expected Parquet files, got none",
        "two_file": "expected exactly one list of captions",
    }.items():
        refused(tmp_path, PAIRS, match, layout=layout)


def test_no_videos_among_images(tmp_path):
    url = write(tmp_path / "set", FOLDER)
    with pytest.raises(EmptyList, match="expected videos, got none"):
        open_training_source(url, SourceOptions(medium="video"))


def test_frames_of_a_split(tmp_path):
    write_recordings(tmp_path / "recordings", 4)
    store = open_store(str(tmp_path / "split"))
    split_archives(Recordings(open_store(str(tmp_path / "recordings"))), store)
    with pytest.raises(UnreadableSource, match="got videos as folders of frames"):
        open_training_source(store.url)
    with pytest.raises(UnreadableSource, match="one of the splits train, validation, test, got"):
        open_training_source(store.url, SourceOptions(split="tests"))


def test_incomplete_samples_are_left_out_and_counted(tmp_path, caplog):
    files = {**without(PAIRS, "0002.txt"), "lonely.txt": b"A text."}
    url = write(tmp_path / "set", files)
    with caplog.at_level(logging.WARNING):
        source = open_training_source(url, SourceOptions(incomplete="skip"))
    assert [sample.key for sample in source.samples] == ["0001", "0003", "0004"]
    assert source.skipped == {
        "a caption for each image and video": 1,
        "an image or video for each caption": 1,
    }
    assert "samples were left out" in caplog.text


def test_places_that_are_not_there(tmp_path):
    with pytest.raises(ObjectMissing, match="expected a folder with samples, got no files"):
        open_training_source(str(tmp_path / "nothing"))
    with pytest.raises(UnreadableSource, match="expected no revision for a place that is not"):
        open_training_source(str(tmp_path), SourceOptions(revision="main"))


def test_repositories_that_are_not_there(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)
        hub.create("org/set")
        hub.write("org/set", {"README.md": b"x"})
        with pytest.raises(ObjectMissing, match="org/none is not a local folder"):
            open_training_source("org/none")
        with pytest.raises(ObjectMissing, match="has no revision 'v2'"):
            open_training_source("org/set", SourceOptions(revision="v2"))
        with pytest.raises(ObjectMissing, match="got no files"):
            open_training_source("hf://datasets/org/set")
        with pytest.raises(ConfigurationError, match="give one of them"):
            repository_url("org/set@main", "v2")
        with pytest.raises(ConfigurationError, match="expected a repository such as"):
            repository_url("set")


def test_options():
    with pytest.raises(UnknownName, match="unknown training_layout 'pair'.*did you mean 'pairs'"):
        SourceOptions(layout="pair")
    for wrong in (
        {"medium": "audio"},
        {"caption_columns": "text"},
        {"split": ""},
        {"incomplete": "drop"},
        {"subfolders": 1},
        {"payload_column": ""},
    ):
        with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}: expected"):
            SourceOptions(**wrong)


def test_csv_of_rows():
    assert csv_of(ROWS[:1]) == b'file_name,caption\n"0001.jpg","A goat."'
