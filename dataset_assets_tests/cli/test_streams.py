"""Standard streams that are closed, full, or would carry control characters to a terminal."""

import re
import subprocess
import sys

import pytest


def run(folder, arguments, redirections=""):
    command = f"exec {sys.executable} -m dataset_assets {arguments} {redirections}"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_column_names_reach_the_terminal_without_control_characters(tmp_path):
    (tmp_path / "list.csv").write_text("\x1b[31mred\x9b,\x07b\nx,y\n")
    found = run(tmp_path, "download list.csv --input_format csv --output_folder out")
    assert found.returncode == 1
    assert r"its columns are \x1b[31mred\x9b, \x07b" in found.stderr
    assert not set(found.stderr) & set("\x1b\x9b\x07")


@pytest.mark.parametrize("redirection", ["2>&-", "2>&- 1>&-", "0<&- 1>&- 2>&-"])
def test_work_is_done_when_streams_are_closed(tmp_path, redirection):
    write_list(tmp_path)
    found = run(tmp_path, DOWNLOAD, redirection)
    assert (found.returncode, found.stderr) == (1, "")  # 1: no row succeeds
    assert ("blocked_address" in found.stdout) is ("1>&-" not in redirection)
    assert (tmp_path / "out" / "manifest.json").is_file()


def test_full_standard_output_is_one_line(tmp_path):
    write_list(tmp_path)
    found = run(tmp_path, DOWNLOAD, "> /dev/full")
    assert found.returncode == 1
    assert found.stderr.splitlines()[-1].startswith("StorageError: the work is done, but")
    assert "Traceback" not in found.stderr
    assert "Exception ignored" not in found.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()


DOWNLOAD = "download list.txt --output_folder out --output_format webdataset --distributor serial"


def write_list(folder):
    (folder / "list.txt").write_text("http://10.0.0.1/a.jpg\n")


def test_long_path_for_temporary_files_is_one_line(tmp_path):
    write_list(tmp_path)
    (tmp_path / ("x" * 120)).mkdir()
    arguments = "download list.txt --output_folder out"
    command = f"TMPDIR=$PWD/{'x' * 120} exec {sys.executable} -m dataset_assets {arguments}"
    found = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 1
    assert re.fullmatch(r"ConfigurationError: expected a folder .*TMPDIR.*\n", found.stderr)


def test_daemonic_process_is_told_so(tmp_path):
    script = (
        "import multiprocessing\n"
        "from dataset_assets import download\n"
        "def call(_):\n"
        "    try:\n"
        "        download(['http://10.0.0.1/a'], output_folder='out')\n"
        "    except ValueError as exc:\n"
        "        return str(exc)\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Pool(1) as pool:\n"
        "        print(pool.map(call, [0])[0])\n"
    )
    (tmp_path / "script.py").write_text(script)
    found = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert re.fullmatch(r"expected a process .*daemonic .*distributor=\"serial\".*\n", found.stdout)
