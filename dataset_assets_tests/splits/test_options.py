import json

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.splits.options import SplitOptions


def test_defaults_are_three_quarters_fifteen_and_ten_when_nothing_is_said():
    assert SplitOptions().shares == pytest.approx({"train": 0.75, "validation": 0.15, "test": 0.10})


def test_shares_add_up_to_one_when_ratios_have_another_scale():
    options = SplitOptions(ratios={"b": 3, "empty": 0, "a": 1})
    assert options.shares == {"b": 0.75, "a": 0.25}
    assert list(options.ratios) == ["b", "empty", "a"]


def test_options_survive_json_when_they_go_into_a_manifest():
    options = SplitOptions(
        ratios={"test": 1, "train": 0.5}, seed=-3, group_by="site", stratify_by="label"
    )
    again = SplitOptions(**json.loads(json.dumps(options.to_json())))
    assert again == options
    assert list(again.ratios) == ["test", "train"]


def test_ratios_stay_when_the_given_mapping_changes_later():
    given = {"train": 1.0}
    options = SplitOptions(ratios=given)
    given["test"] = 1.0
    assert dict(options.ratios) == {"train": 1.0}


@pytest.mark.parametrize("name", ["train", "train.clean_100", "fold1", "é"])
def test_name_is_taken_when_datasets_takes_it(name):
    assert list(SplitOptions(ratios={name: 1}).ratios) == [name]


@pytest.mark.parametrize(
    "name", ["", "train\n", "a-b", "a b", ".a", "a.", "a..b", "a/b", "all", "All", 3, None]
)
def test_name_is_refused_when_datasets_cannot_read_it(name):
    with pytest.raises(ConfigurationError, match="ratios: expected names"):
        SplitOptions(ratios={name: 1})


@pytest.mark.parametrize("ratio", [-0.1, float("nan"), float("inf"), True, "0.75", None])
def test_ratio_is_refused_when_it_is_no_share(ratio):
    with pytest.raises(ConfigurationError, match="ratios: test: expected a number of at least 0"):
        SplitOptions(ratios={"train": 1, "test": ratio})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratios": {}}, "a number for each split"),
        ({"ratios": [0.75, 0.25]}, "a number for each split"),
        ({"ratios": {"train": 0, "test": 0}}, "at least one above 0"),
        ({"ratios": {"test": 1, "Test": 1}}, "differ in more than case"),
        ({"seed": 1.0}, "seed: expected an integer"),
        ({"seed": True}, "seed: expected an integer"),
        ({"method": "random"}, "method: expected one of exact, stable, got 'random'"),
        ({"group_by": ""}, "group_by: expected text"),
        ({"stratify_by": 3}, "stratify_by: expected text"),
        ({"keep_duplicates_together": "no"}, "keep_duplicates_together: expected true or false"),
        ({"method": "stable", "stratify_by": "label"}, "stratify_by: expected method 'exact'"),
    ],
)
def test_option_is_refused_when_it_cannot_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        SplitOptions(**options)
