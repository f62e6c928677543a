"""One YAML file gives all assets, checks, schedules and sensors of a dataset."""

import dataclasses
import math
from datetime import timedelta

import dagster as dg
import pytest

import dataset_assets
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.option_docs import field_docs
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.components import Dataset
from dataset_assets.orchestration.components.scaffolder import DatasetScaffolder
from dataset_assets.orchestration.environment import Environment
from dataset_assets.orchestration.stages.shards.section import Fetching, Image, ShardsSection
from dataset_assets_tests.orchestration.yaml_datasets import FULL, MINIMAL, load, write_dataset


@pytest.fixture
def minimal(tmp_path):
    write_dataset(tmp_path, "tiny", MINIMAL)
    return load(tmp_path)


@pytest.fixture
def full(tmp_path):
    write_dataset(tmp_path, "birds", FULL)
    return load(tmp_path)


def _specs(definitions, dataset):
    return {
        spec.key.path[-1]: spec
        for spec in definitions.resolve_all_asset_specs()
        if spec.group_name == dataset
    }


def _named(things, name):
    return next(thing for thing in things if thing.name == name)


def test_assets_are_keyed_by_dataset_and_stage_when_loaded(minimal):
    specs = _specs(minimal, "tiny")
    assert {spec.key for spec in specs.values()} == {
        dg.AssetKey(["tiny", stage]) for stage in ("url_lists", "raw_urls", "shards")
    }
    assert [dep.asset_key for dep in specs["raw_urls"].deps] == [specs["url_lists"].key]
    assert [dep.asset_key for dep in specs["shards"].deps] == [specs["raw_urls"].key]
    assert specs["shards"].partitions_def == dg.DynamicPartitionsDefinition(name="tiny__shards")
    assert specs["shards"].kinds == {"webdataset", "image"}


def test_source_file_is_linked_when_loaded(minimal, tmp_path):
    references = (
        _specs(minimal, "tiny")["shards"].metadata["dagster/code_references"].code_references
    )
    assert [reference.file_path for reference in references] == [
        str(tmp_path / "tiny" / "defs.yaml")
    ]


def test_nothing_runs_by_itself_when_the_yaml_does_not_say_so(minimal):
    assert {sensor.default_status for sensor in minimal.sensors} == {dg.DefaultSensorStatus.STOPPED}
    assert {schedule.default_status for schedule in minimal.schedules} == {
        dg.DefaultScheduleStatus.STOPPED
    }
    assert all(
        spec.automation_condition is None and spec.freshness_policy is None
        for spec in _specs(minimal, "tiny").values()
    )


def test_everything_runs_when_the_yaml_says_so(full):
    sensor = _named(full.sensors, "birds__new_lists")
    assert (sensor.default_status, sensor.minimum_interval_seconds) == (
        dg.DefaultSensorStatus.RUNNING,
        30,
    )
    assert _named(full.sensors, "automation").default_status == dg.DefaultSensorStatus.RUNNING
    schedules = {
        name: _named(full.schedules, f"birds__{name}") for name in ("refresh", "retry_failed")
    }
    assert {name: schedule.cron_schedule for name, schedule in schedules.items()} == {
        "refresh": "0 3 * * 1",
        "retry_failed": "0 4 * * *",
    }
    assert {schedule.default_status for schedule in schedules.values()} == {
        dg.DefaultScheduleStatus.RUNNING
    }
    assert _specs(full, "birds")["shards"].automation_condition is not None
    assert _specs(full, "demo")["shards"].automation_condition is None


def test_description_of_the_dataset_reaches_every_asset_when_given(full):
    for stage, spec in _specs(full, "birds").items():
        assert list(spec.owners) == ["someone@example.com", "team:data"]
        assert (
            spec.tags.items()
            >= {
                "modality": "image",
                "license": "cc-by-4.0",
                "requires": "network",
                "requires_env": "SOME_TOKEN",
            }.items()
        )
        assert spec.description.startswith(
            "Birds." if stage != "url_lists" else "URL lists at `s3://lists/birds/*.parquet`"
        )
    policy = dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=48), warn_window=timedelta(hours=24)
    )
    assert _specs(full, "birds")["raw_urls"].freshness_policy == policy


def test_backfills_are_cut_when_the_yaml_says_how(full):
    shards = full.get_assets_def(["birds", "shards"])
    assert shards.backfill_policy == dg.BackfillPolicy.multi_run(3)
    assert shards.op.pool == "downloads"
    assert shards.op.retry_policy.max_retries == 5
    assert {check.name: check.blocking for check in shards.check_specs} == {
        "shards_readable": True,
        "success_rate": False,
    }
    assert full.get_assets_def(["demo", "shards"]).backfill_policy == dg.BackfillPolicy.single_run()


def test_several_datasets_share_a_file_when_they_have_names(tmp_path):
    left, right = (
        MINIMAL.replace("attributes:", f"attributes:\n  name: {name}") for name in ("left", "right")
    )
    write_dataset(tmp_path, "pair", left + "---" + right)
    definitions = load(tmp_path)
    assert _specs(definitions, "left")
    assert _specs(definitions, "right")


def test_one_off_asset_is_found_when_it_lies_in_a_catalog(tmp_path):
    (tmp_path / "one_off.py").write_text(
        "import dagster as dg\n\n@dg.asset\ndef counted() -> int:\n    return 3\n"
    )
    write_dataset(tmp_path, "tiny", MINIMAL)
    definitions = load(tmp_path, root=tmp_path / "data")
    job = definitions.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(asset_selection=[dg.AssetKey("counted")]).success
    assert (tmp_path / "data" / "counted" / "value.json").read_text() == "3"


def test_several_catalogs_are_loaded_when_the_environment_names_them(tmp_path):
    write_dataset(tmp_path / "a", "one", MINIMAL)
    write_dataset(tmp_path / "b", "two", MINIMAL)
    definitions = build_defs(Environment(catalog=(tmp_path / "a", tmp_path / "b")))
    assert _specs(definitions, "one")
    assert _specs(definitions, "two")


def test_template_is_rendered_when_it_names_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_LISTS", "gs://bucket/lists")
    write_dataset(
        tmp_path, "tiny", MINIMAL.replace("{path: lists}", "{path: \"{{ env('MY_LISTS') }}/x\"}")
    )
    assert "gs://bucket/lists/x" in _specs(load(tmp_path), "tiny")["url_lists"].description


def test_scaffolded_dataset_loads_when_nothing_is_changed(tmp_path):
    request = dg.ScaffoldRequest(
        "Dataset", tmp_path / "fresh", "yaml", project_root=None, params=None
    )
    DatasetScaffolder().scaffold(request)
    assert _specs(load(tmp_path), "fresh").keys() == {"url_lists", "raw_urls", "shards"}


def test_type_of_a_defs_yaml_is_the_component_when_imported():
    assert dataset_assets.Dataset is Dataset


def test_schema_of_the_yaml_has_the_texts_and_defaults_of_the_options():
    definitions = Dataset.get_model_cls().model_json_schema()["$defs"]
    for section, options in ((Image, ImageOptions), (Fetching, FetchOptions)):
        properties = definitions["Image" if section is Image else "ShardsSection"]["properties"]
        docs = field_docs(options)
        for key, field in section.mirrored[options].items():
            if field in docs and key not in ("robots_txt", "allow_private_networks"):
                assert properties[key]["description"] == docs[field]
    assert definitions["Image"]["properties"]["size"]["default"] == ImageOptions().image_size
    assert definitions["Image"]["properties"]["formats"]["default"] == list(ImageOptions().formats)


def test_limits_are_those_of_files_of_any_kind_unless_they_are_set():
    section = ShardsSection.model_validate({"media": "any"})
    options = section.fetch_options()
    assert (options.max_bytes, options.total_timeout_s) == (2**31 - 1, math.inf)
    assert options.allow_empty
    section = ShardsSection.model_validate(
        {"media": "any", "max_bytes": 5, "total_timeout_s": 60, "low_speed_time_s": 7}
    )
    options = section.fetch_options(max_connections=3)
    assert (options.max_bytes, options.total_timeout_s, options.low_speed_time_s) == (5, 60, 7)
    assert options.max_connections == 3
    defaults = FetchOptions()
    options = ShardsSection().fetch_options()
    assert (options.max_bytes, options.total_timeout_s) == (defaults.max_bytes, None)
    assert not options.allow_empty


def test_every_option_of_the_library_can_be_set_when_named():
    """Options that the YAML does not have are listed, so that a new one is omitted on purpose."""
    images = {field.name for field in dataclasses.fields(ImageOptions)}
    assert images == set(Image.mirrored[ImageOptions].values())
    fetching = {field.name for field in dataclasses.fields(FetchOptions)} - set(
        Fetching.mirrored[FetchOptions].values()
    )
    assert fetching == {
        *("headers", "header_hosts"),  # `credential`
        "verify_tls",  # not for shared datasets
        "allow_empty",  # `media: any`
        *(
            "max_header_bytes",
            "max_buffered_bytes",
            "backoff_s",
            "max_backoff_s",
            "max_retry_after_s",
        ),  # limits that need no tuning
    }
