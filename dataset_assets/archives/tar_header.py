"""The headers of tars: written and checked in our two dialects, and the fields that all share.

A member is a 512-byte ustar header, its data, and zeros up to a multiple of 512 bytes. A name
beyond 100 bytes or beyond ASCII, or a size beyond 8 GiB, is in a PAX header before it, byte for
byte as Python's `tarfile` writes it. A dialect fixes all other fields, so that there is exactly
one header for a name and a size, and every other header is refused. How headers of other programs
are read is in `published_tar_header`.
Format: https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13
"""

from dataset_assets.archives.member_names import MAX_NAME
from dataset_assets.errors import ConfigurationError

BLOCK = 512
ZEROS = bytes(BLOCK)
RECORD = 10_240
"""Bytes that the length of an archive is a multiple of."""
PAX = b"x"
"""The type of a PAX header for one member."""
MAX_PAX = MAX_NAME + BLOCK
"""Upper bound of the data of a PAX header of ours: a name and a size."""

_USTAR_NAME = 100  # bytes
_USTAR_SIZE = 8**11 - 1  # bytes
_PAX_NAME = b"././@PaxHeader"
_FILE = b"0"


class Damaged(ValueError):
    """A block that is no header, or the header of a member that is refused."""


class TarDialect:
    """The fields that every header of one kind of tar has in common."""

    def __init__(self, *, mode: int, owner: bytes = b"", is_extended: bool = False) -> None:
        """Fix the fields.

        Args:
            mode: permissions.
            owner: name of user and group; their numbers are 0.
            is_extended: names are paths, which may need a PAX header; they are checked to be
                safe and unique. Otherwise names are short ASCII keys.
        """
        self.is_extended = is_extended
        self._file = _template(_FILE, mode, owner)
        self._pax = _template(PAX, 0, b"")
        self._sums = {block: sum(block) for block in (self._file, self._pax)}

    def header(self, name: str, size: int) -> bytes:
        """Return all blocks that come before the data of a member of `size` bytes.

        Raises:
            ConfigurationError: the name or the size does not fit.
        """
        if size < 0:
            raise ConfigurationError(
                f"size of tar member {name!r}: expected 0 bytes or more, got {size}"
            )
        if size <= _USTAR_SIZE and 0 < len(name) <= _USTAR_NAME and name.isascii():
            return self._block(self._file, name.encode("ascii"), size)
        if not self.is_extended:
            raise ConfigurationError(
                f"tar member {name[:_USTAR_NAME]!r}: expected a name of 1 to {_USTAR_NAME} ASCII "
                f"characters and at most {_USTAR_SIZE:,} bytes, got {len(name)} characters and "
                f"{size:,} bytes; lower max_bytes"
            )
        return self._extended(name, size)

    def parse(self, blocks: bytes) -> tuple[str, int]:
        """Return the name and the size in what `header` wrote.

        Raises:
            Damaged: something else wrote it.
        """
        last = blocks[-BLOCK:]
        raw_name = last[:_USTAR_NAME].rstrip(b"\0")
        try:
            size = int(last[124:135], 8)
            if len(blocks) == BLOCK:
                name = raw_name.decode("ascii")
                is_plain = name != "" and size >= 0
                is_ours = is_plain and self._block(self._file, raw_name, size) == blocks
            else:
                found = pax_records(blocks[BLOCK : BLOCK + int(blocks[124:135], 8)])
                name = found.get(b"path", raw_name).decode()
                size = int(found.get(b"size", size))
                is_ours = self.header(name, size) == blocks
        except ValueError:  # a ConfigurationError is one, too
            is_ours = False
        if not is_ours:
            raise Damaged("not a header of this dialect")
        return name, size

    def extension_bytes(self, block: bytes) -> int:
        """Return how many bytes of header follow a first block.

        Raises:
            Damaged: the block claims more than any name needs.
        """
        if not self.is_extended or block[156:157] != PAX:
            return 0
        try:
            size = int(block[124:135], 8)
        except ValueError:
            size = 0
        if not 0 < size <= MAX_PAX:
            raise Damaged("a PAX header of an impossible size")
        return size + -size % BLOCK + BLOCK

    def _extended(self, name: str, size: int) -> bytes:
        records = b""
        if len(name) > _USTAR_NAME or not name.isascii():
            records += _pax_record(b"path", name.encode())
        if size > _USTAR_SIZE:
            records += _pax_record(b"size", b"%d" % size)
            size = 0
        short = name.encode("ascii", "replace")[:_USTAR_NAME]
        return (
            self._block(self._pax, _PAX_NAME, len(records))
            + records
            + bytes(-len(records) % BLOCK)
            + self._block(self._file, short, size)
        )

    def _block(self, template: bytes, name: bytes, size: int) -> bytes:
        block = bytearray(template)
        digits = b"%011o\0" % size
        block[: len(name)] = name
        block[124:136] = digits
        block[148:156] = b"%06o\0 " % (self._sums[template] + sum(name) + sum(digits))
        return bytes(block)


def _template(kind: bytes, mode: int, owner: bytes) -> bytes:
    """Return a header without name, size and checksum."""
    block = bytearray(BLOCK)
    block[100:124] = b"%07o\0" % mode + b"0000000\0" * 2
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8  # the checksum counts itself as spaces
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[265 : 265 + len(owner)] = owner
    block[297 : 297 + len(owner)] = owner
    return bytes(block)


SHARD = TarDialect(mode=0o444, owner=b"bigdata")
"""Tars of shard sets: the headers of img2dataset."""
SPLIT = TarDialect(mode=0o644, is_extended=True)
"""Tars of splits."""


def pax_records(data: bytes) -> dict[bytes, bytes]:
    """Return the records of a PAX header: keyword -> value.

    Raises:
        Damaged: the data is something else.
    """
    found = {}
    while data:
        digits = data[: data.find(b" ") + 1]
        length = int(digits) if digits.strip().isdigit() else 0
        if not len(digits) < length <= len(data):
            raise Damaged("a damaged PAX header")
        keyword, _, value = data[len(digits) : length - 1].partition(b"=")
        found[keyword] = value
        data = data[length:]
    return found


def _pax_record(keyword: bytes, value: bytes) -> bytes:
    """Return length, keyword and value as a line; the length counts its own digits."""
    rest = b" %s=%s\n" % (keyword, value)
    length = len(rest) + len(str(len(rest)))
    return b"%d%s" % (len(rest) + len(str(length)), rest)
