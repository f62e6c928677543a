"""The command line: flags become arguments, errors become one line, exit codes tell."""

import subprocess
import sys

import pytest

from dataset_assets.cli import build_parser, main, parse
from dataset_assets.splits.versions import load_split, version_store
from dataset_assets.storage.store import open_store
from dataset_assets_tests.pipelines.sources import write_recordings


def arguments(*flags: str) -> dict:
    given = vars(
        build_parser("download").parse_args(["download", "--url_list", "urls.txt", *flags])
    )
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
        (("--save_additional_columns", "[a,b]"), {"save_additional_columns": ["a", "b"]}),
        (("--save_additional_columns", "(a, b)"), {"save_additional_columns": ["a", "b"]}),
        (("--save_additional_columns=('a','b',)",), {"save_additional_columns": ["a", "b"]}),
        (("--save_additional_columns=[]",), {"save_additional_columns": []}),
        (("--verify_hash", "[sha,'md5']"), {"verify_hash": ["sha", "md5"]}),
        (("--disallowed_header_directives", "[]"), {"disallowed_header_directives": []}),
        (("--max_aspect_ratio", "2.5"), {"max_aspect_ratio": 2.5}),
        (("--allow_private_networks", "True"), {"allow_private_networks": True}),
        (
            ("--allow_private_networks", "127.0.0.0/8,10.0.0.0/8"),
            {"allow_private_networks": ["127.0.0.0/8", "10.0.0.0/8"]},
        ),
        (
            ("--request_headers", '{"Authorization": "Token t"}'),
            {"request_headers": {"Authorization": "Token t"}},
        ),
    ],
)
def test_flags_become_arguments(flags, expected):
    assert arguments(*flags) == expected


def test_a_list_that_does_not_end_is_refused(capsys):
    with pytest.raises(SystemExit):
        arguments("--save_additional_columns", "[a,b")
    said = "save_additional_columns: expected a list such as [a,b], got '[a,b'"
    assert said in capsys.readouterr().err


def test_an_unknown_flag_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        arguments("--image_sise", "128")
    assert stopped.value.code == 2
    assert "--image_sise" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("download", "a.txt", "--image_sise=3"), "unknown flag --image_sise; did you mean"),
        (("split", "a", "b", "--ratos", "a=1"), "split: unknown flag --ratos; did you mean"),
        (("dowload", "a.txt"), "got 'dowload'; did you mean 'download'?"),
        (("download", "a.txt", "b.txt"), "expected a flag, got a further argument 'b.txt'"),
        (("download", "a.txt", "--url-list", "b.txt"), "expected one list, got 'a.txt' and"),
        (("split", "a", "b", "--ratios", "train=1,train=2"), "each name once, got train twice"),
        (("stage", "coco", "out", "--md5", "a=1,a=2"), "each name once, got a twice"),
    ],
)
def test_a_command_line_is_refused_when_a_part_of_it_would_be_lost(words, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(words)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_list_is_standard_input_when_it_is_a_dash():
    assert parse(["download", "-"]).url_list == "/dev/stdin"


def test_flags_have_the_types_of_inherited_fields_too():
    given = parse(["publish", "split", "me/a", "--license", "mit", "--tags", "a,b"])
    assert (given.tags, given.license) == (["a", "b"], "mit")


def test_an_empty_output_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "urls.txt").write_text("http://127.0.0.1:9/a.jpg\n")
    assert main(["download", "urls.txt", "--output_folder", ""]) == 1
    assert "expected a path or URL of a folder, got an empty text" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["urls.txt"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--output_format", "webdatset"), "unknown output_format 'webdatset'"),
        (("--resize_mode", "crop"), "resize_mode"),
        (
            ("--incremental_mode", "again"),
            "incremental_mode: expected one of incremental, overwrite, extend, got 'again'",
        ),
        (("--retry_failed", "bad_weather"), "retry_failed: expected one of transient, invalid_url"),
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
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0
    for command in ("download", "split", "publish", "verify", "demo"):
        assert command in shown.stdout


def test_only_the_chosen_command_is_loaded_when_it_runs():
    script = (
        "import sys; from dataset_assets.cli import build_parser; build_parser('download')\n"
        "sys.exit('pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


@pytest.fixture
def split(tmp_path):
    """A split that the command line made; its folder."""
    out = tmp_path / "split"
    flags = (
        "--ratios",
        "train=0.5,test=0.5",
        "--layout",
        "frames",
        "--seed",
        "7",
        "--fps",
        "25",
        "--keep-versions",
        "1",
    )
    assert main(["split", write_recordings(tmp_path / "videos", 6), str(out), *flags]) == 0
    return out


def test_a_split_is_made_when_asked_for(split, capsys):
    manifest = load_split(open_store(str(split)))
    assert {name: count.samples for name, count in manifest.splits.items()} == {
        "train": 6,
        "test": 6,
    }
    assert (manifest.options["seed"], manifest.options["layout"], manifest.columns["fps"]) == (
        7,
        "frames",
        "double",
    )
    assert (
        main(
            [
                "split",
                str(split.parent / "videos"),
                str(split),
                "--ratios",
                "train=0.5,test=0.5",
                "--seed",
                "8",
            ]
        )
        == 0
    )
    assert f"version {load_split(open_store(str(split))).version[:12]}" in capsys.readouterr().out


def test_a_split_is_verified_when_its_folder_is_given(split, capsys):
    assert main(["verify", str(split)]) == 0
    assert "every file agrees with the manifest" in capsys.readouterr().out
    store = open_store(str(split))
    manifest = load_split(store)
    folder, name = version_store(store, manifest), manifest.files[0].name
    folder.write(name, folder.read(name)[:-1024])
    for flags in ((), ("--quick",)):
        assert main(["verify", str(split), *flags]) == 1
        assert name in capsys.readouterr().out


def test_a_split_is_published_once_when_asked_twice(split, tmp_path, capsys):
    command = [
        "publish",
        str(split),
        "me/videos",
        "--root",
        str(tmp_path / "published"),
        "--license",
        "mit",
    ]
    assert main([*command, "--dry-run"]) == 0
    assert "README.md" in capsys.readouterr().out
    assert not (tmp_path / "published").exists()
    assert main(command) == 0
    assert "nothing has changed" not in capsys.readouterr().out
    assert main(command) == 0
    assert "nothing has changed" in capsys.readouterr().out


def test_the_token_is_asked_for_when_the_hub_is_the_target(split, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert (
        main(["publish", str(split), "me/videos", "--target", "huggingface", "--license", "mit"])
        == 1
    )
    assert "HF_TOKEN is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--method", "best"), "method"),
        (("--ratios", "train=-1,test=2"), "ratios"),
        (("--group-by", "city"), "'city'"),
        (("--kind", "shards"), "no shards in"),
        (("--pattern", "*"), "options of recordings: expected some of"),
        (("--keep-versions", "0"), "keep_versions"),
        (("--archives", "False", "--tables", "False"), "archives and tables"),
    ],
)
def test_a_wrong_option_of_a_split_is_one_line_and_status_1(tmp_path, capsys, flags, said):
    assert (
        main(["split", write_recordings(tmp_path / "videos", 6), str(tmp_path / "out"), *flags])
        == 1
    )
    shown = capsys.readouterr().err.strip().splitlines()
    assert said in shown[-1]
    assert len([line for line in shown if "holds recordings" not in line]) == 1


@pytest.mark.parametrize("value", ["train", "train=many", '{"train": 1}'])
def test_ratios_are_refused_when_they_are_no_numbers(value, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["split", "in", "out", "--ratios", value])
    assert stopped.value.code == 2
    assert "expected train=0.75,validation=0.15,test=0.10" in capsys.readouterr().err
