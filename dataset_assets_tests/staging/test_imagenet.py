"""ImageNet, from the archives and tables that Kaggle gives."""

import io
import json
import shutil

import pytest
import torch

from dataset_assets.errors import ConfigurationError, SourceError, UnreadableSource
from dataset_assets.pipelines.stage.stage import StoreAccess
from dataset_assets.records.staged import SampleError
from dataset_assets.staging.sources.imagenet import ImagenetOptions, Source
from dataset_assets.staging.sources.imagenet._tables import (
    make_meta_bin,
    read_solution,
    read_synsets,
)
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.archive_server import ArchiveServer
from dataset_assets_tests.support.tiny_imagenet import (
    CMYK_IMAGE,
    PNG_IMAGE,
    SYNSETS,
    val_wnid,
    write_imagenet,
)

WNIDS = sorted(SYNSETS)


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """One folder for each kind of archive."""
    return {
        kind: write_imagenet(tmp_path_factory.mktemp(kind.replace(".", "_")), kind=kind)
        for kind in ("tar.gz", "tar", "zip", "nested")
    }


def open_partition(tmp_path, name, path, **options):
    source = Source(ImagenetOptions(path=str(path), partitions=(name,), **options))
    return source.open(name, StoreAccess(open_store(str(tmp_path / name))))


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip", "nested"])
def test_train_samples_have_their_class_when_read_from_any_archive(tmp_path, archives, kind):
    partition = open_partition(tmp_path, "train", archives[kind])
    samples = [partition.make_sample(item) for item in partition.read_items(0)]
    assert [
        (sample.key, sample.columns["wnid"], sample.columns["label"]) for sample in samples
    ] == [(f"{wnid}_{number}", wnid, WNIDS.index(wnid)) for wnid in SYNSETS for number in range(4)]
    assert json.loads(samples[0].parts["annotations.json"]) == {
        "boxes": [{"wnid": WNIDS[0], "left": 1, "top": 2, "right": 30, "bottom": 20}]
    }
    assert samples[5].label_counts == {1: 1}
    assert [(label.id, label.category, label.name) for label in partition.classes][1] == (
        1,
        "n01443537",
        "goldfish",
    )


def test_val_samples_have_the_class_of_the_solution_when_files_are_flat(tmp_path, archives):
    partition = open_partition(tmp_path, "val", archives["tar.gz"])
    samples = [partition.make_sample(item) for item in partition.read_items(0)]
    assert [sample.columns["wnid"] for sample in samples] == [
        val_wnid(number) for number in range(1, 5)
    ]
    assert len(json.loads(samples[0].parts["annotations.json"])["boxes"]) == 2


def test_test_samples_have_no_class_when_none_is_published(tmp_path, archives):
    partition = open_partition(tmp_path, "test", archives["tar.gz"])
    samples = [partition.make_sample(item) for item in partition.read_items(0)]
    assert [
        (sample.columns["wnid"], sample.columns["label"], sample.parts, sample.label_counts)
        for sample in samples
    ] == [(None, None, {}, {})] * 4


def test_files_are_known_for_what_they_are_when_their_names_lie(tmp_path, archives):
    partition = open_partition(tmp_path, "train", archives["tar.gz"])
    found = {sample.key: sample for sample in map(partition.make_sample, partition.read_items(0))}
    assert (found[PNG_IMAGE].extension, found[PNG_IMAGE].columns["format"]) == ("png", "png")
    assert found[CMYK_IMAGE].extension == "jpeg"


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip", "nested"])
def test_the_rest_is_read_when_begun_in_the_middle(tmp_path, archives, kind):
    partition = open_partition(tmp_path, "train", archives[kind])
    assert list(partition.read_items(7)) == list(partition.read_items(0))[7:]


def test_meta_bin_is_what_torchvision_reads_when_written(tmp_path, archives):
    open_partition(tmp_path, "val", archives["tar.gz"])
    kept = open_store(str(tmp_path / "val")).read("annotations/meta.bin")
    names, val = torch.load(io.BytesIO(kept), weights_only=True)
    assert names == {wnid: tuple(text.split(", ")) for wnid, text in SYNSETS.items()}
    assert list(names) == WNIDS
    assert val == [val_wnid(number) for number in range(1, 5)]
    synsets = read_synsets("\n".join(f"{wnid} {text}" for wnid, text in SYNSETS.items()))
    assert make_meta_bin(synsets, {}) == make_meta_bin(synsets, {})


def test_another_place_gives_the_same_fingerprint_when_the_archive_is_equal(tmp_path, archives):
    copy = shutil.copytree(archives["tar.gz"], tmp_path / "copy")
    first, second = (
        open_partition(tmp_path, "val", archives["tar.gz"]),
        open_partition(tmp_path / "other", "val", copy),
    )
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != open_partition(tmp_path, "train", archives["tar.gz"]).fingerprint


def test_tables_are_found_in_a_folder_of_their_own_when_named(tmp_path, archives):
    alone = tmp_path / "alone"
    alone.mkdir()
    archive = shutil.copy(archives["tar"] / "imagenet.tar", alone)
    with pytest.raises(
        SourceError, match="LOC_synset_mapping.txt is neither in .* nor in imagenet.tar"
    ):
        open_partition(tmp_path, "val", archive)
    partition = open_partition(tmp_path, "val", archive, labels=str(archives["tar"]))
    assert partition.make_sample(next(partition.read_items(0))).columns["wnid"] == val_wnid(1)


def test_tables_are_read_from_the_archive_when_a_server_has_none(tmp_path, archives):
    with ArchiveServer(archives["nested"]) as server:
        partition = open_partition(
            tmp_path, "val", server.url("imagenet-object-localization-challenge.zip")
        )
        assert [
            partition.make_sample(item).columns["wnid"] for item in partition.read_items(0)
        ] == [val_wnid(number) for number in range(1, 5)]


def test_a_folder_without_one_archive_is_one_line_when_opened(tmp_path, archives):
    with pytest.raises(SourceError, match="expected one archive of ImageNet .* found none"):
        open_partition(tmp_path, "val", tmp_path)
    both = shutil.copytree(archives["tar"], tmp_path / "both")
    (both / "more.zip").write_bytes(b"")
    with pytest.raises(
        SourceError, match=r"found imagenet.tar, more.zip; give the path of the file"
    ):
        open_partition(tmp_path, "val", both)


def test_an_archive_without_images_is_one_line_when_read(tmp_path, archives):
    folder = shutil.copytree(archives["zip"], tmp_path / "empty")
    shutil.make_archive(str(folder / "imagenet"), "zip", tmp_path, "both") if (
        tmp_path / "both"
    ).is_dir() else None
    (folder / "imagenet.zip").unlink()
    (tmp_path / "stuff").mkdir()
    (tmp_path / "stuff" / "a.txt").write_text("a")
    shutil.make_archive(str(folder / "imagenet"), "zip", tmp_path / "stuff")
    with pytest.raises(
        SourceError, match=r"expected images ILSVRC/Data/CLS-LOC/val/\*.JPEG, found none"
    ):
        list(open_partition(tmp_path, "val", folder).read_items(0))


def test_an_image_is_a_bad_sample_when_the_solution_does_not_have_it(tmp_path, archives):
    folder = shutil.copytree(archives["tar"], tmp_path / "short")
    table = folder / "LOC_val_solution.csv"
    table.write_text(
        "".join(
            line for line in table.read_text().splitlines(keepends=True) if "00000002" not in line
        )
    )
    partition = open_partition(tmp_path, "val", folder)
    items = list(partition.read_items(0))
    with pytest.raises(SampleError, match="LOC_val_solution.csv has no class for it"):
        partition.make_sample(items[1])
    assert partition.make_sample(items[2]).columns["wnid"] == val_wnid(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("n0144 tench", "line 1: expected a WordNet id and names"),
        ("n01440764 tench\nn01443537", "line 2: expected a WordNet id and names"),
    ],
)
def test_a_table_of_synsets_is_refused_when_a_line_is_wrong(text, message):
    with pytest.raises(UnreadableSource, match=message):
        read_synsets(text)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["Image,Prediction"], "expected the columns ImageId,PredictionString"),
        (["ImageId,PredictionString", "a,"], "line 2: expected an image"),
        (["ImageId,PredictionString", "a,n01440764 1 2 3"], "line 2: expected an image"),
        (
            ["ImageId,PredictionString", "a,n99999999 1 2 3 4"],
            "line 2: .* class n99999999, which LOC_synset_mapping.txt does not have",
        ),
    ],
)
def test_a_solution_is_refused_when_a_line_is_wrong(lines, message):
    with pytest.raises(UnreadableSource, match=message):
        read_solution("LOC_val_solution.csv", lines, {"n01440764": ()})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ""}, "path: expected the archive"),
        ({"path": "x", "partitions": ("valid",)}, "got 'valid'"),
    ],
)
def test_an_option_is_refused_when_it_can_not_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        ImagenetOptions(**options)
