"""Small archives as other people's programs make them, and what does not belong into one."""

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Mapping

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def zipped(files: Mapping[str, bytes], method: int = STORED) -> bytes:
    """Return a zip of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tarred(
    files: Mapping[str, bytes], *, packed: bool = False, format_: int = tarfile.PAX_FORMAT
) -> bytes:
    """Return a tar or tar.gz of files."""
    return tar_of(
        [(file_header(name, len(data)), data) for name, data in files.items()],
        packed=packed,
        format_=format_,
    )


def tar_of(
    members: list[tuple[tarfile.TarInfo, bytes]],
    *,
    packed: bool = False,
    format_: int = tarfile.PAX_FORMAT,
) -> bytes:
    """Return a tar or tar.gz of members of any kind."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as archive:
        for header, data in members:
            archive.addfile(header, io.BytesIO(data) if header.isreg() else None)
    return gzip.compress(out.getvalue(), mtime=0) if packed else out.getvalue()


def file_header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    return header


def odd_header(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, link
    return header


def photos(
    count: int, size: int = 500, folder: str = "train2017", seed: int = 0
) -> dict[str, bytes]:
    """Return files that do not pack, as photographs."""
    rng = random.Random(seed)
    return {
        f"{folder}/{number:012d}.jpg": rng.randbytes(size + number % 7) for number in range(count)
    }
