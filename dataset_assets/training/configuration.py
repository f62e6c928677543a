"""The dataset configuration of finetrainers, as it is: a JSON file with a list `datasets`.

    {"datasets": [{"data_root": "org/clips", "dataset_type": "video", "id_token": "TOK",
                   "video_resolution_buckets": [[49, 480, 768]], "reshape_mode": "resize_crop",
                   "caption_options": {"column_names": ["short", "long"],
                                       "weights": {"short": 1, "long": 3}}}]}

`dataset_file` may stand for `data_root`. Beside the keys of finetrainers there is `weight`, the
share of a set in an epoch, and each option of `SampleOptions` and `CaptionOptions` by its name.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError
from dataset_assets.records.typed_json import JsonMismatch, load_object
from dataset_assets.training.buckets import MEDIA
from dataset_assets.training.captions import CaptionOptions
from dataset_assets.training.options import SampleOptions

logger = logging.getLogger(__name__)

_OWN = ("data_root", "dataset_file", "dataset_type", "caption_options", "weight")
_AUTO = "__auto__"


@dataclass(frozen=True, slots=True)
class ConfiguredSet:
    """One entry of a configuration."""

    url: str
    """Of its source: a path, a URL or a repository."""
    medium: str
    """"image" or "video"."""
    options: SampleOptions
    weight: float | None = None
    """Share of the epoch. None: each sample once."""


def read_configuration(data: bytes, where: str) -> tuple[ConfiguredSet, ...]:
    """Read a dataset configuration.

    Args:
        data: the file.
        where: its name, for messages.

    Raises:
        ConfigurationError: it is no JSON of this form, or a value is invalid; the message has the
            number of the entry, from 0.

    Example:
        >>> entry = b'{"datasets": [{"data_root": "org/clips", "dataset_type": "video"}]}'
        >>> read_configuration(entry, "training.json")[0].url
        'org/clips'
    """
    try:
        entries = load_object(data).get("datasets")
    except JsonMismatch as exc:
        raise ConfigurationError(f"{where}: expected JSON, got something else ({exc})") from exc
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError(
            f'{where}: expected an object with a list "datasets" that is not empty, got '
            f"{type(entries).__name__}"
        )
    found = []
    for number, entry in enumerate(entries):
        try:
            found.append(_parse_entry(entry))
        except ConfigurationError as exc:
            raise ConfigurationError(f"{where}, datasets[{number}]: {exc}") from exc
    if 0 < sum(each.weight is not None for each in found) < len(found):
        raise ConfigurationError(f"{where}: expected a weight in each of datasets or in none")
    return tuple(found)


def _parse_entry(entry: Any) -> ConfiguredSet:
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"expected an object, got {entry!r}")
    given = [name for name in ("data_root", "dataset_file") if entry.get(name)]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ConfigurationError(f"expected either data_root or dataset_file, got {got}")
    url = checks.text(given[0], entry[given[0]])
    medium = checks.one_of("dataset_type", entry.get("dataset_type"), MEDIA)
    weight = entry.get("weight")
    if weight is not None:
        checks.positive("weight", weight)
    of_captions = {each.name for each in fields(CaptionOptions)}
    of_samples = {each.name for each in fields(SampleOptions)} - {"captions"}
    unknown = sorted(entry.keys() - {*_OWN, *of_captions, *of_samples})
    if unknown:
        known = (*_OWN, *of_captions, *of_samples)
        hints = ", ".join(repr(name) + checks.did_you_mean(name, known) for name in unknown)
        logger.warning("%s: these keys mean nothing and are ignored: %s", url, hints)
    captions = _only(entry, of_captions) | _caption_options(entry.get("caption_options"))
    options = SampleOptions(**_only(entry, of_samples), captions=CaptionOptions(**captions))
    return ConfiguredSet(url, medium, options, weight)


def _only(entry: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """Return the values of some keys; null is as good as no key."""
    return {name: entry[name] for name in entry if name in names and entry[name] is not None}


def _caption_options(given: Any) -> dict[str, Any]:
    """Return options of captions for what finetrainers takes.

    One column needs no list, "__auto__" stands for none, and weights are an object with the weight
    of each column, a list, or -1 for none.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"caption_options: expected an object, got {given!r}")
    checks.some_of("caption_options", list(given), ("column_names", "weights"))
    columns = given.get("column_names") or _AUTO
    weights = given.get("weights") or -1
    if columns == _AUTO:
        if not isinstance(weights, Mapping):
            return {}
        columns = list(weights)  # those with a weight are the columns
    columns = checks.texts("column_names", [columns] if isinstance(columns, str) else columns)
    if weights == -1:
        return {"caption_columns": columns}
    if isinstance(weights, Mapping):
        missing = [column for column in columns if column not in weights]
        if missing:
            raise ConfigurationError(
                f"weights: expected one for each of {', '.join(columns)}, got none for {missing[0]}"
            )
        weights = [weights[column] for column in columns]
    if not isinstance(weights, list):
        raise ConfigurationError(f"weights: expected an object or a list, got {weights!r}")
    return {"caption_columns": columns, "caption_weights": tuple(weights)}
