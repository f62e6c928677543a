"""The tar dialect of our archives: one header per name and size, so equal members give equal bytes, and any other header is refused.

A member is a 512-byte ustar header (mode 0644, owner 0, mtime 0), the data, zeros up to a multiple of 512. A name beyond 100 bytes or beyond ASCII,
or a size beyond 8 GiB, is in a PAX header before it, byte for byte as Python's `tarfile` writes it. An archive ends with at least two zero blocks,
filled up to 10,240 bytes.
Format: POSIX.1-2001 pax, https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html#tag_20_92_13_01
"""

from dataset_assets.errors import ConfigurationError

BLOCK = 512
RECORD = 10_240
MAX_NAME = 4096  # bytes
MAX_NAME_PART = 255  # bytes: what file systems take
#: Upper bound of the data of a PAX header that holds a name and a size.
MAX_PAX = MAX_NAME + BLOCK
_USTAR_NAME = 100  # bytes
_USTAR_SIZE = 8**11 - 1  # bytes
_PAX = b"x"
_PAX_NAME = b"././@PaxHeader"

_TEMPLATE = bytearray(BLOCK)
_TEMPLATE[100:124] = b"0000000\0" * 3
_TEMPLATE[136:148] = b"00000000000\0"
_TEMPLATE[148:156] = b" " * 8  # the checksum counts itself as spaces
_TEMPLATE[156:157] = _PAX
_TEMPLATE[257:265] = b"ustar\x0000"
_FILE = _TEMPLATE[:]
_FILE[100:108] = b"0000644\0"
_FILE[156:157] = b"0"
_SUMS = {bytes(template): sum(template) for template in (_TEMPLATE, _FILE)}
_PAX_TEMPLATE, _FILE_TEMPLATE = bytes(_TEMPLATE), bytes(_FILE)


def header(name: str, size: int) -> bytes:
    """Return all blocks that come before the data of a member of `size` bytes.

    Raises:
        ConfigurationError: the size is negative.
    """
    if size < 0:
        raise ConfigurationError(f"tar member {name!r} of {size} bytes: expected 0 or more")
    if size <= _USTAR_SIZE and len(name) <= _USTAR_NAME and name.isascii():
        return _block(_FILE_TEMPLATE, name.encode("ascii"), size)
    return _extended(name, size)


def parse(blocks: bytes) -> tuple[str, int]:
    """Return the name and size in what `header` wrote.

    Raises:
        ValueError: something else wrote it.
    """
    last = blocks[-BLOCK:]
    found = (
        _pax_records(blocks[BLOCK : BLOCK + octal(blocks[124:135])]) if len(blocks) > BLOCK else {}
    )
    name = found.get(b"path", last[:_USTAR_NAME].rstrip(b"\0")).decode()
    size = int(found[b"size"]) if b"size" in found else octal(last[124:135])
    if header(name, size) != blocks:
        raise ValueError("not the header of this name and size")
    return name, size


def extension_bytes(block: bytes) -> int:
    """Return how many bytes follow a first block before the data starts; 0 if it is not a PAX header.

    Raises:
        ValueError: it claims more than any name needs.
    """
    if block[156:157] != _PAX:
        return 0
    size = octal(block[124:135])
    if not 0 < size <= MAX_PAX:
        raise ValueError(f"a PAX header of {size} bytes")
    return size + -size % BLOCK + BLOCK


def octal(digits: bytes) -> int:
    """Read a number field."""
    return int(digits, 8)


def check_member_name(name: str) -> str:
    """Return a name that is safe in an archive: it stays in its folder, on every system, and no reader skips it.

    Raises:
        ConfigurationError: it is not.
    """
    parts = name.split("/")
    try:
        raw = [part.encode() for part in parts]
    except UnicodeEncodeError:
        raw = []
    wrong = (
        not raw
        or "\\" in name
        or any(not part or part.startswith((".", "__")) for part in parts)
        or any(ord(character) < 32 or ord(character) == 127 for character in name)
        or max(map(len, raw)) > MAX_NAME_PART
        or sum(map(len, raw)) + len(raw) > MAX_NAME
    )
    if wrong:
        raise ConfigurationError(
            f"{name!r} can not be the name of a member: expected relative parts of at most {MAX_NAME_PART} bytes, separated by '/', "
            "none hidden, empty or leading upwards, without backslashes and control characters"
        )
    return name


def _extended(name: str, size: int) -> bytes:
    records = b""
    if len(name) > _USTAR_NAME or not name.isascii():
        records += _pax_record(b"path", name.encode())
    if size > _USTAR_SIZE:
        records += _pax_record(b"size", b"%d" % size)
        size = 0
    short = name.encode("ascii", "replace")[:_USTAR_NAME]
    return (
        _block(_PAX_TEMPLATE, _PAX_NAME, len(records))
        + records
        + bytes(-len(records) % BLOCK)
        + _block(_FILE_TEMPLATE, short, size)
    )


def _block(template: bytes, name: bytes, size: int) -> bytes:
    block = bytearray(template)
    digits = b"%011o\0" % size
    block[: len(name)] = name
    block[124:136] = digits
    block[148:156] = b"%06o\0 " % (_SUMS[template] + sum(name) + sum(digits))
    return bytes(block)


def _pax_record(keyword: bytes, value: bytes) -> bytes:
    """Return length, keyword and value as a line; the length counts its own digits."""
    rest = b" %s=%s\n" % (keyword, value)
    length = len(rest) + len(str(len(rest)))
    return b"%d%s" % (len(rest) + len(str(length)), rest)


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    found = {}
    while data:
        digits, _, _ = data.partition(b" ")
        length = int(digits)
        if length <= len(digits):
            raise ValueError("a PAX record without a length")
        keyword, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        found[keyword] = value
        data = data[length:]
    return found
