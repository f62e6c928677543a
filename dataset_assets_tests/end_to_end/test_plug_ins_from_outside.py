"""Plug-ins of another distribution, one module each, used end to end by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_assets_tests.support.distribution import write_distribution

ROOT = Path(__file__).parents[2]

#: A list format: url, "|" and a caption on each line.
PIPES = """
import pyarrow as pa


class Reader:
    def __init__(self, options):
        self._columns = options.columns

    def read(self, file):
        with file.open() as stored:
            rows = [line.decode().rstrip("\\n").split("|") for line in stored]
        table = pa.table({"url": [row[0] for row in rows], "caption": [row[1] for row in rows]})
        yield table.select(self._columns)
"""

#: An output format: one JSON object with the payload in hexadecimal on each line.
LINES = """
import json

from dataset_assets.records.shards import ShardFile
from dataset_assets.shards.sidecar import Sidecar
from dataset_assets.shards.writer import Sample


class Writer:
    sidecar = True
    suffix = ".lines"

    def __init__(self, store, options):
        self._staged = store.stage(options.name + self.suffix)
        self._sidecar = Sidecar(store, options)

    def write(self, row):
        if row.payload is not None:
            sample = {"key": row.key, "extension": row.extension, "payload": row.payload.hex()}
            self._staged.write(json.dumps(sample).encode() + b"\\n")
        self._sidecar.add(row)

    def close(self):
        self._staged.close()
        self._sidecar.close()

    def commit(self):
        self.close()
        self._staged.commit()
        file = ShardFile(self._staged.key, self._staged.bytes, self._staged.sha256)
        return file, self._sidecar.commit()

    def discard(self):
        self._staged.discard()
        self._sidecar.discard()

    @staticmethod
    def samples(store, file):
        with store.open_read(file.name) as stored:
            for line in stored:
                sample = json.loads(line)
                payload = bytes.fromhex(sample["payload"])
                yield Sample(sample["key"], sample["extension"], payload, None)
"""

#: A store: `shelf://folder` is a folder below the one that the environment names.
SHELF = """
import os
from pathlib import Path

from dataset_assets.storage.stores import local


class Store(local.Store):
    def __init__(self, url):
        super().__init__(str(Path(os.environ["SHELF"], url.removeprefix("shelf://"))))
        self.url = url

    def child(self, prefix):
        return Store(f"{self.url}/{prefix}")
"""

SCRIPT = """
import json
import sys

from dataset_assets import download

report = download(**json.loads(sys.argv[1]))
print(json.dumps([report.made, report.skipped, report.manifest.successes]))
"""


@pytest.fixture
def shelf(tmp_path):
    """The folder of the store `shelf`."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path, shelf):
    """Return a function that runs a script where the outside distribution is installed."""
    write_distribution(
        tmp_path / "site",
        "outside",
        {"outside.pipes": PIPES, "outside.lines": LINES, "outside.shelf": SHELF},
        {
            "input_format": {"pipes": "outside.pipes"},
            "output_format": {"lines": "outside.lines"},
            "store": {"shelf": "outside.shelf"},
        },
    )
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'site'}",
        "SHELF": str(shelf),
    }

    def run(**arguments):
        result = subprocess.run(
            [sys.executable, script, json.dumps(arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run


def write_list(path, urls):
    path.write_text("".join(f"{url}|caption {n}\n" for n, url in enumerate(urls)))


def names(folder):
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )


def shard_files(*shards):
    return [f"{shard}{end}" for shard in shards for end in (".lines", ".parquet", "_stats.json")]


DOWNLOAD = {
    "url_list": "shelf://lists/urls.pipes",
    "output_folder": "shelf://out",
    "input_format": "pipes",
    "output_format": "lines",
    "caption_col": "caption",
    "number_sample_per_shard": 3,
    "distributor": "multiprocessing",
    "processes_count": 2,
    "image_size": 32,
}


def test_download_uses_formats_and_a_store_from_outside(run, gallery, shelf):
    (shelf / "lists").mkdir()
    urls = [gallery.url(number) for number in range(7)]
    write_list(shelf / "lists" / "urls.pipes", [*urls, gallery.server.url("/7.jpg")])
    assert run(**DOWNLOAD) == [3, 0, 7]
    assert names(shelf / "out") == shard_files("00000", "00001", "00002")

    # The rows of a shard are read back, merged with what is fetched now, and written again.
    gallery.url(7)
    assert run(**DOWNLOAD, retry_failed=["http_not_found"]) == [1, 2, 8]
    samples = (shelf / "out" / "00002.lines").read_text().splitlines()
    assert [json.loads(line)["key"] for line in samples] == ["000020", "000021"]

    # Overwriting deletes the files of the old set, also those that the new set does not replace.
    (shelf / "out" / "notes.lines").write_text("not of the set")
    write_list(shelf / "lists" / "urls.pipes", urls[:2])
    assert run(**DOWNLOAD, incremental_mode="overwrite") == [1, 0, 2]
    assert names(shelf / "out") == [*shard_files("00000"), "notes.lines"]
    assert run(**DOWNLOAD | {"output_format": "files"}, incremental_mode="overwrite") == [1, 0, 2]
    assert not (shelf / "out" / "00000.lines").exists()
