"""One YAML file gives all assets, checks, schedules and sensors of a dataset."""

import dataclasses
import math
from datetime import timedelta

import dagster as dg
import pytest

import dataset_assets
from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.options import FetchOptions
from dataset_assets.images.options import ImageOptions
from dataset_assets.option_docs import field_docs
from dataset_assets.orchestration.build import build_defs
from dataset_assets.orchestration.components import Dataset
from dataset_assets.orchestration.components.scaffolder import DatasetScaffolder
from dataset_assets.orchestration.environment import Environment
from dataset_assets.orchestration.stages.shards.section import Fetching, Image, ShardsSection
from dataset_assets_tests.orchestration.yaml_datasets import MINIMAL, load, write_dataset

FULL = """
type: dataset_assets.Dataset
attributes:
  description: Birds.
  license: cc-by 4.0
  owners: [someone@example.com, "team:data"]
  tags: {modality: image}
  requires: {network: true, env: [SOME_TOKEN]}
  freshness: {warn_after_h: 24, fail_after_h: 48}
  source:
    urls: {path: "s3://lists/birds/*.parquet", input_format: parquet, url_column: URL, caption_column: TEXT, keep_columns: [score]}
  shards:
    image: {size: 512, resize_mode: keep_ratio, min_size: 64, max_aspect_ratio: 3}
    output_format: tfrecord
    samples_per_shard: 100
    max_partitions_per_run: 3
    min_success_rate: 0.25
    processes: 2
    connections: 64
    timeout_s: 3
    user_agent_token: birds
    credential: {host: example.com, prefix: "Token ", env: SOME_TOKEN}
  automation:
    enabled: true
    watch_every_s: 30
    refresh: "0 3 * * 1"
    retry_failed: {cron: "0 4 * * *", causes: [timeout_total, transient]}
    step_retries: 5
"""  # noqa: E501


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


@pytest.mark.parametrize(
    ("replaced", "by", "line", "expected"),
    [
        (
            "output_format: tfrecord",
            "output_format: webdatset",
            13,
            (
                r"shards.output_format: unknown output_format 'webdatset': "
                r"expected one of .*webdataset"
            ),
        ),
        (
            "output_format: tfrecord",
            "outptu_format: tfrecord",
            13,
            r"shards.outptu_format: unknown key 'outptu_format': .* did you mean 'output_format'",
        ),
        (
            "requires:",
            "requiers:",
            7,
            "attributes.requiers: unknown key 'requiers': .* did you mean 'requires'",
        ),
        (
            "  freshness:",
            "  embeddings: {encoder: clip}\n  freshness:",
            8,
            (
                "attributes.embeddings: unknown key 'embeddings': "
                "expected one of name, source, shards, "
                "staged, loader_preview, splits, hub"
            ),
        ),
        (
            "image: {size: 512,",
            "image: {size: 512, sise: 1,",
            12,
            r"shards.image.sise: unknown key 'sise': .* did you mean 'size'",
        ),
        (
            "size: 512",
            "size: 0",
            12,
            r"shards.image.size: image_size: expected an integer from 1",
        ),
        (
            "resize_mode: keep_ratio",
            "resize_mode: keep",
            12,
            r"shards.image.resize_mode: .*expected one of no, keep_ratio",
        ),
        (
            "input_format: parquet",
            "input_format: parket",
            10,
            r"source.urls.input_format: unknown input_format 'parket': expected one of",
        ),
        (
            "samples_per_shard: 100",
            "samples_per_shard: many",
            14,
            r"shards.samples_per_shard: Input should be a valid integer",
        ),
        (
            "samples_per_shard: 100",
            "samples_per_shard: true",
            14,
            r"shards.samples_per_shard: Input should be a valid integer",
        ),
        (
            "max_partitions_per_run: 3",
            "max_partitions_per_run: 0",
            15,
            r"shards.max_partitions_per_run: expected an integer of at least 1, or all, got 0",
        ),
        (
            "connections: 64",
            "connections: 0",
            18,
            r"shards.connections: max_connections: expected .*, got 0",
        ),
        ("timeout_s: 3", "timeout_s: -1", 19, r"shards.timeout_s: timeout_s: expected .*, got -1"),
        (
            "user_agent_token: birds",
            "allow_private_networks: [localhost]",
            20,
            r"shards.allow_private_networks: .*localhost",
        ),
        (
            "timeout_s: 3",
            "distributor: spark",
            19,
            (
                r"shards.distributor: unknown distributor 'spark': "
                r"expected one of multiprocessing, "
                "serial"
            ),
        ),
        (
            '"0 3 * * 1"',
            '"every monday"',
            25,
            r"automation.refresh: expected the five fields of a cron schedule",
        ),
        (
            "causes: [timeout_total",
            "causes: [timeout",
            26,
            r"automation.retry_failed.causes: cause: expected one of transient, .*, got 'timeout'",
        ),
        (
            "watch_every_s: 30",
            "watch_every_s: 1",
            24,
            r"automation.watch_every_s: Input should be greater than or equal to 5",
        ),
        (
            "warn_after_h: 24",
            "warn_after_h: 72",
            8,
            r"freshness.warn_after_h: warn_after_h: expected less than fail_after_h",
        ),
        (
            "url_column: URL",
            "url_column: \"{{ env('NOT_SET_ANYWHERE') }}\"",
            10,
            r"source.urls.url_column: the template .*NOT_SET_ANYWHERE is not set",
        ),
        (
            "image: {size: 512,",
            "media: any\n    image: {size: 512,",
            13,
            r"shards.image: expected no `image` with `media: any`",
        ),
        (
            "keep_columns: [score]",
            "keep_columns: [width]",
            10,
            r"source.urls.keep_columns: .*width cannot be kept",
        ),
        (
            "keep_columns: [score]",
            "quoting: none",
            10,
            r"source.urls.quoting: .*which is for csv and tsv",
        ),
    ],
)
def test_mistake_is_named_with_file_and_line_when_loading(tmp_path, replaced, by, line, expected):
    assert replaced in FULL
    file = write_dataset(tmp_path, "birds", FULL.replace(replaced, by, 1))
    with pytest.raises(
        ConfigurationError,
        match=rf"^{file}:{line}: attributes\..*{expected.removeprefix('attributes.')}",
    ) as caught:
        load(tmp_path)
    assert str(caught.value).count("\n") == 0


def test_all_unknown_keys_are_named_when_there_are_several(tmp_path):
    file = write_dataset(tmp_path, "birds", MINIMAL + "  one: 1\n  two: 2\n")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert [line.partition(": attributes.")[0] for line in str(caught.value).splitlines()] == [
        f"{file}:5",
        f"{file}:6",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("type: dataset_assets.Dataset\n", "expected `attributes` with a `source`"),
        ("type: dataset_assets.Dataset\nattributes: {}\n", "expected `attributes` with a `source`"),
        (
            "type: dataset_assets.Dataset\nattributes:\n  description: x\n",
            ":2: attributes.source: Field required",
        ),
        (
            "type: dataset_assets.Dataset\natributes:\n  source: 1\n",
            ":2: atributes: Extra inputs are not permitted",
        ),
    ],
)
def test_missing_part_is_named_with_its_file_when_loading(tmp_path, text, expected):
    file = write_dataset(tmp_path, "birds", text)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(str(file))
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["Birds", "bi-rds", "two__parts", "_x"])
def test_folder_name_is_refused_when_it_can_not_be_a_key(tmp_path, name):
    file = write_dataset(tmp_path, name, MINIMAL)
    with pytest.raises(
        ConfigurationError, match=f"^{file}: a dataset's name has lower-case letters"
    ):
        load(tmp_path)


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
