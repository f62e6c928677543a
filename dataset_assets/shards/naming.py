"""Names of shards, of samples and of the members of a sample: img2dataset's, and safe for every reader. No bytes, no stores."""

import math
import re
from functools import lru_cache

#: Members of a sample that are not its payload: KEY.json is always the metadata, KEY.txt always the caption.
RESERVED = frozenset({"json", "txt"})
#: webdataset's `decode()` unpickles members with these extensions, so a stranger's url must not be able to choose one.
UNPICKLED = frozenset({"pkl", "pickle", "pyd", "pth", "pt"})
UNKNOWN = "bin"
MAX_EXTENSION = 32  # characters


def shard_name(shard_id: int, oom_shard_count: int) -> str:
    """Return a shard's name: its number in at least `oom_shard_count` digits."""
    return f"{shard_id:0{oom_shard_count}d}"


def sample_key(shard_id: int, index: int, samples_per_shard: int, oom_shard_count: int) -> str:
    """Return the key of row `index` of a shard: the shard's digits, then as many as its row numbers need. Source: img2dataset `compute_key`."""
    digits = math.ceil(math.log10(samples_per_shard))
    return f"{10**digits * shard_id + index:0{digits + oom_shard_count}d}"


def is_hidden(key: str) -> bool:
    """Tell whether an object in a folder of samples is none of ours: what file managers leave behind, such as .DS_Store."""
    return key.rpartition("/")[2].startswith(".")


@lru_cache(maxsize=4096)
def member_extension(extension: str) -> str:
    """Return the extension under which a payload is stored. Idempotent.

    Lower case letters, digits and `_+-.`; a payload that is itself JSON or text is stored as KEY.data.json or KEY.data.txt, beside the metadata and
    the caption; one that readers would unpickle gets `.bin` appended; nothing usable is `bin`.
    """
    parts = [part for part in re.sub(r"[^a-z0-9_+.-]", "", extension.lower()).split(".") if part]
    name = ".".join(parts)
    if name in RESERVED:
        name = f"data.{name}"
    if parts and parts[-1] != UNKNOWN and not UNPICKLED.isdisjoint(parts):
        name = f"{name}.{UNKNOWN}"
    return name if 0 < len(name) <= MAX_EXTENSION else UNKNOWN
