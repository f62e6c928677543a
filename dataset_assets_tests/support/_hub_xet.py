"""A Xet store in a folder.

The real client uploads to it when the Hub calls it `local:///folder`; the Hub then reads it.
"""

import os
import struct
import time
from pathlib import Path

HEADER_BYTES = RECORD_BYTES = HASH_RECORD_BYTES = 48
HAS_VERIFICATION, HAS_METADATA = 1 << 31, 1 << 30
END_OF_FILES = b"\xff" * 32


class XetStore:
    """The folder, and the files that its shards list."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"local://{folder}"
        self._hashes: dict[str, str] = {}  # sha256 -> Xet hash
        self._read: set[Path] = set()

    def find(self, sha256: str) -> str | None:
        """Return the Xet hash of an uploaded file."""
        if sha256 not in self._hashes:
            for shard in set(self._folder.rglob("shards/*.mdb")) - self._read:
                self._hashes |= files_of_shard(shard.read_bytes())
                self._read.add(shard)
        return self._hashes.get(sha256)

    def token(self) -> tuple[dict[str, object], dict[str, str]]:
        """Return the body and the headers of a token response."""
        expires = int(time.time()) + 3600
        headers = {
            "X-Xet-Cas-Url": self.url,
            "X-Xet-Access-Token": "xet",
            "X-Xet-Token-Expiration": str(expires),
        }
        return {"accessToken": "xet", "exp": expires, "casUrl": self.url}, headers

    def fetch(self, xet_hash: str, size: int, path: Path) -> None:
        """Write a file's content, for clients without Xet."""
        import hf_xet

        part = path.with_suffix(".part")
        with hf_xet.XetSession().new_file_download_group(endpoint=self.url) as group:
            group.start_download_file(hf_xet.XetFileInfo(xet_hash, size), str(part))
        os.replace(part, path)


def files_of_shard(shard: bytes) -> dict[str, str]:
    """Return sha256 -> Xet hash of the files in a metadata shard.

    After the header, each file has a record (hash, flags, number of segments), the segments, as
    many verification records if flagged, and the sha256 if flagged. All are 48 bytes long.
    """
    found, at = {}, HEADER_BYTES
    while (file_hash := shard[at : at + 32]) != END_OF_FILES:
        flags, segments = struct.unpack_from("<II", shard, at + 32)
        at += RECORD_BYTES * (1 + segments * (2 if flags & HAS_VERIFICATION else 1))
        if flags & HAS_METADATA:
            found[_hex(shard[at : at + 32])] = _hex(file_hash)
            at += HASH_RECORD_BYTES
    return found


def _hex(digest: bytes) -> str:
    """Write a hash as Xet does: four little-endian numbers."""
    return "".join(f"{number:016x}" for number in struct.unpack("<4Q", digest))
