"""Wrong arguments of `download`: refused before anything is written, under the caller's names."""

import inspect
import re

import pytest

from dataset_assets import download, download_any
from dataset_assets.cli import main
from dataset_assets.errors import ConfigurationError

#: Any value is taken (`url_list`, `output_folder`), or it is looked at with Weights & Biases only.
ELSEWHERE = {"url_list", "output_folder", "subjob_size", "wandb_project"}
ARGUMENTS = sorted({*inspect.signature(download).parameters} - ELSEWHERE)


@pytest.mark.parametrize(
    "wrong",
    [object(), b"\xff", [None], {"a": 1}.keys()],
    ids=["object", "bytes", "list of None", "keys"],
)
@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_wrong_argument_is_refused_by_its_name(tmp_path, argument, wrong):
    (tmp_path / "urls.txt").write_text("http://127.0.0.1:9/a.jpg\n")
    with pytest.raises(ConfigurationError) as refused:
        download(
            str(tmp_path / "urls.txt"), output_folder=str(tmp_path / "out"), **{argument: wrong}
        )
    assert re.match(rf"(unknown )?{argument}\b.*expected .*", str(refused.value))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"thread_count": 0}, "thread_count: expected an integer of at least 1, got 0"),
        ({"timeout": -1}, "timeout: expected a number above 0, got -1"),
        ({"number_sample_per_shard": 1.5}, "number_sample_per_shard: expected an integer"),
        ({"extract_exif": "False"}, "extract_exif: expected true or false, got 'False'"),
        ({"retry_failed": ["timeout"]}, "retry_failed: expected one of transient, "),
        ({"retry_failed": None}, "retry_failed: expected a list of causes, got None"),
        ({"request_headers": "a: b"}, "request_headers: expected a mapping of name to value"),
        ({"save_additional_columns": 0}, "save_additional_columns: expected a list of texts"),
        ({"contact": "two\nlines"}, "contact: expected one line of ASCII text"),
    ],
)
def test_errors_say_what_was_expected(tmp_path, given, said):
    with pytest.raises(ConfigurationError, match=f"^{re.escape(said)}"):
        download([], output_folder=str(tmp_path), **given)


@pytest.mark.parametrize("argument", ["thread_count", "compute_md5", "contact"])
def test_download_any_names_its_arguments(tmp_path, argument):
    with pytest.raises(ConfigurationError, match=f"^{argument}: expected"):
        download_any([], output_folder=str(tmp_path), **{argument: "two\nlines"})


def test_flags_are_named_on_the_command_line(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["download", "urls.txt", "--thread_count", "0", "--output_folder", out]) == 1
    assert "thread_count: expected an integer of at least 1, got 0" in capsys.readouterr().err
