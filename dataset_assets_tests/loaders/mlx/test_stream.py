import gc
import logging
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError, MissingColumn, MissingDependency, SourceError
from dataset_assets.loaders.mlx.stream import hf_dataset_to_mlx_stream
from dataset_assets_tests.loaders.numbered_images import encoded, hf_dataset, labels_of

pytest.importorskip("mlx.data")

ROOT = Path(__file__).parents[3]
DAMAGED = encoded(99)[:200]


@pytest.fixture(scope="module")
def dataset():
    return hf_dataset([encoded(index) for index in range(70)])


def tutorial_arrays(dataset):
    return [np.array(image).copy().astype("float32") / 255 for image in dataset["image"]]


def test_batches_are_those_of_the_tutorial_when_not_shuffled(dataset):
    stream = hf_dataset_to_mlx_stream(dataset, shuffle=False)
    stream.reset()
    batches = list(stream)
    assert [set(batch) for batch in batches] == [{"image", "label"}] * 3
    assert [batch["image"].shape for batch in batches] == [
        (32, 16, 24, 3),
        (32, 16, 24, 3),
        (6, 16, 24, 3),
    ]
    assert {(batch["image"].dtype, batch["label"].dtype) for batch in batches} == {
        (np.dtype("float32"), np.dtype("int64"))
    }
    assert np.array_equal(
        np.concatenate([batch["image"] for batch in batches]), tutorial_arrays(dataset)
    )
    assert np.concatenate([batch["label"] for batch in batches]).tolist() == list(range(70))


def test_gray_images_have_two_dimensions_when_the_dataset_is_mnist():
    dataset = hf_dataset(
        [encoded(index, size=(28, 28), mode="L", file_format="PNG") for index in range(40)]
    )
    first, second = hf_dataset_to_mlx_stream(dataset)
    assert first["image"].shape == (32, 28, 28)
    assert np.array_equal(
        np.concatenate([first["image"], second["image"]]), tutorial_arrays(dataset)
    )


def test_stream_has_the_methods_of_mlx_data(dataset):
    import mlx.data as dx

    stream = hf_dataset_to_mlx_stream(dataset)
    assert isinstance(stream.stream, dx.Stream)
    chained = stream.key_transform(
        "image", lambda images: images.reshape(len(images), -1)
    ).prefetch(2, 2)
    assert sorted(labels_of(chained)) == list(range(70))
    chained.reset()
    assert next(chained)["image"].shape == (32, 16 * 24 * 3)
    assert stream.epoch == 1


def test_each_epoch_has_another_order_when_shuffled(dataset):
    stream = hf_dataset_to_mlx_stream(dataset, shuffle=True)
    epochs = []
    for _ in range(4):
        stream.reset()
        batches = list(stream)
        assert [len(batch["label"]) for batch in batches] == [32, 32, 6]
        epochs.append(labels_of(batches))
        assert list(stream) == []  # until the next reset
    assert stream.epoch == 3
    assert len(set(map(tuple, epochs))) == 4
    assert all(sorted(epoch) == list(range(70)) for epoch in epochs)


def test_images_keep_their_labels_when_shuffled(dataset):
    expected = tutorial_arrays(dataset)
    for batch in hf_dataset_to_mlx_stream(dataset, shuffle=True, seed=3):
        assert np.array_equal(batch["image"], [expected[label] for label in batch["label"]])


def test_order_is_equal_when_seed_and_epoch_are_equal(dataset):
    one = hf_dataset_to_mlx_stream(
        dataset, shuffle=True, seed=5, batch_size=8, threads=1, prefetch=1
    )
    first = labels_of(one)
    one.reset()
    second = labels_of(one)
    other = hf_dataset_to_mlx_stream(dataset, shuffle=True, seed=5, epoch=1, threads=7)
    assert labels_of(other) == second != first
    other.reset(epoch=0)
    assert (other.epoch, labels_of(other)) == (0, first)
    assert labels_of(hf_dataset_to_mlx_stream(dataset, shuffle=True, seed=6)) != first


def test_epoch_resumes_when_the_iteration_was_left(dataset):
    stream = hf_dataset_to_mlx_stream(dataset, shuffle=True)
    stream.reset()
    stream.reset()
    assert stream.epoch == 0  # nothing was taken
    next(stream)
    stream.reset()
    assert (stream.epoch, len(labels_of(stream))) == (1, 70)


def test_damaged_images_are_counted_and_logged_when_skipped(caplog):
    files = [DAMAGED if index in (0, 17, 50) else encoded(index) for index in range(70)]
    files[20] = None  # a missing image
    stream = hf_dataset_to_mlx_stream(hf_dataset(files))
    with caplog.at_level(logging.WARNING, "dataset_assets"):
        batches = list(stream)
    assert [len(batch["label"]) for batch in batches] == [
        32,
        32,
        2,
    ]  # one short batch, though four are missing
    assert labels_of(batches) == [label for label in range(70) if label not in (0, 17, 20, 50)]
    assert stream.skipped == 4
    assert [message.split(":")[0] for message in caplog.messages[:4]] == [
        "skipped row 0",
        "skipped row 17",
        "skipped row 20",
        "skipped row 50",
    ]
    assert caplog.messages[4:] == ["epoch 0: skipped 4 of 70 samples"]
    stream.reset()
    assert len(list(stream)) == 3
    assert stream.skipped == 8


def test_log_has_a_few_lines_when_many_images_are_damaged(caplog):
    stream = hf_dataset_to_mlx_stream(hf_dataset([encoded(0), *[DAMAGED] * 40]))
    assert (labels_of(stream), stream.skipped) == ([0], 40)
    assert len(caplog.messages) == 11


def test_error_has_the_cause_when_no_image_can_be_decoded():
    stream = hf_dataset_to_mlx_stream(hf_dataset([DAMAGED] * 20))
    with pytest.raises(
        SourceError, match="none of the 20 images can be decoded, the last is row 19: "
    ):
        next(stream)
    assert list(stream) == []


PROGRAM = """
import sys
from dataset_assets.loaders.mlx.stream import hf_dataset_to_mlx_stream
from dataset_assets_tests.loaders.numbered_images import encoded, hf_dataset, labels_of
files = [encoded(index)[: 200 if index % 5 == 4 else None] for index in range(100)]
files[3::7] = [b"no image"] * len(files[3::7])
stream = hf_dataset_to_mlx_stream(hf_dataset(files), shuffle=True, batch_size=8)
if sys.argv[1] == "prefetched":  # as in the tutorial, where an exception would end the process
    print(len(labels_of(stream.prefetch(8, 4))))
elif sys.argv[1] == "left":
    print(len(next(stream)["label"]))
else:
    print(sum(len(labels_of(stream)) + (stream.reset() or 0) for _ in range(3)))
"""


@pytest.mark.parametrize(("way", "printed"), [("whole", 207), ("prefetched", 69), ("left", 8)])
def test_process_exits_with_zero_when_images_are_damaged(way, printed):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, way],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, f"{printed}\n"), done.stderr


def test_batches_have_no_labels_when_the_dataset_has_none(dataset):
    unlabelled = dataset.remove_columns("label")
    assert [set(batch) for batch in hf_dataset_to_mlx_stream(unlabelled, batch_size=64)] == [
        {"image"}
    ] * 2
    assert [
        set(batch) for batch in hf_dataset_to_mlx_stream(dataset, label_key=None, batch_size=64)
    ] == [{"image"}] * 2


def test_batches_keep_their_keys_when_the_columns_have_other_names(dataset):
    renamed = dataset.rename_columns({"image": "img", "label": "fine"})
    batch = next(hf_dataset_to_mlx_stream(renamed, image_key="img", label_key="fine"))
    assert set(batch) == {"image", "label"}
    assert batch["label"].tolist() == list(range(32))


@pytest.mark.parametrize("keys", [{"image_key": "picture"}, {"label_key": "caption"}])
@pytest.mark.parametrize("kind", ["dataset", "iterable", "list"])
def test_columns_are_named_when_one_is_missing(dataset, keys, kind):
    given = {
        "dataset": dataset,
        "iterable": dataset.to_iterable_dataset(),
        "list": list(dataset.take(2)),
    }[kind]
    with pytest.raises(
        MissingColumn,
        match=f"no column '{next(iter(keys.values()))}' in image, label; name it with",
    ):
        hf_dataset_to_mlx_stream(given, **keys)


def test_split_is_requested_when_a_dictionary_is_given(dataset):
    import datasets

    with pytest.raises(
        ConfigurationError,
        match=r"expected one split, got a dictionary of train, test; choose one: ds\['train'\]",
    ):
        hf_dataset_to_mlx_stream(datasets.DatasetDict(train=dataset, test=dataset))


@pytest.mark.parametrize("wrong", [7, (row for row in ())])
def test_dataset_is_refused_when_it_is_something_else(wrong):
    with pytest.raises(
        ConfigurationError, match=f"a list of dictionaries, got {type(wrong).__name__}"
    ):
        hf_dataset_to_mlx_stream(wrong)


def test_missing_package_is_named_when_it_is_not_installed(dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlx.data", None)
    with pytest.raises(MissingDependency, match=r"pip install 'dataset-assets\[mlx\]'"):
        hf_dataset_to_mlx_stream(dataset)


def test_iterable_dataset_is_streamed(dataset):
    stream = hf_dataset_to_mlx_stream(dataset.to_iterable_dataset(num_shards=7))
    assert labels_of(stream) == list(range(70))
    shuffled = hf_dataset_to_mlx_stream(dataset.to_iterable_dataset(num_shards=7), shuffle=True)
    first = labels_of(shuffled)
    shuffled.reset()
    second = labels_of(shuffled)
    assert sorted(first) == sorted(second) == list(range(70))
    assert first != second != list(range(70))


def test_rows_are_found_when_the_dataset_was_selected_from(dataset):
    picked = dataset.shuffle(seed=1).select(range(40))
    assert labels_of(hf_dataset_to_mlx_stream(picked)) == picked["label"][:40]


@pytest.mark.parametrize("count", [0, 1, 32, 33])
def test_there_is_at_most_one_short_batch_when_the_count_varies(dataset, count):
    batches = [
        len(batch["label"]) for batch in hf_dataset_to_mlx_stream(dataset.select(range(count)))
    ]
    assert batches == [32] * (count // 32) + ([count % 32] if count % 32 else [])


def test_list_of_dictionaries_is_read_as_in_the_tutorial():
    arrays = [{"image": np.full((4, 5), index, np.uint8), "label": index} for index in range(40)]
    first, second = hf_dataset_to_mlx_stream(arrays)
    assert (first["image"].shape, second["image"].shape) == ((32, 4, 5), (8, 4, 5))
    assert second["image"][7, 0, 0] == np.float32(39) / 255


def test_transform_of_the_user_is_applied_when_the_dataset_has_one(dataset):
    def flip(rows):
        return {"image": [image.transpose(0) for image in rows["image"]], "label": rows["label"]}

    batch = next(hf_dataset_to_mlx_stream(dataset.with_transform(flip), dtype="uint8"))
    assert np.array_equal(batch["image"][3], np.array(dataset[3]["image"])[:, ::-1])


def test_array_columns_are_read_when_they_hold_pixels():
    import datasets

    features = datasets.Features(
        {"image": datasets.Array3D((4, 5, 3), "uint8"), "label": datasets.Value("string")}
    )
    dataset = datasets.Dataset.from_dict(
        {"image": np.full((6, 4, 5, 3), 9, np.uint8), "label": list("abcdef")}, features=features
    )
    batch = next(hf_dataset_to_mlx_stream(dataset, dtype="uint8"))
    assert (batch["image"].dtype, batch["image"].shape) == (np.uint8, (6, 4, 5, 3))
    assert (batch["label"].shape, batch["label"].tobytes()) == ((6, 1), b"abcdef")


def test_files_are_read_when_a_column_holds_bytes():
    import datasets

    dataset = datasets.Dataset.from_dict({"jpg": [encoded(1), encoded(2)]})
    assert next(hf_dataset_to_mlx_stream(dataset, image_key="jpg"))["image"].shape == (2, 16, 24, 3)


def test_files_are_read_when_a_column_holds_paths(tmp_path):
    import datasets

    (tmp_path / "a.jpg").write_bytes(encoded(1))
    dataset = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "a.jpg"), str(tmp_path / "gone.jpg")]}
    )
    stream = hf_dataset_to_mlx_stream(dataset.cast_column("image", datasets.Image()))
    assert (next(stream)["image"].shape, stream.skipped) == ((1, 16, 24, 3), 1)


def test_videos_are_refused_when_the_column_holds_lists():
    import datasets

    dataset = datasets.Dataset.from_dict({"image": [[{"bytes": encoded(1), "path": None}]]})
    dataset = dataset.cast_column("image", datasets.List(datasets.Image()))
    with pytest.raises(ConfigurationError, match="column 'image': expected an image per sample"):
        hf_dataset_to_mlx_stream(dataset)


def test_threads_end_when_streams_do(dataset):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name.startswith("mlx-stream")]

    stream = hf_dataset_to_mlx_stream(dataset, batch_size=8)
    next(stream)
    assert threads()
    stream.reset()
    assert not threads()
    next(stream)
    del stream
    gc.collect()
    assert not threads()
