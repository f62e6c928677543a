"""`download` with a bad input, output, network or worker: one clear error, nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_assets import download, download_any, registry
from dataset_assets.distribute.serial import Distributor as SerialDistributor
from dataset_assets.errors import (
    ConfigurationError,
    DatasetAssetsError,
    EmptyList,
    MissingColumn,
    NotWritable,
    ShardIncomplete,
    SourceError,
    UnknownName,
    UnreadableList,
)
from dataset_assets_tests.end_to_end.downloads import PARQUET, make


@pytest.mark.parametrize("name", ["cause", "offset"])
def test_a_column_with_a_name_of_ours_is_refused_before_anything_is_fetched(gallery, name):
    table = gallery.table(3).rename_columns(["url", "caption", name])
    with pytest.raises(ConfigurationError, match=f"a name that the shards need, got {name}"):
        make(gallery, source=table, save_additional_columns=[name])
    assert gallery.server.requests == 0


def test_private_addresses_are_refused_unless_allowed(gallery, monkeypatch):
    monkeypatch.delenv("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS")
    assert make(gallery, rows=3).causes == {"blocked_address": 3}
    assert gallery.server.requests == 0
    assert make(gallery, rows=3, out="two", allow_private_networks=["127.0.0.0/8"]).successes == 3


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"source": "nowhere.parquet"}, SourceError, "nowhere.parquet"),
        (
            {"source": [], "caption_col": None, "save_additional_columns": None},
            EmptyList,
            "expected at least one URL",
        ),
        ({"url_col": "link"}, MissingColumn, "link"),
        ({"caption_col": "captoin"}, MissingColumn, "caption"),
        ({"save_additional_columns": ["nope"]}, MissingColumn, "nope"),
        ({"save_additional_columns": ["status"]}, ConfigurationError, "status"),
        ({"input_format": "xlsx"}, UnknownName, "expected one of"),
        ({"output_format": "webdatset"}, UnknownName, "did you mean 'webdataset'"),
        ({"resize_mode": "crop"}, ConfigurationError, "resize_mode"),
        ({"timeout": 0}, ConfigurationError, "timeout"),
        ({"thread_count": -1}, ConfigurationError, "thread_count"),
        ({"encode_quality": 200}, ConfigurationError, "encode_quality"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_requested(
    gallery, monkeypatch, options, error, said
):
    monkeypatch.chdir(gallery.folder)
    with pytest.raises(error, match=said) as caught:
        make(gallery, rows=3, **options)
    assert isinstance(caught.value, DatasetAssetsError)
    assert "\n" not in str(caught.value)
    assert gallery.server.requests == 0


def test_a_list_that_is_not_what_it_says_is_named(gallery):
    broken = gallery.folder / "broken.parquet"
    broken.write_bytes(b"PAR1 not really")
    with pytest.raises(UnreadableList, match="broken.parquet"):
        make(gallery, source=str(broken))


@pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/proc/self").exists(),
    reason="needs a place where even root may not write",
)
def test_an_output_that_can_not_be_written_is_found_before_the_first_request(gallery):
    with pytest.raises(NotWritable, match="/proc/self/out"):
        download(gallery.list(3), output_folder="/proc/self/out", **PARQUET)
    assert gallery.server.requests == 0


@pytest.mark.parametrize("distributor", ["serial", "multiprocessing"])
def test_a_full_disk_keeps_what_is_committed_and_the_run_can_go_on(gallery, distributor):
    """A limit on the size of files stands for the disk: the third shard is too large for it."""
    table = gallery.table(30)
    large = os.urandom(300_000)
    urls = table.column("url").to_pylist()
    for number in range(20, 30):
        # Late, so that the shards before are committed: several are open at a time.
        urls[number] = gallery.server.add(f"/large/{number}", large, delay_s=2)
    options = {
        "output_format": "webdataset",
        "number_sample_per_shard": 10,
        "distributor": distributor,
        "output_folder": str(gallery.folder / "out"),
    }
    (gallery.folder / "urls.txt").write_text("\n".join(urls))
    script = f"""
import resource, signal
from dataset_assets import download_any
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    download_any({str(gallery.folder / "urls.txt")!r}, **{options!r})
"""
    (gallery.folder / "run.py").write_text(script)
    stopped = subprocess.run(
        [sys.executable, str(gallery.folder / "run.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert stopped.returncode == 1
    assert "DiskFull: no space left for" in stopped.stderr
    assert "free some space and run again" in stopped.stderr
    assert sorted(path.name for path in (gallery.folder / "out").glob("*.tar")) == [
        "00000.tar",
        "00001.tar",
    ]
    assert not list((gallery.folder / "out").glob("_tmp/*"))
    report = download_any(str(gallery.folder / "urls.txt"), **options)
    assert (report.rows, report.successes, report.skipped) == (30, 30, 2)


def test_a_lost_worker_costs_only_its_shards(gallery):
    source = gallery.list(40)
    gallery.server.add("/35.jpg", b"", delay_s=2)
    script = f"""
import os, signal, threading, time
from dataset_assets import download
def kill_a_worker():
    time.sleep(1.5)
    import multiprocessing
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
if __name__ == "__main__":
    threading.Thread(target=kill_a_worker, daemon=True).start()
    report = download({source!r}, output_folder={str(gallery.folder / "out")!r},
                      number_sample_per_shard=10, processes_count=2, thread_count=4,
                      input_format="parquet", output_format="webdataset")
    print(report.rows, report.successes, report.made)
"""
    (gallery.folder / "run.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(gallery.folder / "run.py")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["40", "39", "4"]


class _Forgetful(SerialDistributor):
    """A distributor from outside that forgets a task and says nothing."""

    def run(self, work, tasks):
        return super().run(work, list(tasks)[:-1])


def test_a_shard_without_a_result_is_an_error_whatever_the_distributor_says(gallery, monkeypatch):
    load = registry.load
    monkeypatch.setattr(
        registry,
        "load",
        lambda role, name: _Forgetful if role == "distributor" else load(role, name),
    )
    options = {"rows": 30, "number_sample_per_shard": 10}
    with pytest.raises(ShardIncomplete, match="expected 30 rows in 3 shards, got 20 rows and no"):
        make(gallery, **options)
    monkeypatch.undo()
    report = make(gallery, **options, allow_private_networks=True)
    assert (report.rows, report.made, report.skipped) == (30, 1, 2)
