import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.records.causes import TRANSIENT_CAUSES, Cause, parse_causes


def test_transient_stands_for_all_that_may_go_away_when_named():
    assert parse_causes(["transient", "opt_out"]) == TRANSIENT_CAUSES | {Cause.OPT_OUT}
    assert parse_causes([]) == frozenset()


def test_unknown_cause_is_refused_with_the_known_ones_when_misspelled():
    with pytest.raises(
        ConfigurationError,
        match=r"cause: expected one of transient, .*timeout_total.*, got .timeout.; did you mean",
    ):
        parse_causes(["timeout"])
