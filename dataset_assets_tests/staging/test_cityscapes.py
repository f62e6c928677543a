"""Cityscapes, from copies of its archives and from a site with a login."""

import shutil
import traceback
import zipfile

import cv2
import numpy as np
import pytest

from dataset_assets.errors import ArchiveCorrupt, ConfigurationError, LoginRefused, SourceError
from dataset_assets.pipelines.stage.stage import StoreAccess
from dataset_assets.records.staged import SampleError
from dataset_assets.staging.sources.cityscapes import CityscapesOptions, Source
from dataset_assets.storage.store import open_store
from dataset_assets_tests.support.cityscapes_site import CityscapesSite
from dataset_assets_tests.support.tiny_cityscapes import write_cityscapes

USERNAME, PASSWORD = "someone@example.org", "corr3ct-h0rse"
SECRETS = {"CITYSCAPES_USERNAME": USERNAME, "CITYSCAPES_PASSWORD": PASSWORD}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return write_cityscapes(tmp_path_factory.mktemp("cityscapes"), images=3)


@pytest.fixture
def site(archives):
    with CityscapesSite(archives, USERNAME, PASSWORD) as site:
        yield site


def open_partition(tmp_path, name, options, secrets=SECRETS.get):
    return Source(options).open(name, StoreAccess(open_store(str(tmp_path / name)), secret=secrets))


def from_folder(tmp_path, archives, name="train"):
    return open_partition(
        tmp_path, name, CityscapesOptions(partitions=(name,), folder=str(archives))
    )


def test_samples_have_images_and_labels_as_published_when_read_from_copies(tmp_path, archives):
    partition = from_folder(tmp_path, archives)
    items = list(partition.read_items(0))
    samples = [partition.make_sample(item) for item in items]
    assert [sample.key for sample in samples] == [
        f"{city}_{number:06}_{19 + number:06}"
        for city in ("aachen", "bad-honnef")
        for number in range(3)
    ]
    assert partition.count == 6
    assert samples[4].columns == {"city": "bad-honnef", "sequence": 1, "frame": 20}
    stem = "train/aachen/aachen_000000_000019"
    with (
        zipfile.ZipFile(archives / "leftImg8bit_trainvaltest.zip") as images,
        zipfile.ZipFile(archives / "gtFine_trainvaltest.zip") as labels,
    ):
        assert samples[0].payload == images.read(f"leftImg8bit/{stem}_leftImg8bit.png")
        assert samples[0].parts == {
            "seg.png": labels.read(f"gtFine/{stem}_gtFine_labelIds.png"),
            "instance.png": labels.read(f"gtFine/{stem}_gtFine_instanceIds.png"),
            "annotations.json": labels.read(f"gtFine/{stem}_gtFine_polygons.json"),
        }
        objects = dict(partition.make_objects(items[0]))
        assert objects[f"gtFine/{stem}_gtFine_color.png"] == labels.read(
            f"gtFine/{stem}_gtFine_color.png"
        )
        assert next(iter(objects)) == f"leftImg8bit/{stem}_leftImg8bit.png"
    drawn = cv2.imdecode(np.frombuffer(samples[0].parts["seg.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert samples[0].label_counts == {
        int(label): int((drawn == label).sum()) for label in np.unique(drawn)
    }


def test_the_rest_is_read_when_begun_in_the_middle(tmp_path, archives):
    partition = from_folder(tmp_path, archives)
    assert list(partition.read_items(4)) == list(partition.read_items(0))[4:]


def test_coarse_labels_are_used_when_images_are_extra(tmp_path, archives):
    partition = from_folder(tmp_path, archives, "train_extra")
    assert [set(partition.make_sample(item).parts) for item in partition.read_items(0)] == [
        {"seg.png", "instance.png", "annotations.json"}
    ] * 3


def test_packages_are_found_by_name_and_checked_when_downloaded_after_a_login(
    tmp_path, archives, site
):
    options = CityscapesOptions(partitions=("train",), site=site.base_url)
    partition = open_partition(tmp_path, "train", options)
    copies = from_folder(tmp_path, archives)
    assert partition.fingerprint == copies.fingerprint
    assert [partition.make_sample(item) for item in partition.read_items(0)] == [
        copies.make_sample(item) for item in copies.read_items(0)
    ]
    partition.verify_archives()
    posts = [seen for seen in site.log if seen.method == "POST"]
    assert len(posts) == 1
    assert not any(PASSWORD in seen.target or PASSWORD in str(seen.headers) for seen in site.log)


def test_an_archive_is_refused_when_its_md5_is_not_the_published_one(
    tmp_path, archives, site, monkeypatch
):
    monkeypatch.setattr(site, "_md5_line", lambda name: f"{'0' * 32}  {name}\n".encode())
    partition = open_partition(
        tmp_path, "val", CityscapesOptions(partitions=("val",), site=site.base_url)
    )
    for archive, file, _ in partition._archives:
        for member in archive.members():
            archive.read(member)
        assert file.hexdigest() is not None
    with pytest.raises(ArchiveCorrupt, match="leftImg8bit_trainvaltest.zip: expected md5 0000"):
        partition.verify_archives()


def test_a_wrong_password_is_one_line_without_it_when_logging_in(tmp_path, site):
    wrong = {**SECRETS, "CITYSCAPES_PASSWORD": "wr0ng-canary"}
    with pytest.raises(LoginRefused, match="does not take the user name and password") as caught:
        open_partition(
            tmp_path,
            "train",
            CityscapesOptions(partitions=("train",), site=site.base_url),
            wrong.get,
        )
    text = "".join(traceback.format_exception(caught.value))
    assert "wr0ng-canary" not in text
    assert "\n" not in str(caught.value)
    assert site.bytes_sent("gtFine_trainvaltest.zip") == 0


def test_the_variable_is_named_when_there_is_no_password(tmp_path, site):
    with pytest.raises(ConfigurationError, match="CITYSCAPES_USERNAME"):
        open_partition(
            tmp_path, "train", CityscapesOptions(partitions=("train",), site=site.base_url), {}.get
        )


def test_no_login_is_made_when_all_archives_are_copies(tmp_path, archives):
    assert (
        open_partition(
            tmp_path, "val", CityscapesOptions(partitions=("val",), folder=str(archives)), {}.get
        ).count
        == 3
    )


def test_an_unknown_package_is_one_line_with_the_near_names_when_asked_for(tmp_path, archives):
    fewer = shutil.copytree(archives, tmp_path / "fewer")
    (fewer / "leftImg8bit_trainvaltest.zip").unlink()
    missing = r"no package 'leftImg8bit_trainvaltest.zip'.*leftImg8bit_trainextra.zip"
    with (
        CityscapesSite(fewer, USERNAME, PASSWORD) as site,
        pytest.raises(SourceError, match=missing),
    ):
        open_partition(
            tmp_path, "train", CityscapesOptions(partitions=("train",), site=site.base_url)
        )


def test_a_missing_label_map_is_counted_and_the_image_kept_when_staged(tmp_path, archives):
    source, stem = tmp_path / "less", "val/frankfurt/frankfurt_000001_000020"
    source.mkdir()
    with (
        zipfile.ZipFile(archives / "gtFine_trainvaltest.zip") as whole,
        zipfile.ZipFile(source / "less.zip", "w") as less,
    ):
        for name in whole.namelist():
            if stem not in name:
                less.writestr(name, whole.read(name))
    options = CityscapesOptions(
        partitions=("val",),
        folder=str(archives),
        archives={"gtFine_trainvaltest.zip": str(source / "less.zip")},
    )
    partition = open_partition(tmp_path, "val", options)
    assert partition.warnings == {"images without label map": 1}
    assert [bool(partition.make_sample(item).parts) for item in partition.read_items(0)] == [
        True,
        False,
        True,
    ]


def test_a_damaged_label_map_is_a_bad_sample_when_drawn(tmp_path, archives):
    partition = from_folder(tmp_path, archives, "val")
    item = next(partition.read_items(0))
    name = next(path for path in item.companions if path.endswith("labelIds.png"))
    damaged = type(item)(
        item.index,
        item.path,
        item.archive,
        item.offset,
        item.payload,
        {**item.companions, name: b"not an image"},
    )
    with pytest.raises(SampleError, match="8-bit image of one channel"):
        partition.make_sample(damaged)


def test_the_license_forbids_to_publish_when_asked():
    assert not Source.license.redistributable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"partitions": ("training",)},
            "partitions: expected some of train, val, test, train_extra, got 'training'",
        ),
        ({"partitions": ()}, "got none"),
        ({"archives": {"gtFine.zip": "x"}}, "archives: expected some of"),
    ],
)
def test_an_option_is_refused_when_it_can_not_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        CityscapesOptions(**options)
