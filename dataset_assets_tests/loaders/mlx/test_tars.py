import io
import json
import os

import numpy as np
import pytest
from PIL import Image

from dataset_assets.archives.tar_header import SPLIT
from dataset_assets.archives.tar_writer import TarWriter
from dataset_assets.errors import ConfigurationError, MissingColumn, ObjectMissing, ShardCorrupt
from dataset_assets.loaders.mlx.stream import shards_to_mlx_stream
from dataset_assets.loaders.order.random_streams import permutation
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.records.splits import ArchiveFile, SplitCount, SplitManifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.sources import shards
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.numbered_images import encoded, labels_of, write_shards

pytest.importorskip("mlx.data")


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "set"))


def payloads(shards=3, rows=20, failed=(4, 5, 39)):
    return [
        [
            None if shard * rows + row in failed else encoded(shard * rows + row)
            for row in range(rows)
        ]
        for shard in range(shards)
    ]


SUCCESSES = [number for number in range(60) if number not in (4, 5, 39)]


def test_samples_have_the_order_of_the_shards_when_not_shuffled(store):
    write_shards(store, payloads())
    batches = list(shards_to_mlx_stream(store.url))
    assert [batch["image"].shape for batch in batches] == [(32, 16, 24, 3), (25, 16, 24, 3)]
    assert labels_of(batches) == SUCCESSES
    for position, number in ((0, 0), (4, 6), (31, 33)):
        expected = np.array(Image.open(io.BytesIO(encoded(number)))).astype("float32") / 255
        assert np.array_equal(batches[0]["image"][position], expected)


def test_order_is_that_of_the_permutation_when_shuffled(store):
    write_shards(store, payloads())
    stream = shards_to_mlx_stream(store, shuffle=True, seed=9, batch_size=10)
    for epoch in range(3):
        stream.reset()
        assert labels_of(stream) == [
            SUCCESSES[index] for index in permutation(len(SUCCESSES), seed=9, epoch=epoch)
        ]


def test_captions_are_the_labels_when_label_key_names_them(store):
    write_shards(store, payloads(shards=1), labels=False)
    batch = next(shards_to_mlx_stream(store, label_key="caption"))
    assert bytes(batch["label"][0]) == b"a cat"
    assert set(next(shards_to_mlx_stream(store))) == {"image"}


def test_damaged_payload_is_skipped_when_its_shard_is_intact(store, caplog):
    files = payloads()
    files[1][3] = b"no image"
    write_shards(store, files)
    stream = shards_to_mlx_stream(store)
    assert labels_of(stream) == [number for number in SUCCESSES if number != 23]
    assert stream.skipped == 1
    assert caplog.messages[0].startswith("skipped 00001.tar at byte ")


def test_files_that_the_manifest_does_not_list_are_not_read(store):
    write_shards(store, payloads())
    store.write("00007.tar", b"of another run")
    assert labels_of(shards_to_mlx_stream(store)) == SUCCESSES


def test_set_is_refused_when_a_tar_is_cut_before_it_is_opened(store):
    write_shards(store, payloads())
    store.write("00001.tar", store.read("00001.tar")[:-600])
    with pytest.raises(ShardCorrupt, match=r"00001.tar has \d+ bytes, expected \d+"):
        shards_to_mlx_stream(store)


def test_stream_ends_with_an_error_when_a_tar_is_cut_while_it_is_read(store):
    write_shards(store, payloads())
    stream = shards_to_mlx_stream(store, batch_size=8, prefetch=1, threads=1)
    next(stream)
    store.write("00002.tar", b"")
    with pytest.raises(ShardCorrupt, match="00002.tar ends before byte"):
        list(stream)


def test_stream_ends_with_an_error_when_a_tar_is_deleted_while_it_is_read(store):
    write_shards(store, payloads())
    stream = shards_to_mlx_stream(store, batch_size=8, prefetch=1, threads=1)
    store.delete("00002.tar")
    with pytest.raises(ObjectMissing, match="00002.tar"):
        list(stream)


def test_format_is_named_when_samples_cannot_be_read_one_by_one(store):
    write_shards(store, payloads(), output_format="parquet")
    with pytest.raises(
        ConfigurationError, match="expected shards of the format 'webdataset'.*got 'parquet'"
    ):
        shards_to_mlx_stream(store)


def test_column_is_named_when_it_is_missing(store):
    write_shards(store, payloads(shards=1))
    with pytest.raises(MissingColumn, match="has no column 'fine' but label, score"):
        shards_to_mlx_stream(store, label_key="fine")


def test_folder_is_named_when_there_is_nothing(store):
    with pytest.raises(ObjectMissing, match=r"set/manifest.json"):
        shards_to_mlx_stream(store)


def test_set_without_samples_has_no_batches(store):
    write_shards(store, [[None, None]])
    assert list(shards_to_mlx_stream(store)) == []


# --- splits ---


def write_split(
    store, keys_by_split, *, layout="webdataset", media="image", compression="none", broken=()
):
    """Write a split with archives of two samples."""
    version = "ab" * 32
    folder = store.child(f"versions/{version}")
    suffix = "tar.gz" if compression == "gz" else "tar"
    files = []
    for split, keys in keys_by_split.items():
        for first in range(0, len(keys), 2):
            name = f"archives/{split}-{first // 2:05d}-of-{(len(keys) + 1) // 2:05d}.{suffix}"
            with TarWriter(folder.stage(name), SPLIT, suffix) as tar:
                for key in keys[first : first + 2]:
                    data = b"no image" if key in broken else encoded(int(key[-2:]))
                    metadata = (
                        [(f"{key}.json", json.dumps({"label": int(key[-2:])}).encode())]
                        if layout == "webdataset"
                        else []
                    )
                    tar.add([(f"{key}.jpg", data), *metadata])
                size, sha256, members = tar.commit()
            files.append(
                ArchiveFile(
                    name, split, suffix, size, sha256, len(keys[first : first + 2]), members
                )
            )
    counts = {split: SplitCount(len(keys), len(keys), 0) for split, keys in keys_by_split.items()}
    manifest = SplitManifest(version, "f" * 64, media, {"label": "int64"}, counts, tuple(files), {})
    folder.write("manifest.json", manifest.to_json())
    store.write("current.json", json.dumps({"version": version, "previous": []}).encode())


KEYS = {
    "train": [f"set/a{number:02d}" for number in range(7)],
    "validation": ["set/b07", "set/b08"],
    "test": [],
}


def test_samples_are_those_of_the_named_split(store):
    write_split(store, KEYS)
    assert labels_of(shards_to_mlx_stream(store.url, "train", batch_size=3)) == list(range(7))
    assert labels_of(shards_to_mlx_stream(store, split="validation")) == [7, 8]
    assert list(shards_to_mlx_stream(store, split="test")) == []
    batch = next(shards_to_mlx_stream(store, "train", shuffle=True, seed=1))
    assert batch["label"].tolist() == permutation(7, seed=1, epoch=0).tolist()
    expected = (
        np.array(Image.open(io.BytesIO(encoded(int(batch["label"][2]))))).astype("float32") / 255
    )
    assert np.array_equal(batch["image"][2], expected)


def test_missing_labels_are_named_when_the_layout_has_none(store):
    write_split(store, KEYS, layout="frames")
    with pytest.raises(ConfigurationError, match="no metadata in the archive, so no 'label'"):
        shards_to_mlx_stream(store, "train")
    batch = next(shards_to_mlx_stream(store, "train", label_key=None))
    assert (set(batch), len(batch["image"])) == ({"image"}, 7)


@pytest.mark.parametrize(
    ("changes", "split", "message"),
    [
        ({}, None, "split: expected one of train, validation, test, got None"),
        ({}, "dev", "split: expected one of train, validation, test, got 'dev'"),
        ({"media": "frames"}, "train", "expected images, got 'frames'"),
        ({"compression": "gz"}, "train", "has no uncompressed tars"),
    ],
)
def test_split_is_refused_when_it_cannot_be_read(store, changes, split, message):
    write_split(store, KEYS, **changes)
    with pytest.raises(ConfigurationError, match=message):
        shards_to_mlx_stream(store, split)


def test_column_is_named_when_a_split_does_not_have_it(store):
    write_split(store, KEYS)
    with pytest.raises(MissingColumn, match="has no column 'caption' but label"):
        shards_to_mlx_stream(store, "train", label_key="caption")


def test_split_is_refused_when_its_archives_are_damaged(store):
    write_split(store, KEYS)
    name = f"versions/{'ab' * 32}/archives/train-00001-of-00004.tar"
    data = store.read(name)
    store.write(name, data[:-512])
    with pytest.raises(ShardCorrupt, match=r"train-00001-of-00004.tar has \d+ bytes, expected"):
        shards_to_mlx_stream(store, "train")
    store.write(name, b"x" * len(data))
    with pytest.raises(ShardCorrupt, match="train-00001-of-00004.tar"):
        shards_to_mlx_stream(store, "train")
    store.write("current.json", b"{}")
    with pytest.raises(
        ShardCorrupt, match=r"current.json: expected a pointer to a version of a split"
    ):
        shards_to_mlx_stream(store, "train")


def test_split_name_is_refused_when_the_folder_is_a_shard_set(store):
    write_shards(store, payloads(shards=1))
    with pytest.raises(ConfigurationError, match="is a shard set and has no split 'train'"):
        shards_to_mlx_stream(store, "train")


def test_every_sample_is_in_one_split_when_the_pipeline_made_them(store, tmp_path):
    write_shards(store, payloads())
    splits = Store(str(tmp_path / "splits"))
    split_archives(
        shards.SplitSource([store]),
        splits,
        SplitOptions(seed=1, keep_duplicates_together=False),
        ArchiveOptions(max_archive_bytes=20_000),
    )
    found = {
        split: labels_of(shards_to_mlx_stream(splits, split))
        for split in ("train", "validation", "test")
    }
    assert sorted(label for labels in found.values() for label in labels) == SUCCESSES
    assert [len(labels) for labels in found.values()] == [43, 8, 6]
