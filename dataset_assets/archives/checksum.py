"""The published checksum of a whole archive, compared where all of its bytes were read."""

import logging

from dataset_assets.archives.opening import HashedFile
from dataset_assets.errors import ArchiveCorrupt

logger = logging.getLogger(__name__)


def check_md5(name: str, file: HashedFile, expected: str | None, *, from_begin: bool) -> None:
    """Compare an archive that was read from its begin to its end with its published md5.

    A run that began in the middle, or needs only some members, has not seen all bytes and reads none for this: what it read was checked member by
    member, by CRC-32.

    Raises:
        ArchiveCorrupt: the md5 differs.
    """
    if expected is None:
        return
    found = file.md5() if from_begin else None
    if found is None:
        logger.info("%s: not read as a whole, so checked member by member, and not its md5", name)
    elif found != expected:
        raise ArchiveCorrupt(
            f"{name}: expected md5 {expected}, came {found}: the download is damaged or not the published file; stage it again"
        )
