"""A dataset configuration of finetrainers opens what it names: folders, repositories and files."""

import json

import pytest

from dataset_assets.errors import MissingColumn, UnreadableSource
from dataset_assets.training.captions import arrange_columns, choose_caption
from dataset_assets.training.configured_source import open_configured_sources
from dataset_assets.training.layout import SourceOptions
from dataset_assets.training.source import open_training_source
from dataset_assets_tests.support.hub_server import HubServer, in_process
from dataset_assets_tests.training.training_sets import (
    CAPTIONS,
    METADATA,
    layout_files,
    media_files,
    pairs,
    rows,
    table,
    webdataset,
    write,
)


def configured(tmp_path, *entries):
    path = tmp_path / "training.json"
    path.write_text(json.dumps({"datasets": entries}))
    return open_configured_sources(str(path))


def test_folders_and_repositories(tmp_path, monkeypatch):
    local = write(tmp_path / "set", pairs("image"))
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)
        hub.create("org/clips")
        hub.write("org/clips", layout_files("two_file", "video"))
        found = configured(
            tmp_path,
            {
                "data_root": local,
                "dataset_type": "image",
                "image_resolution_buckets": [[512, 768]],
                "id_token": "TOK",
            },
            {"data_root": "org/clips", "dataset_type": "video", "reshape_mode": "center_crop"},
        )
    assert [each.source.layout for each in found] == ["pairs", "two_file"]
    assert [each.source.medium for each in found] == ["image", "video"]
    assert found[0].configured.options.captions.id_token == "TOK"
    assert [len(each.source.samples) for each in found] == [4, 4]


def test_the_medium_is_that_of_the_entry(tmp_path):
    local = write(tmp_path / "set", {**pairs("image"), **pairs("video")})
    found = configured(
        tmp_path,
        {"data_root": local, "dataset_type": "image"},
        {"data_root": local, "dataset_type": "video"},
    )
    assert [each.source.medium for each in found] == ["image", "video"]


FILES = {
    **{
        f"list.{suffix}": {
            **media_files("image"),
            f"list.{suffix}": METADATA[suffix](rows("image")),
        }
        for suffix in ("csv", "json", "jsonl")
    },
    "00001.tar": webdataset("image"),
    "data/train-00000-of-00001.parquet": table("image"),
}


@pytest.mark.parametrize("name", FILES)
def test_one_file(tmp_path, name):
    """The other files of its folder are not looked at, but for the images that it lists."""
    others = {"other.mp4": b"x", "metadata.csv": b"x", "a.tar": b"x"}
    folder = write(tmp_path / "set", {**FILES[name], **others})
    entry = {"dataset_file": f"{folder}/{name}", "dataset_type": "image"}
    ((_, source),) = configured(tmp_path, entry)
    texts = [next(iter(sample.captions.values())) for sample in source.samples]
    expected = list(CAPTIONS.values())
    assert texts == (expected[2:] if name.endswith(".tar") else expected)
    assert source.because == f"the file {name.rpartition('/')[2]}"


def test_one_file_of_a_repository(tmp_path, monkeypatch):
    with HubServer(tmp_path / "hub") as hub:
        in_process(monkeypatch, hub)
        hub.create("org/clips")
        hub.write("org/clips", webdataset("video"))
        source = open_training_source("hf://datasets/org/clips/00000.tar")
    assert [sample.key for sample in source.samples] == ["0001", "0002"]


def test_a_file_that_is_no_list(tmp_path):
    folder = write(tmp_path / "set", pairs("image"))
    with pytest.raises(UnreadableSource, match="expected a folder, or a file of the formats csv"):
        open_training_source(f"{folder}/0001.jpg")
    write(tmp_path / "set", webdataset("image"))
    with pytest.raises(UnreadableSource, match="in its layout, got another file; give the folder"):
        open_training_source(f"{folder}/00000.tar", SourceOptions(layout="parquet"))


def _texts(found):
    ((entry, source),) = found
    options = entry.options.captions
    arranged = (
        arrange_columns(sample.captions, sample.columns, options) for sample in source.samples
    )
    return {choose_caption(captions, options, key="a").text for captions, _ in arranged}


def test_columns_are_found_before_they_are_renamed(tmp_path):
    listed = [{"file_name": row["file_name"], "note": row["caption"]} for row in rows("image")]
    files = {**media_files("image"), "metadata.jsonl": METADATA["jsonl"](listed)}
    entry = {"data_root": write(tmp_path / "set", files), "dataset_type": "image"}
    assert _texts(configured(tmp_path, {**entry, "rename_columns": {"note": "caption"}})) == set(
        CAPTIONS.values()
    )
    chosen = {"caption_options": {"column_names": "note"}}
    assert _texts(configured(tmp_path, {**entry, **chosen})) == set(CAPTIONS.values())
    with pytest.raises(MissingColumn, match="got file_name, note; set caption_columns"):
        configured(tmp_path, entry)


def test_weights_name_the_columns(tmp_path):
    """Without `column_names`, those with a weight are the caption columns."""
    listed = [{**row, "note": "A note."} for row in rows("image")]
    files = {**media_files("image"), "metadata.jsonl": METADATA["jsonl"](listed)}
    entry = {"data_root": write(tmp_path / "set", files), "dataset_type": "image"}
    ((read, source),) = configured(
        tmp_path, {**entry, "caption_options": {"weights": {"note": 1, "caption": 0}}}
    )
    assert read.options.captions.caption_columns == ("note", "caption")
    assert list(source.samples[0].captions) == ["note", "caption"]
    assert _texts([(read, source)]) == {"A note."}
