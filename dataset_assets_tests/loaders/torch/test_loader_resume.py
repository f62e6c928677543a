import json
import signal

import pytest

from dataset_assets.errors import LoaderStateMismatch
from dataset_assets.loaders.torch.loader import LoaderSource, ShardLoader, ShardRows
from dataset_assets.storage.stores.local import Store
from dataset_assets_tests.loaders.small_loaders import global_batches, label_and_noise, labels, make
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

SPEC = SetSpec(counts=(30, 25, 35, 18), failed=1)  # 108 samples: 14 batches of 8

TRAINING = """
import json, os, signal, sys
from dataset_assets_tests.loaders.small_loaders import make

loader = make(sys.argv[1], num_workers=2, window_shards=2, seed=5)
list(loader)  # epoch 0
for number, batch in enumerate(loader, start=1):
    line = {"state": loader.state_dict(), "labels": batch[0].tolist(), "noise": batch[1].tolist()}
    print(json.dumps(line), flush=True)
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("set")))
    write_set(store, SPEC)
    return store


@pytest.fixture(scope="module")
def killed(store, warm_python):
    """Return the output of a training with 2 workers that was killed after batch 7 of epoch 1."""
    run = warm_python.run("-c", TRAINING, store.url)
    assert run.returncode == -signal.SIGKILL, run.stdout
    return [json.loads(line) for line in run.stdout.splitlines()]


def _whole_epoch(store, epoch):
    loader = make(store, window_shards=2, seed=5)
    loader.set_epoch(epoch)
    return [(batch[0].tolist(), batch[1].tolist()) for batch in loader]


@pytest.mark.parametrize("workers", [0, 4])
def test_rest_of_the_epoch_is_the_same_when_killed_and_resumed_with_other_workers(
    store, killed, workers
):
    whole = _whole_epoch(store, 1)
    assert [(line["labels"], line["noise"]) for line in killed] == whole[:7]
    loader = make(store, num_workers=workers, window_shards=2, seed=5)
    loader.load_state_dict(killed[-1]["state"])
    assert loader.epoch == 1
    assert [(batch[0].tolist(), batch[1].tolist()) for batch in loader] == whole[7:]
    assert [batch[0].tolist() for batch in loader] == [
        each for each, _ in _whole_epoch(store, 2)
    ]  # and then a whole one


def test_rest_of_the_epoch_is_the_same_when_killed_and_resumed_with_two_ranks(store, killed):
    rest = []
    for rank in (0, 1):
        loader = make(store, num_workers=1, window_shards=2, seed=5, rank=rank, world_size=2)
        loader.load_state_dict(killed[-1]["state"])
        rest.append([(batch[0].tolist(), batch[1].tolist()) for batch in loader])
    joined = [(one[0] + two[0], one[1] + two[1]) for one, two in zip(*rest, strict=True)]
    assert joined == _whole_epoch(store, 1)[7:]


def test_state_is_small_json(killed):
    states = [line["state"] for line in killed]
    assert max(len(json.dumps(state)) for state in states) < 400
    assert [(state["epoch"], state["batches"]) for state in states] == [
        (1, number) for number in range(1, 8)
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_rest_is_the_same_when_resumed_at_any_batch(store, workers):
    whole = labels(make(store))
    for stop in range(len(whole) + 1):
        loader = make(store, num_workers=workers if stop % 5 == 0 else 0)
        for number, _ in enumerate(loader, start=1):
            if number == stop:
                break
        state = loader.state_dict() if stop else make(store).state_dict()
        again = make(store)
        again.load_state_dict(json.loads(json.dumps(state)))
        expected = whole[stop:] or labels(_at_epoch(store, 1))
        assert labels(again) == expected, stop


def _at_epoch(store, epoch):
    loader = make(store)
    loader.set_epoch(epoch)
    return loader


def test_next_epoch_is_complete_when_resumed_at_the_end(store):
    loader = make(store)
    list(loader)
    state = loader.state_dict()
    assert (state["epoch"], state["batches"]) == (1, 0)
    again = make(store)
    again.load_state_dict(state)
    assert labels(again) == labels(_at_epoch(store, 1))


def test_position_is_kept_when_the_training_loop_sets_the_epoch_it_resumes(store):
    loader = make(store)
    loader.load_state_dict({**loader.state_dict(), "epoch": 4, "batches": 3})
    loader.set_epoch(4)
    assert labels(loader) == labels(_at_epoch(store, 4))[3:]
    loader.load_state_dict({**loader.state_dict(), "epoch": 4, "batches": 3})
    loader.set_epoch(5)
    assert labels(loader) == labels(_at_epoch(store, 5))


def test_state_is_valid_for_all_ranks_when_saved_on_one(store):
    loaders = [make(store, rank=rank, world_size=4) for rank in range(4)]
    for loader in loaders:
        next(iter(loader))
    assert len({json.dumps(loader.state_dict()) for loader in loaders}) == 1
    assert global_batches(store, 4)[0] == global_batches(store, 1)[0]


def _other_data(store, tmp_path):
    write_set(Store(str(tmp_path)), SetSpec(counts=(30, 25, 35, 19)))
    return make(str(tmp_path))


def _weighted(store, tmp_path):
    rows = ShardRows(store)
    return ShardLoader(
        LoaderSource(rows=rows, keep=rows.column("label") > 3),
        label_and_noise,
        options=make(store).options,
    )


@pytest.mark.parametrize(
    ("other", "match"),
    [
        (
            _other_data,
            (
                r"the shards changed since the state was saved: 108 samples in 4 shards, \w+ then, "
                r"109 samples in 4 shards, \w+ now"
            ),
        ),
        (_weighted, "the sources' weights, `keep`, `sample_weights` or `groups` changed"),
        (
            lambda store, _: make(store, global_batch_size=16),
            "global_batch_size changed since the state was saved: 8 then, 16 now",
        ),
        (
            lambda store, _: make(store, seed=1),
            "seed changed since the state was saved: 0 then, 1 now",
        ),
        (
            lambda store, _: make(store, window_shards=3),
            "window_shards changed since the state was saved: 8 then, 3 now",
        ),
        (lambda store, _: make(store, drop_last=True), "drop_last changed"),
        (lambda store, _: make(store, shuffle=False), "shuffle changed"),
        (lambda store, _: make(store, repeats=2), "repeats changed"),
    ],
)
def test_state_is_refused_when_something_else_shapes_the_batches(store, tmp_path, other, match):
    state = make(store).state_dict()
    with pytest.raises(LoaderStateMismatch, match=match):
        other(store, tmp_path).load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"version": 2}, "expected the state of a loader, version 1"),
        ({"batches": 99}, "batch 99: expected a batch up to 14"),
        ({"epoch": -1}, "epoch -1"),
        ({"batches": "3"}, "batch '3'"),
    ],
)
def test_state_is_refused_when_it_is_damaged(store, change, match):
    loader = make(store)
    with pytest.raises(LoaderStateMismatch, match=match):
        loader.load_state_dict({**loader.state_dict(), **change})
    assert labels(loader) == labels(make(store))


def test_set_may_move_when_resumed(store, tmp_path):
    loader = make(store)
    next(iter(loader))
    write_set(Store(str(tmp_path / "elsewhere")), SPEC)
    again = make(str(tmp_path / "elsewhere"))
    again.load_state_dict(loader.state_dict())
    assert labels(again) == labels(make(store))[1:]
