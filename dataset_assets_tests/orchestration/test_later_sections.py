"""`source`, `splits` and `hub` of a `defs.yaml`: options of the library, and errors."""

import dataclasses

import dagster as dg
import pytest

from dataset_assets.errors import ConfigurationError
from dataset_assets.orchestration.stages.hub_upload.section import Hub
from dataset_assets.orchestration.stages.split_archives.section import Archives, Splits
from dataset_assets.orchestration.stages.split_archives.source import folder_source
from dataset_assets.pipelines.publish.publish import PublishOptions
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.sources.files import FileOptions
from dataset_assets.splits.sources.recordings import RecordingOptions
from dataset_assets_tests.orchestration.graphs import RECORDINGS
from dataset_assets_tests.orchestration.yaml_datasets import MINIMAL, load, write_dataset

Files = folder_source("files")
Recordings = folder_source("recordings")

FULL = """
type: dataset_assets.Dataset
attributes:
  license: cc-by-4.0
  source:
    recordings: {path: drives, fps: 10}
  splits:
    train: 0.9
    test: 0.1
    seed: 7
    method: stable
    archives: {layout: frames, compression: gz, max_archive_mb: 1.5}
  hub:
    repo: me/drives
    license: mit
    tags: [a, b]
  automation: {enabled: true, refresh: "0 3 * * 1"}
"""


def test_options_are_the_librarys_when_nothing_is_said():
    assert (Splits().split_options(), Splits().archive_options()) == (
        SplitOptions(),
        ArchiveOptions(),
    )
    assert Recordings(path="x").build(RecordingOptions) == RecordingOptions()
    assert Files(path="x").build(FileOptions) == FileOptions()


def test_options_are_those_of_the_yaml_when_given():
    splits = Splits(
        train=0.9,
        test=0.1,
        seed=7,
        group_by="sample",
        archives=Archives(compression="gz", max_archive_mb=1.5),
    )
    assert splits.split_options() == SplitOptions(
        ratios={"train": 0.9, "test": 0.1}, seed=7, group_by="sample"
    )
    assert splits.archive_options() == ArchiveOptions(compression="gz", max_archive_bytes=1_500_000)
    assert Splits(ratios={"a": 1, "b": 2}).split_options().ratios == {"a": 1, "b": 2}
    assert Recordings(path="x", cameras=False, extensions=["png"]).build(
        RecordingOptions
    ) == RecordingOptions(cameras=False, extensions=("png",))
    assert Hub(repo="me/x", tags=["a"]).publish_options(license="mit", text="t") == PublishOptions(
        license="mit", text="t", tags=("a",)
    )
    assert Hub(repo="me/x", license="cc0-1.0").publish_options(license="mit").license == "cc0-1.0"


@pytest.mark.parametrize(
    ("options", "section", "left_out"),
    [
        (SplitOptions, Splits, set()),
        (ArchiveOptions, Archives, set()),
        (RecordingOptions, Recordings, set()),
        (FileOptions, Files, set()),
        (PublishOptions, Hub, {"message"}),
    ],
)
def test_every_option_of_the_library_can_be_set_when_named(options, section, left_out):
    """Options that the YAML does not have are listed, so that a new one is omitted on purpose."""
    missing = {field.name for field in dataclasses.fields(options)} - set(
        section.mirrored[options].values()
    )
    assert missing == left_out


@pytest.mark.parametrize(
    ("replaced", "by", "line", "expected"),
    [
        (
            "source:\n    recordings: {path: drives, fps: 10}",
            "source: {}",
            4,
            (
                r"source: expected exactly one of urls, cityscapes, coco, cvat, imagenet, files, "
                r"recordings, shards; got none"
            ),
        ),
        (
            "recordings:",
            "urls: {path: lists}\n    recordings:",
            4,
            r"source: expected exactly one of .*; got urls, recordings",
        ),
        (
            "recordings: {path: drives, fps: 10}",
            "recrodings: {path: drives}",
            5,
            r"source.recrodings: unknown key .* did you mean 'recordings'",
        ),
        ("fps: 10", "fsp: 10", 5, r"source.recordings.fsp: unknown key .* did you mean 'fps'"),
        ("fps: 10", "fps: -1", 5, r"source.recordings.fps: fps: expected"),
        ("train: 0.9", "trian: 0.9", 7, r"splits.trian: unknown key .* did you mean 'train'"),
        ("train: 0.9", "train: -1", 7, r"splits.train: ratios: train: expected"),
        (
            "train: 0.9",
            "ratios: {a: 1}",
            7,
            r"splits.ratios: expected `ratios`, or shares of train, validation, test, got both",
        ),
        ("seed: 7", "seed: many", 9, r"splits.seed: Input should be a valid integer"),
        (
            "method: stable",
            "method: best",
            10,
            r"splits.method: method: expected one of exact, stable, got 'best'",
        ),
        (
            "layout: frames",
            "layout: zip",
            11,
            r"splits.archives.layout: layout: expected one of webdataset, frames, got 'zip'",
        ),
        (
            "max_archive_mb: 1.5",
            "max_archive_mb: 0",
            11,
            r"splits.archives.max_archive_mb: max_archive_bytes: expected",
        ),
        (
            "repo: me/drives",
            "repo: drives",
            13,
            r"hub.repo: not a repository: 'drives'; expected 'org/name'",
        ),
        (
            "license: mit",
            "license: My License",
            14,
            r"hub.license: license: expected an identifier such as",
        ),
        ("license: mit", "token: hf_secret", 14, r"hub.token: unknown key 'token'"),
        (
            "license: mit",
            "target: hugingface",
            14,
            r"hub.target: unknown hub_target 'hugingface': expected one of directory, huggingface",
        ),
        ("  license: cc-by-4.0\n", "", 11, r"hub: expected a `license`"),
        (
            "  automation:",
            "  shards: {samples_per_shard: 5}\n  automation:",
            16,
            r"shards: expected no `shards` with `source.recordings`",
        ),
        (
            'refresh: "0 3 * * 1"',
            'retry_failed: {cron: "0 3 * * 1"}',
            16,
            r"automation: expected no `retry_failed`",
        ),
    ],
)
def test_mistake_is_named_with_file_and_line_when_loading(tmp_path, replaced, by, line, expected):
    assert replaced in FULL
    text = FULL if "license: cc-by" not in replaced else FULL.replace("    license: mit\n", "")
    file = write_dataset(tmp_path, "drives", text.replace(replaced, by, 1))
    with pytest.raises(
        ConfigurationError, match=rf"^{file}:{line}: attributes\.{expected}"
    ) as caught:
        load(tmp_path)
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("removed", "line", "expected"),
    [
        (
            "  splits: {train: 0.75, validation: 0.15, test: 0.10}\n",
            5,
            r"source: nothing is made of `source.recordings` without `splits`",
        ),
    ],
)
def test_missing_section_is_asked_for_when_loading(tmp_path, removed, line, expected):
    text = RECORDINGS.replace(removed, "")
    file = write_dataset(tmp_path, "drives", text)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    first, second = str(caught.value).splitlines()
    assert first.startswith(
        f"{file}:{line}: attributes.source: nothing is made of `source.recordings` without `splits`"
    )
    assert "attributes.hub: what is published are the splits: expected `splits`" in second


def _specs(definitions, dataset):
    return {
        spec.key.path[-1]: spec
        for spec in definitions.resolve_all_asset_specs()
        if spec.group_name == dataset
    }


def test_dataset_has_only_the_earlier_assets_when_nothing_more_is_said(tmp_path):
    write_dataset(tmp_path, "tiny", MINIMAL)
    definitions = load(tmp_path)
    assert _specs(definitions, "tiny").keys() == {"url_lists", "raw_urls", "shards"}
    assert [sensor.name for sensor in definitions.sensors if "tiny" in sensor.name] == [
        "tiny__new_lists"
    ]


def test_assets_hang_together_when_a_folder_is_split_and_published(tmp_path):
    write_dataset(tmp_path, "drives", FULL)
    definitions = load(tmp_path)
    specs = _specs(definitions, "drives")
    depends = {
        stage: [dep.asset_key.path[-1] for dep in spec.deps] for stage, spec in specs.items()
    }
    assert depends == {
        "source": [],
        "split_archives": ["source"],
        "hub_upload": ["split_archives"],
        "hub_repo": ["hub_upload"],
    }
    assert specs["split_archives"].kinds == {"tar", "parquet"}
    assert specs["hub_upload"].kinds == {"huggingface"}
    assert all(
        specs[stage].automation_condition == dg.AutomationCondition.eager()
        for stage in ("split_archives", "hub_upload")
    )
    checks = {
        check.name: check.blocking
        for stage in ("split_archives", "hub_upload")
        for check in definitions.get_assets_def(["drives", stage]).check_specs
    }
    assert checks == {"split_archives_sound": True, "hub_upload_loads": True}
    schedule = next(
        schedule for schedule in definitions.schedules if schedule.name == "drives__refresh"
    )
    assert schedule.job.selection.resolve(definitions.resolve_asset_graph()) == {
        dg.AssetKey(["drives", "split_archives"])
    }


def test_shards_are_depended_on_as_a_whole_when_a_dataset_of_urls_is_split(tmp_path):
    write_dataset(tmp_path, "tiny", MINIMAL + "  splits: {}\n")
    (dep,) = _specs(load(tmp_path), "tiny")["split_archives"].deps
    assert dep == dg.AssetDep(
        dg.AssetKey(["tiny", "shards"]), partition_mapping=dg.AllPartitionMapping()
    )


def test_license_of_the_dataset_is_refused_when_the_hub_does_not_know_it(tmp_path):
    file = write_dataset(
        tmp_path, "drives", RECORDINGS.replace("license: cc-by-4.0", "license: CC BY 4.0")
    )
    with pytest.raises(
        ConfigurationError,
        match=rf"^{file}:4: attributes.license: license: expected an identifier .* of its own$",
    ):
        load(tmp_path)
