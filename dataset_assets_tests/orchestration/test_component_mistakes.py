"""Mistakes in a YAML file are named with file and line when it is loaded."""

import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets_tests.orchestration.yaml_datasets import FULL, MINIMAL, load, write_dataset


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
            "  embedings: {clip: {}}\n  freshness:",
            8,
            (
                "attributes.embedings: unknown key 'embedings': "
                "expected one of name, source, shards, "
                "staged, embeddings, loader_preview, splits, hub"
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
