"""What a zip and a tar have in common for readers: the protocol, the limits, the names that are refused. Nothing is ever written under a member's name."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import BinaryIO, Protocol

from dataset_assets.errors import ArchiveCorrupt, ConfigurationError
from dataset_assets.records.staged import ArchiveMember

MIB = 1 << 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f]").search
_MAX_NAME = 4096  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What an archive may claim before it is refused.

    Raises:
        ConfigurationError: a value that can not work.
    """

    max_member_bytes: int = 2048 * MIB  # of a member that is read into memory
    max_ratio: int = 200  # unpacked to packed; photographs stay below 2, label maps below 100
    min_bomb_bytes: int = 64 * MIB  # less than this may be packed as well as it likes
    max_directory_bytes: int = 512 * MIB  # of a zip: about five million members

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) >= 1:
                raise ConfigurationError(
                    f"{field.name}: expected 1 or more, got {getattr(self, field.name)!r}"
                )

    def is_bomb(self, packed: int, unpacked: int) -> bool:
        """Tell whether so few bytes may not become so many."""
        return unpacked > self.min_bomb_bytes and unpacked > self.max_ratio * packed


class Archive(Protocol):
    """Members of an archive that lies anywhere. For one thread; the file belongs to the caller.

    Every method raises ArchiveCorrupt for what is damaged or refused: links and devices, names that lead out of their folder, encrypted, overlapping,
    sparse and duplicate members, and those that unpack to absurd sizes.
    """

    name: str
    kind: str  # "zip", "tar", "tar.gz"
    digest: str  # sha256 (hex) of what tells this archive from others without reading it

    def members(self) -> Sequence[ArchiveMember]:
        """Return the files of a zip, in the order of their bytes.

        Raises:
            SourceError: it is a tar, which has no directory.
        """

    def read(self, member: ArchiveMember) -> bytes:
        """Read a member."""

    def walk(
        self, start: int = 0, wanted: Callable[[str], bool] = bool
    ) -> Iterator[tuple[ArchiveMember, bytes]]:
        """Read the wanted members in archive order, but for the first `start` of them."""

    def open(self, member: ArchiveMember) -> BinaryIO:
        """Open a member of any size as a stream; to seek backward in it reads it anew where it is packed."""


def check_name(archive: str, name: str, offset: int) -> str:
    """Return the name of a member that stays in its folder on every system.

    Raises:
        ArchiveCorrupt: it does not.
    """
    parts = name.split("/")
    drive = len(name) > 1 and name[1] == ":" and name[0].isalpha()
    if (
        not all(parts)
        or "." in parts
        or ".." in parts
        or "\\" in name
        or drive
        or _CONTROL(name)
        or len(name) > _MAX_NAME
    ):
        shown = repr(name) if len(name) <= 200 else f"{name[:200]!r}..."
        raise refused(
            archive,
            shown,
            offset,
            "its name is absolute, leads out of its folder, or has characters that file systems treat differently",
        )
    return name


def refused(archive: str, member: str, offset: int, why: str) -> ArchiveCorrupt:
    """Return the error for a member that is not read."""
    return ArchiveCorrupt(
        f"{archive}: member {member} at byte {offset:,}: {why}; get the archive anew from its publisher"
    )
