"""Sources for tests of splits: recordings on disk, samples in memory; and what a store holds."""

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dataset_assets.archives.split_tar import read_split_tar
from dataset_assets.records.splits import SourceSample
from dataset_assets.splits.plan import ArchiveOptions
from dataset_assets.splits.versions import load_split, version_store

FRAMES = 3
#: Several files of each kind, whatever the payloads.
SMALL = ArchiveOptions(max_archive_bytes=8_000, max_table_bytes=3_000, row_group_bytes=2_000)


def write_recordings(
    folder: Path, recordings: int, cameras: int = 2, *, first: int = 0, shuffle: int | None = None
) -> str:
    """Write `rec_00/cam_0/frame_0.pgm` and so on, in any order; no two frames are equal."""
    paths = [
        folder / f"rec_{recording:02d}" / f"cam_{camera}" / f"frame_{frame}.pgm"
        for recording in range(first, first + recordings)
        for camera in range(cameras)
        for frame in range(FRAMES)
    ]
    if shuffle is not None:
        random.Random(shuffle).shuffle(paths)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"P5 8 8 255\n" + random.Random("/".join(path.parts[-3:])).randbytes(64))
    return str(folder)


@dataclass
class MemorySource:
    """Samples that are made when they are read."""

    items: list[SourceSample]
    kind: str = "memory"
    media: str = "image"
    fingerprint: str = "f" * 64
    columns: dict[str, str] = field(default_factory=lambda: {"caption": "string"})
    restriction: None = None
    read_keys: list[str] = field(default_factory=list)

    def samples(self) -> list[SourceSample]:
        return self.items

    def read(self, sample: SourceSample) -> list[bytes]:
        self.read_keys.append(sample.key)
        return [payload_of(sample)]

    def shuffled(self, seed: int = 1) -> "MemorySource":
        return replace(
            self, items=random.Random(seed).sample(self.items, len(self.items)), read_keys=[]
        )


def payload_of(sample: SourceSample) -> bytes:
    return random.Random(sample.key).randbytes(sample.bytes)


def make_images(count: int, *, size: int = 700, **changes: Any) -> MemorySource:
    items = [
        SourceSample(f"s{i:04d}", f"s{i:04d}", size + i % 7, ("jpg",), {"caption": f"picture {i}"})
        for i in range(count)
    ]
    return MemorySource(items, **changes)


def contents(store: Any) -> dict[str, bytes]:
    """Return every object of a store."""
    return {info.key: store.read(info.key) for info in store.list()}


def archived(store: Any) -> dict[str, list[str]]:
    """Return the names of the members of the archives, by split, in order."""
    manifest = load_split(store)
    folder = version_store(store, manifest)
    names: dict[str, list[str]] = {split: [] for split in manifest.splits}
    for file in manifest.files:
        if file.kind != "parquet":
            with folder.open_read(file.name) as opened:
                names[file.split] += [
                    member.name for member in read_split_tar(opened, file.name, file.kind)
                ]
    return names


def videos(store: Any) -> dict[str, list[str]]:
    """Return the keys of the archived samples, by split, from the members with metadata."""
    return {
        split: [name.removesuffix(".json") for name in names if name.endswith(".json")]
        for split, names in archived(store).items()
    }
