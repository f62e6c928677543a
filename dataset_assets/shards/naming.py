"""Names of shards, samples and members, as img2dataset gives them, and safe for every reader.

No bytes and no stores here.
"""

import math
import re
from functools import lru_cache

#: Members of a sample that are not its payload: KEY.json holds the metadata, KEY.txt the caption.
RESERVED = frozenset({"json", "txt"})
#: webdataset's `decode()` unpickles members with these extensions: no URL may choose one of them.
UNPICKLED = frozenset({"pkl", "pickle", "pyd", "pth", "pt"})
UNKNOWN = "bin"
#: Length of an extension, in characters.
MAX_EXTENSION = 32


def shard_name(shard_id: int, oom_shard_count: int) -> str:
    """Return the name of a shard: its number in at least `oom_shard_count` digits."""
    return f"{shard_id:0{oom_shard_count}d}"


def sample_key(shard_id: int, index: int, samples_per_shard: int, oom_shard_count: int) -> str:
    """Return the key of row `index` of a shard.

    The digits of the shard come first, then as many digits as its row numbers need.
    Source: img2dataset `compute_key`.
    """
    digits = math.ceil(math.log10(samples_per_shard))
    return f"{10**digits * shard_id + index:0{digits + oom_shard_count}d}"


def is_hidden(key: str) -> bool:
    """Tell whether an object is a hidden file, such as the .DS_Store of a file manager."""
    return key.rpartition("/")[2].startswith(".")


@lru_cache(maxsize=4096)
def member_extension(extension: str) -> str:
    """Return the extension under which a payload is stored. Idempotent.

    It has lower case letters, digits and `_+-.`. A payload that is JSON or text itself is stored as
    KEY.data.json or KEY.data.txt, beside the metadata and the caption. One that readers would
    unpickle gets `.bin` appended. If nothing usable is left, the extension is `bin`.
    """
    parts = [part for part in re.sub(r"[^a-z0-9_+.-]", "", extension.lower()).split(".") if part]
    name = ".".join(parts)
    if name in RESERVED:
        name = f"data.{name}"
    if parts and parts[-1] != UNKNOWN and not UNPICKLED.isdisjoint(parts):
        name = f"{name}.{UNKNOWN}"
    return name if 0 < len(name) <= MAX_EXTENSION else UNKNOWN
