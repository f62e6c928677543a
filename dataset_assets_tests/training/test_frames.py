from itertools import product

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.causes import Cause
from dataset_assets.records.staged import SampleError
from dataset_assets.training.frames import choose_frames, frames_at_rate


def test_frames_are_those_of_linspace() -> None:
    torch = pytest.importorskip("torch")
    for available, wanted in product((49, 50, 97, 150, 1001), (1, 2, 9, 49)):
        exact = torch.linspace(0, available - 1, wanted, dtype=torch.float64) + 1e-9
        assert choose_frames(available, wanted) == exact.long().tolist()


def test_long_videos_are_sampled_from_end_to_end_whatever_the_policy() -> None:
    for available, policy in product(range(5, 200), ("repeat", "pad", "drop")):
        chosen = choose_frames(available, 5, policy)
        assert (chosen[0], chosen[-1], len(set(chosen))) == (0, available - 1, 5)


@pytest.mark.parametrize(
    ("policy", "expected"), [("repeat", [0, 1, 2, 0, 1, 2, 0]), ("pad", [0, 1, 2, 2, 2, 2, 2])]
)
def test_short_videos_fill_their_bucket(policy: str, expected: list[int]) -> None:
    assert choose_frames(3, 7, policy) == expected
    assert choose_frames(1, 3, policy) == [0, 0, 0]


def test_short_videos_are_left_out_by_policy() -> None:
    with pytest.raises(SampleError) as caught:
        choose_frames(30, 49, "drop")
    assert caught.value.cause is Cause.VIDEO_TOO_SHORT
    assert caught.value.message.startswith("expected at least 49 frames, got 30; choose 'repeat'")


def test_times_follow_the_rate() -> None:
    assert frames_at_rate(1.0, 4) == [0, 0.25, 0.5, 0.75]
    assert frames_at_rate(0.1, 4) == [0]
    with pytest.raises(ConfigurationError, match="expected a duration and a rate above 0"):
        frames_at_rate(1, 0)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="available: expected an integer of at least 1"):
        choose_frames(0, 5)
    with pytest.raises(ConfigurationError, match="short_videos: expected one of repeat, pad, drop"):
        choose_frames(9, 5, "loop")
