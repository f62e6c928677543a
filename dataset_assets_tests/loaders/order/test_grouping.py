import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.loaders.options import LoaderOptions
from dataset_assets.loaders.order.grouping import divide, divide_by_group


def one_at_a_time(order, groups, size):
    """The rule, with a queue for each group."""
    batches = []
    waiting = {}
    for sample in order:
        queue = waiting.setdefault(groups[sample], [])
        queue.append(sample)
        if len(queue) == size:
            batches.append(queue[:])
            queue.clear()
    partial = [(-len(queue), group) for group, queue in waiting.items() if queue]
    return batches + [waiting[group] for _, group in sorted(partial)]


@given(
    st.lists(st.integers(0, 4), max_size=80),
    st.integers(1, 3),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["repeat", "drop"]),
    st.randoms(use_true_random=False),
)
def test_batches_are_those_of_queues(numbers, per_rank, world, drop_last, pad, random):
    groups = np.array(numbers, np.int64)
    order = np.array(random.sample(range(len(numbers)), len(numbers)), np.int64)
    size = per_rank * world
    options = LoaderOptions(global_batch_size=size, world_size=world, drop_last=drop_last, pad=pad)
    arranged, sizes = divide_by_group(order, groups, options)
    expected = one_at_a_time(order.tolist(), groups, size)
    if drop_last:
        expected = [batch for batch in expected if len(batch) == size]
    kept = [batch for batch in expected if pad == "repeat" or len(batch) >= world]
    found = [
        arranged[start:end].tolist()
        for start, end in zip(sizes.starts[:-1], sizes.starts[1:], strict=True)
    ]
    assert found == kept
    assert sorted(arranged) == sorted(order)
    assert sizes.longest == len(expected)
    divided = [len(batch) / world for batch in kept]
    rounded = np.floor(divided) if pad == "drop" else np.ceil(divided)
    assert sizes.of_rank.tolist() == rounded.tolist()
    used = sum(min(len(b), n * world) for b, n in zip(kept, sizes.of_rank, strict=True))
    assert sizes.left_out == len(order) - used
    assert sizes.samples == sizes.of_rank.sum()
    assert sizes.padded == sizes.samples * world - sum(map(len, expected))


@given(st.integers(0, 50), st.integers(1, 3), st.integers(1, 4), st.booleans())
def test_mixed_batches_are_those_of_one_group(samples, per_rank, world, drop_last):
    options = LoaderOptions(
        global_batch_size=per_rank * world, world_size=world, drop_last=drop_last
    )
    order = np.arange(samples)
    arranged, sizes = divide_by_group(order, np.zeros(samples, np.int64), options)
    mixed = divide(samples, options)
    assert arranged.tolist() == order.tolist()
    assert mixed.starts.tolist() == sizes.starts.tolist()
    assert mixed.of_rank.tolist() == sizes.of_rank.tolist()
    assert mixed[2:] == sizes[2:]


def test_a_million_samples_in_many_groups_are_divided_in_a_second():
    groups = np.random.default_rng(0).integers(0, 144, 1_000_000)
    order = np.random.default_rng(1).permutation(1_000_000)
    arranged, sizes = divide_by_group(order, groups, LoaderOptions(global_batch_size=64))
    for start, end in zip(sizes.starts[:200], sizes.starts[1:201], strict=True):
        assert len(set(groups[arranged[start:end]])) == 1
    assert sizes.left_out == 0


def test_rare_groups_do_not_hold_up_the_others():
    groups = np.array([0, 1, 1, 1, 1, 1, 2])
    arranged, sizes = divide_by_group(np.arange(7), groups, LoaderOptions(global_batch_size=2))
    assert arranged.tolist() == [1, 2, 3, 4, 0, 5, 6]
    assert sizes.starts.tolist() == [0, 2, 4, 5, 6, 7]
