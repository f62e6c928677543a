"""The contract of every stage of the graph."""

import pytest

from dataset_assets import registry
from dataset_assets.orchestration.common.section import Section
from dataset_assets.orchestration.common.stage import Stage
from dataset_assets.orchestration.components.model import dataset_model, load_stages

STAGES = registry.names("stage")


@pytest.fixture(params=registry.names("stage"))
def stage(request):
    return registry.load("stage", request.param)


def test_stage_is_named_like_its_folder(stage):
    assert isinstance(stage, Stage)
    assert stage.name in STAGES
    assert registry.load("stage", stage.name) is stage


def test_stage_can_read_something(stage):
    assert stage.sources or stage.after
    assert set(stage.after) <= set(STAGES)


def test_keys_of_a_stage_are_in_the_model(stage):
    fields = dataset_model(load_stages()).model_fields
    kinds = fields["source"].annotation.model_fields
    assert set(stage.sources) <= set(kinds)
    assert stage.key is None or stage.key in fields


def test_section_of_a_stage_is_documented_and_optional_only_with_defaults(stage):
    for section in (stage.section, *stage.sources.values()):
        assert issubclass(section, Section)
        assert section.__doc__
    if stage.is_optional:
        assert isinstance(stage.section(), stage.section)


def test_refusal_of_a_stage_can_be_filled_in(stage):
    assert "{key}" not in stage.refusal.format(key="x", kind="y")
