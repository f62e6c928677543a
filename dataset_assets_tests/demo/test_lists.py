from collections import Counter
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from dataset_assets.demo.faults import KINDS, PHOTOS_KIND
from dataset_assets.demo.lists import BUSY_HOST, HOST, PORT, ROWS, url_table, write_lists
from dataset_assets.demo.photos import PHOTOS, Crop


@pytest.fixture(scope="module")
def rows():
    return url_table().to_pylist()


def _kind(row):
    return urlsplit(row["url"]).path.split("/")[1]


def test_lists_are_the_same_bytes_when_written_again(tmp_path):
    first, second = write_lists(tmp_path / "a"), write_lists(tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sum(pq.read_metadata(path).num_rows for path in first) == ROWS


def test_lists_are_not_touched_when_right_and_repaired_when_wrong(tmp_path):
    first, second = write_lists(tmp_path)
    before, right = first.stat(), second.read_bytes()
    second.write_bytes(b"cut")
    write_lists(tmp_path)
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert second.read_bytes() == right
    assert len(list(tmp_path.iterdir())) == 2


def test_rows_have_unique_urls_of_existing_crops_when_listed(rows):
    assert len({row["url"] for row in rows}) == ROWS == 2000
    for row in rows:
        crop = Crop.parse(urlsplit(row["url"]).path.split("/", 2)[2])
        photo = PHOTOS[row["photo"]]
        assert crop is not None
        assert crop.photo == row["photo"]
        assert (row["credit"], row["license"]) == (photo.credit, photo.license)
        assert row["caption"] in {caption for view in photo.views for caption in view.captions}
        assert min(crop.width, crop.height) >= 256


def test_kinds_have_the_documented_rows_when_counted(rows):
    counts = Counter(map(_kind, rows))
    assert {name: counts[name] for name in KINDS if name != PHOTOS_KIND} == {
        name: kind.rows for name, kind in KINDS.items() if kind.rows
    }
    failing = sum(kind.rows for kind in KINDS.values() if kind.cause)
    assert 0.05 < failing / ROWS < 0.07


def test_slow_rows_come_first_when_listed(rows):
    assert max(index for index, row in enumerate(rows) if _kind(row) == "drip") < 100


def test_overload_names_another_host_when_listed(rows):
    for row in rows:
        host = BUSY_HOST if KINDS[_kind(row)].on_busy_host else HOST
        assert urlsplit(row["url"]).netloc == f"{host}:{PORT}"
