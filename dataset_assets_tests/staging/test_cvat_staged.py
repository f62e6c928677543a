"""Exports of CVAT through the pipeline, as users stage them."""

import pytest

from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.pipelines.stage.open_staging import open_staging
from dataset_assets.pipelines.stage.stage import StageOptions, stage
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support import tiny_cvat
from dataset_assets_tests.support.archive_server import ArchiveServer

WRITERS = {
    "images": tiny_cvat.write_images,
    "video": tiny_cvat.write_video,
    "coco": tiny_cvat.write_coco,
}


class Stop(Exception):
    pass


def staged(folder, url, *, stop_at=None):
    def progress(done, _):
        if done == stop_at:
            raise Stop

    store = open_store(str(folder))
    report = stage(
        open_staging("cvat", {"exports": {"mine": url}}),
        store,
        StageOptions(max_shard_samples=2),
        partition="mine",
        progress=progress,
    )
    return report, {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".json"
    }


@pytest.mark.parametrize("kind", WRITERS)
def test_partition_is_the_same_when_stopped_and_resumed_and_when_it_comes_through_a_bad_line(
    tmp_path, kind
):
    path = WRITERS[kind](tmp_path / "in" / "export.zip")
    report, files = staged(tmp_path / "clean", path)
    with pytest.raises(Stop):
        staged(tmp_path / "resumed", path, stop_at=3)
    resumed, again = staged(tmp_path / "resumed", path)
    with ArchiveServer(tmp_path / "in") as server:
        server.cut_after("export.zip", 3000, times=3)
        remote, fetched = staged(tmp_path / "remote", server.url("export.zip"))
    assert files == again == fetched
    assert report.dataset == resumed.dataset == remote.dataset
    assert (resumed.skipped, remote.skipped) == (1, 0)
    assert report.manifest.fingerprint == remote.manifest.fingerprint
    assert (
        report.dataset.samples == report.dataset.rows == {"images": 5, "video": 8, "coco": 3}[kind]
    )


def test_corrupt_member_is_named_when_an_export_is_damaged(tmp_path):
    path = tmp_path / "export.zip"
    tiny_cvat.write_images(path)
    data = bytearray(path.read_bytes())
    data[500] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ArchiveCorrupt, match=r"export\.zip: .*images/train/cam/000\.jpg"):
        staged(tmp_path / "out", str(path))


def test_bad_image_is_a_row_without_a_sample(tmp_path):
    body = tiny_cvat.image_element(0, "a.jpg") + tiny_cvat.image_element(1, "b.jpg")
    files = {
        "annotations.xml": tiny_cvat.document(body),
        "images/a.jpg": tiny_cvat.encoded_image(),
        "images/b.jpg": tiny_cvat.encoded_image()[:300],
    }
    report, _ = staged(tmp_path / "out", tiny_cvat.write_zip(tmp_path / "export.zip", files))
    assert (report.dataset.rows, report.dataset.samples, sum(report.dataset.causes.values())) == (
        2,
        1,
        1,
    )
