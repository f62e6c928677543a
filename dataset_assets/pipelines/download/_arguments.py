"""What some arguments of `download` stand for, as its option classes have it."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from dataset_assets.checks import texts
from dataset_assets.errors import ConfigurationError
from dataset_assets.fetch.options import OPT_OUT_DIRECTIVES
from dataset_assets.images.options import FORMATS
from dataset_assets.pipelines.download.options import limits_of_files


def header_pairs(given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Return the headers to send."""
    if given is not None and not isinstance(given, Mapping):
        raise ConfigurationError(  # without the value: it can hold a token
            f"request_headers: expected a mapping of name to value, got {type(given).__name__}"
        )
    return tuple((given or {}).items())


def accepted_formats(given: Sequence[str] | None, media: str) -> tuple[str, ...]:
    """Return the formats of images to accept."""
    if given is None:
        return FORMATS
    if media != "image":
        raise ConfigurationError(
            f"formats: expected none with media={media!r}, got {given!r}; files of any kind are "
            "stored unchanged, so leave it out"
        )
    return (given,) if isinstance(given, str) else texts("formats", given)


def body_limits(media: str, total_timeout: float | None, max_bytes: int | None) -> dict[str, Any]:
    """Return the limits of time and length of one body, where they are not the default."""
    limits: dict[str, Any] = {"total_timeout_s": total_timeout, "max_bytes": max_bytes}
    if media == "any":
        return limits_of_files(limits)
    return {name: value for name, value in limits.items() if value is not None}


def directives(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the directives of X-Robots-Tag that forbid the use of a file."""
    if given is None:
        return OPT_OUT_DIRECTIVES
    return tuple(each.strip() for each in texts("disallowed_header_directives", given))


def private_networks(given: Sequence[str] | bool | None) -> tuple[str, ...]:
    """Return the networks that may be reached besides public ones.

    An environment variable can set it: tests and closed networks need it in programs that they
    cannot change.
    """
    if given is None:
        text = os.environ.get("DATASET_ASSETS_ALLOW_PRIVATE_NETWORKS", "")
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if isinstance(given, bool):
        return ("all",) if given else ()
    return (given,) if isinstance(given, str) else texts("allow_private_networks", given)


def kept_columns(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns of the list to keep."""
    return () if given is None else texts("save_additional_columns", given)


def hash_to_verify(given: Sequence[str] | None) -> tuple[str, str] | None:
    """Return the column and the type of the hash to verify."""
    if given is None:
        return None
    pair = texts("verify_hash", given)
    if len(pair) != 2:
        raise ConfigurationError(f"verify_hash: expected [column, type], got {list(pair)!r}")
    return pair[0], pair[1]
