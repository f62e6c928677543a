"""What published zips and tars have in common: the protocol of readers, limits and refusals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import BinaryIO, Protocol

from dataset_assets.archives.member_names import is_safe_name
from dataset_assets.checks import integer
from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.staged import ArchiveMember

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What an archive may claim before it is refused.

    Raises:
        ConfigurationError: a limit is not a positive integer.
    """

    max_member_bytes: int = 2048 * MIB
    """Largest member that is read into memory."""
    max_ratio: int = 200
    """Largest ratio of unpacked to packed bytes; photographs stay below 2, label maps below 100."""
    min_bomb_bytes: int = 64 * MIB
    """Members that unpack to less may have any ratio."""
    max_directory_bytes: int = 512 * MIB
    """Largest directory of a zip: about five million members."""

    def __post_init__(self) -> None:
        for field in fields(self):
            integer(field.name, getattr(self, field.name), 1)

    def is_bomb(self, packed: int, unpacked: int) -> bool:
        """Tell whether so few packed bytes may not become so many."""
        return unpacked > self.min_bomb_bytes and unpacked > self.max_ratio * packed


class Archive(Protocol):
    """Members of a published archive. For one thread; the file belongs to the caller.

    Every method raises ArchiveCorrupt for what is damaged or refused: links and devices, names
    that lead out of their folder, encrypted, overlapping, sparse and duplicate members, and members
    that unpack to absurd sizes.
    """

    name: str
    kind: str
    """One of "zip", "tar" and "tar.gz"."""
    digest: str
    """sha256 (hex) of what identifies the archive without reading all of it."""

    def members(self) -> Sequence[ArchiveMember]:
        """Return the files of a zip, in the order of their bytes.

        Raises:
            SourceError: the archive is a tar, which has no directory.
        """

    def read(self, member: ArchiveMember) -> bytes:
        """Read a member."""

    def walk(
        self, start: int = 0, wanted: Callable[[str], bool] = bool
    ) -> Iterator[tuple[ArchiveMember, bytes]]:
        """Read the wanted members in archive order, except for the first `start` of them."""

    def open(self, member: ArchiveMember) -> BinaryIO:
        """Open a member of any size as a stream; in packed data, to seek back starts over."""


def check_name(archive: str, name: str, offset: int) -> str:
    """Return the name of a member that stays in its folder on every operating system.

    Raises:
        ArchiveCorrupt: it does not.
    """
    if not is_safe_name(name):
        why = (
            "its name is absolute, leads out of its folder, or has characters that file systems "
            "treat differently"
        )
        raise refusal(archive, name, offset, why)
    return name


def refusal(archive: str, member: str, offset: int, why: str) -> ArchiveCorrupt:
    """Return the error for a member that is not read."""
    shown = repr(member) if len(member) <= 200 else f"{member[:200]!r}..."
    return ArchiveCorrupt(
        f"{archive}: member {shown} at byte {offset:,}: {why}; download the archive again"
    )
