"""Small, predictable samples of archives, and what other programs read from the same members."""

import gzip
import io
import struct
import tarfile
import zlib
from typing import Any

from dataset_assets.archives.tar_header import SPLIT
from dataset_assets.archives.tar_writer import TarWriter
from dataset_assets.records.splits import ArchiveFile, SourceSample
from dataset_assets.splits.plan import ArchiveOptions, FilePlan, sample_members
from dataset_assets.splits.table import TableWriter

COLUMNS = {"recording": "string", "camera": "string", "n_frames": "int32"}


def pgm(value: int, width: int = 8, height: int = 6) -> bytes:
    return b"P5\n%d %d\n255\n" % (width, height) + bytes([value % 256]) * (width * height)


def png(value: int) -> bytes:
    """A gray image of one pixel, written by hand: tests of bytes need no imaging library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    pixels = zlib.compress(bytes([0, value % 256]))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def video(index: int, frames: int | None = None) -> tuple[SourceSample, list[bytes]]:
    """A video of a recording with two cameras; each has another number of frames."""
    recording, camera = f"rec_{index // 2:02d}", f"cam_{index % 2}"
    payloads = [pgm(10 * index + i) for i in range(3 + index % 4 if frames is None else frames)]
    columns = {"recording": recording, "camera": camera, "n_frames": len(payloads)}
    return make_sample(
        f"{recording}/{camera}",
        payloads,
        [f"{i:04d}.pgm" for i in range(len(payloads))],
        group=recording,
        columns=columns,
    )


def image_sample(index: int, **columns: Any) -> tuple[SourceSample, list[bytes]]:
    return make_sample(
        f"{index:06d}", [png(index)], ["png"], columns={"caption": f"picture {index}", **columns}
    )


def make_sample(
    key: str,
    payloads: list[bytes],
    parts: list[str],
    *,
    group: str = "",
    columns: dict[str, Any] | None = None,
) -> tuple[SourceSample, list[bytes]]:
    return SourceSample(
        key, group or key, sum(map(len, payloads)), tuple(parts), columns or {}
    ), payloads


def write_archive(
    store: Any, name: str, samples: list, *, layout: str = "webdataset"
) -> ArchiveFile:
    kind = "tar.gz" if name.endswith(".gz") else "tar"
    with TarWriter(store.stage(name), SPLIT, kind) as writer:
        for sample, payloads in samples:
            writer.add(sample_members(sample, payloads, layout))
        size, sha256, members = writer.commit()
    return ArchiveFile(name, "train", kind, size, sha256, len(samples), members)


def write_table(
    store: Any, name: str, samples: list, media: str, columns: dict[str, str], **options: Any
) -> ArchiveFile:
    with TableWriter(store, name, media, columns, ArchiveOptions(**options)) as writer:
        for sample, payloads in samples:
            writer.add(sample, payloads)
        size, sha256, rows = writer.commit()
    return ArchiveFile(name, "train", "parquet", size, sha256, len(samples), rows)


def write_plan(
    store: Any,
    plan: FilePlan,
    payloads: dict[str, list[bytes]],
    media: str,
    columns: dict[str, str],
) -> ArchiveFile:
    samples = [(sample, payloads[sample.key]) for sample in plan.samples]
    return (
        write_table(store, plan.name, samples, media, columns)
        if plan.kind == "parquet"
        else write_archive(store, plan.name, samples)
    )


def by_tarfile(members: list[tuple[str, bytes]], kind: str = "tar") -> bytes:
    """The same members as Python's own modules write them."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    if kind == "tar":
        return file.getvalue()
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0, compresslevel=6) as stream:
        stream.write(file.getvalue())
    return packed.getvalue()
