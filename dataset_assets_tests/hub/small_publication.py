"""A small published dataset of videos: 10 recordings with 2 cameras, from the real pipelines."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dataset_assets.hub.targets import directory
from dataset_assets.pipelines.publish.publish import PublishOptions, publish_split
from dataset_assets.pipelines.split.split_archives import split_archives
from dataset_assets.records.splits import SplitManifest
from dataset_assets.splits.options import SplitOptions
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.sources import files
from dataset_assets.splits.sources.recordings import SplitSource
from dataset_assets.storage.stores.local import Store

REPO = "me/videos"
SPLITS = {"train": 14, "validation": 4, "test": 2}


@dataclass(frozen=True)
class SmallPublication:
    folder: Path  # <root>/me/videos
    snapshot: Path
    manifest: SplitManifest
    videos: dict[str, list[bytes]]  # key -> PGM frames, in playing order: the source
    split_folder: Path  # what was published


def write_recordings(folder: Path, *, brightness: int = 0) -> dict[str, list[bytes]]:
    """Write recordings whose frames sort differently as text and as numbers; return them."""
    videos = {}
    for recording in range(10):
        for camera in range(2):
            key = f"rec_{recording:02d}/cam_{camera}"
            frames = [
                _pgm(recording, camera, number, brightness)
                for number in range(9 + (recording + camera) % 4)
            ]
            (folder / key).mkdir(parents=True)
            for number, frame in enumerate(frames):
                (folder / key / f"frame_{number}.pgm").write_bytes(frame)
            videos[key] = frames
    return videos


def make_version(
    folder: Path, *, layout: str = "webdataset", compression: str = "none", brightness: int = 0
):
    """Create split archives; return the version's folder, its manifest and the source's videos."""
    videos = write_recordings(folder / "recordings", brightness=brightness)
    store = Store(str(folder / "split"))
    options = ArchiveOptions(
        layout=layout, compression=compression, max_archive_bytes=60_000, max_table_bytes=10_000
    )
    manifest = split_archives(
        SplitSource(Store(str(folder / "recordings"))), store, archives=options
    )
    return folder / "split" / "versions" / manifest.version, manifest, videos


def publish_into(root: Path, split_folder: Path) -> Path:
    """Publish the current version of a split; return the snapshot."""
    published = publish_split(
        Store(str(split_folder)),
        directory.HubTarget(str(root), REPO),
        PublishOptions(license="cc-by-4.0"),
    )
    return Path(published.url)


def make_files(folder: Path, *, media: str) -> SmallPublication:
    """Publish 6 images or files with a column, and one of three splits empty.

    `videos` has the bytes of each.
    """
    (folder / "source").mkdir()
    extension = {"image": "png", "file": "bin"}[media]
    contents = {
        f"s{number}": [_png(number) if media == "image" else b"\0" * (number + 1)]
        for number in range(6)
    }
    for key, [content] in contents.items():
        (folder / "source" / f"{key}.{extension}").write_bytes(content)
        (folder / "source" / f"{key}.json").write_text(json.dumps({"weight": int(key[1:]) / 4}))
    options = files.FileOptions(group="(.*)")
    splits = SplitOptions(ratios={"train": 0.5, "test": 0.5, "spare": 0})
    manifest = split_archives(
        files.SplitSource(Store(str(folder / "source")), options),
        Store(str(folder / "split")),
        splits,
    )
    return SmallPublication(
        folder / "hub" / REPO,
        publish_into(folder / "hub", folder / "split"),
        manifest,
        contents,
        folder / "split",
    )


def make_publication(folder: Path, **options) -> SmallPublication:
    _, manifest, videos = make_version(folder, **options)
    return SmallPublication(
        folder / "hub" / REPO,
        publish_into(folder / "hub", folder / "split"),
        manifest,
        videos,
        folder / "split",
    )


def pixels_of(frames: list[bytes]) -> list[list[list[int]]]:
    return [np.asarray(Image.open(io.BytesIO(frame))).tolist() for frame in frames]


def assert_rows_are_the_source(
    rows_by_split, videos: dict[str, list[bytes]], splits: dict[str, int] = SPLITS
) -> None:
    """Compare decoded rows of each split with the source: counts, keys, pixels and columns."""
    rows = {split: list(found) for split, found in rows_by_split.items()}
    assert {split: len(found) for split, found in rows.items()} == splits
    together = [row for found in rows.values() for row in found]
    assert sorted(row["key"] for row in together) == sorted(videos)
    for row in together:
        expected = videos[row["key"]]
        assert row["n_frames"] == len(expected)
        assert (row["recording"], row["camera"]) == tuple(row["key"].split("/"))
        assert [np.asarray(frame).tolist() for frame in row["video"]] == pixels_of(expected)


def _png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (3, 2), (number, 2 * number, 255)).save(file, "PNG")
    return file.getvalue()


def _pgm(recording: int, camera: int, number: int, brightness: int) -> bytes:
    header = b"P5\n8 6\n255\n"
    return header + bytes(
        (recording * 20 + camera * 7 + number * 11 + pixel + brightness) % 256
        for pixel in range(48)
    )
