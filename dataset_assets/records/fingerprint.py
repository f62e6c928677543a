"""Fingerprints: the sha256 of values as JSON text. Equal values give equal fingerprints."""

import hashlib
import json
from typing import Any


def fingerprint_of(values: Any, *, sort_keys: bool = False, default: Any = None) -> str:
    """Return the sha256 (hex) of JSON values.

    Args:
        values: what JSON can hold; the order of lists and, unless `sort_keys`, of keys counts.
        sort_keys: ignore the order of keys.
        default: turns other values into JSON, as in `json.dumps`.
    """
    text = json.dumps(values, sort_keys=sort_keys, default=default)
    return hashlib.sha256(text.encode()).hexdigest()
