"""The command line: flags become arguments, errors become one line, exit codes tell."""

import subprocess
import sys

import pytest

from dataset_assets.cli import _parser, main


def arguments(*flags: str) -> dict:
    given = vars(_parser().parse_args(["download", "--url_list", "urls.txt", *flags]))
    return {name: value for name, value in given.items() if name not in ("run", "url_list")}


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), {}),
        (("--image_size", "128"), {"image_size": 128}),
        (("--image-size=128",), {"image_size": 128}),
        (("--resize_only_if_bigger",), {"resize_only_if_bigger": True}),
        (("--resize_only_if_bigger", "False"), {"resize_only_if_bigger": False}),
        (("--compute_hash", "None"), {"compute_hash": None}),
        (("--save_additional_columns", '["a","b"]'), {"save_additional_columns": ["a", "b"]}),
        (("--save_additional_columns", "a, b"), {"save_additional_columns": ["a", "b"]}),
        (("--max_aspect_ratio", "2.5"), {"max_aspect_ratio": 2.5}),
        (("--allow_private_networks", "True"), {"allow_private_networks": True}),
        (("--allow_private_networks", "127.0.0.0/8,10.0.0.0/8"), {"allow_private_networks": ["127.0.0.0/8", "10.0.0.0/8"]}),
        (("--request_headers", '{"Authorization": "Token t"}'), {"request_headers": {"Authorization": "Token t"}}),
    ],
)
def test_flags_become_arguments(flags, expected):
    assert arguments(*flags) == expected


def test_an_unknown_flag_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        arguments("--image_sise", "128")
    assert stopped.value.code == 2
    assert "--image_sise" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--output_format", "webdatset"), "unknown output_format 'webdatset'"),
        (("--resize_mode", "crop"), "resize_mode"),
        (("--incremental_mode", "again"), "incremental_mode: expected one of incremental, overwrite, extend, came 'again'"),
        (("--retry_failed", "bad_weather"), "retry_failed: expected 'transient' or causes out of"),
        ((), "urls.txt"),
    ],
)
def test_an_expected_error_is_one_line_and_status_1(tmp_path, monkeypatch, capsys, flags, said):
    monkeypatch.chdir(tmp_path)
    assert main(["download", "--url_list", "urls.txt", "--output_folder", "out", *flags]) == 1
    shown = capsys.readouterr().err.strip()
    assert said in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) == 1


def test_the_module_runs_as_a_command():
    script = "import sys; from dataset_assets.cli import main; sys.exit(main(['--help']))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0
    for command in ("download", "verify", "demo"):
        assert command in shown.stdout
