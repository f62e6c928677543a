"""Settings of the memory allocator of a worker process."""

import ctypes
import platform
from contextlib import suppress

# malloc.h of glibc: what `mallopt` sets, and values for images of a few megabytes.
_SETTINGS = {
    -1: 16 << 20,  # M_TRIM_THRESHOLD
    -2: 4 << 20,  # M_TOP_PAD
    -3: 32 << 20,  # M_MMAP_THRESHOLD, the largest that is allowed
}


def keep_freed_memory() -> None:
    """Keep the memory of an image for the next one; only glibc can, elsewhere nothing happens.

    By default glibc returns every buffer above 128 KiB to the system at once, and the next image
    costs a page fault for each of its pages again.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    with suppress(OSError, AttributeError):  # a process without a C library to ask
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in _SETTINGS.items():
            mallopt(name, value)
