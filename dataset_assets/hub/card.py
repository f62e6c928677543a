"""The dataset card: README.md of a publication. Its YAML head decides what `load_dataset` reads, its body what people do.

The head always names every file pattern, feature and count: without them `datasets` guesses, and it guesses wrong beside archives and markdown.
The list style of the features is the one that datasets 2.14 to 5 read alike. No date and no clock: equal versions give equal cards.
Format: https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
"""

import re
from dataclasses import dataclass
from typing import Any

from dataset_assets.errors import ConfigurationError, ShardIncomplete
from dataset_assets.hub._card_body import card_body
from dataset_assets.records.splits import ArchiveFile, SplitManifest

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_SIZES = (
    "1K",
    "10K",
    "100K",
    "1M",
    "10M",
    "100M",
    "1B",
    "10B",
    "100B",
    "1T",
)  # from 10^3 on, ten times each


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """What a person says about a dataset."""

    license: str  # identifier of the Hub: "cc-by-4.0", "mit", "other"
    pretty_name: str = ""  # the repository's name when empty
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()  # ISO 639: "en"
    source_urls: tuple[str, ...] = ()  # shown without credentials
    text: str = ""  # markdown, below the title
    code_version: str = ""
    legacy_script: str = ""  # its path in the repository, "" when there is none

    def __post_init__(self) -> None:
        if not _LICENSE.fullmatch(self.license):
            raise ConfigurationError(
                f"license: expected an identifier such as 'cc-by-4.0', 'mit' or 'other', got {self.license!r}"
            )
        wrong = [language for language in self.languages if not _LANGUAGE.fullmatch(language)]
        if wrong:
            raise ConfigurationError(
                f"languages: expected codes of two or three small letters such as 'en', got {wrong}"
            )


def card_text(
    manifest: SplitManifest, features: dict[str, Any], options: CardOptions, repo: str
) -> str:
    """Return the card of a version. `features` as JSON, as `datasets` keeps them in the metadata of a table.

    Raises:
        ShardIncomplete: the tables do not hold what the manifest counts.
        ConfigurationError: there are no tables, or a feature has a type that old versions of `datasets` do not know.
    """
    import yaml

    head = _head(manifest, features, options, repo)
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n\n{card_body(manifest, features, options, repo)}"


def _head(
    manifest: SplitManifest, features: dict[str, Any], options: CardOptions, repo: str
) -> dict[str, Any]:
    tables = _tables(manifest)
    head = {
        "license": options.license,
        "pretty_name": options.pretty_name or repo.rpartition("/")[2],
        "language": list(options.languages),
        "tags": list(options.tags),
        "size_categories": [size_category(manifest.samples)],
        "dataset_info": {
            "features": [
                {"name": name, **_feature(name, feature)} for name, feature in features.items()
            ],
            "splits": [
                {
                    "name": name,
                    "num_bytes": manifest.splits[name].bytes,
                    "num_examples": manifest.splits[name].samples,
                }
                for name in tables
            ],
            "download_size": sum(file.bytes for files in tables.values() for file in files),
            "dataset_size": sum(count.bytes for count in manifest.splits.values()),
        },
        "configs": [
            {
                "config_name": "default",
                "version": "1.0.0",
                # The cache of a local directory is found by this head, not by the files: without the version in it, old rows come back.
                "description": f"snapshot {manifest.version}",
                "data_files": [
                    {"split": name, "path": _pattern(files)} for name, files in tables.items()
                ],
            }
        ],
    }
    return {name: value for name, value in head.items() if value != []}


def _tables(manifest: SplitManifest) -> dict[str, list[ArchiveFile]]:
    """Return the tables of each split that has samples: loading an empty one fails in every `datasets`, and takes the others with it."""
    filled = [name for name, count in manifest.splits.items() if count.samples]
    tables = {
        name: [file for file in manifest.files if file.kind == "parquet" and file.split == name]
        for name in filled
    }
    for name, files in tables.items():
        if not files:
            raise ConfigurationError(
                f"split {name!r} has no table to publish; make the split archives with tables=True"
            )
        rows = sum(file.samples for file in files)
        if rows != manifest.splits[name].samples:
            raise ShardIncomplete(
                f"split {name!r}: its tables hold {rows} samples, the manifest counts {manifest.splits[name].samples}"
            )
    return tables


def _pattern(files: list[ArchiveFile]) -> str | list[str]:
    """Name the tables of a split: one pattern that can not match tables of another count, or each of them."""
    names = [file.name for file in files]
    pattern = re.sub(r"-\d{5}-of-", "-*-of-", names[0])
    return pattern if len({re.sub(r"-\d{5}-of-", "-*-of-", name) for name in names}) == 1 else names


def _feature(name: str, feature: dict[str, Any]) -> dict[str, Any]:
    kind = feature.get("_type")
    if kind is None:
        return {
            "struct": [
                {"name": inner, **_feature(inner, value)} for inner, value in feature.items()
            ]
        }
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "Image":
        return {"dtype": "image"}
    if kind in ("Sequence", "List"):
        inner = _feature(name, feature["feature"])
        return {"list": inner["dtype"] if set(inner) == {"dtype"} else inner}
    raise ConfigurationError(
        f"column {name!r}: a feature of type {kind!r} can not be described for every version of datasets"
    )


def size_category(samples: int) -> str:
    """Return the Hub's name for a number of samples, such as `1K<n<10K`."""
    reached = sum(samples >= 10 ** (3 + i) for i in range(len(_SIZES)))
    if reached == 0:
        return f"n<{_SIZES[0]}"
    return (
        f"n>{_SIZES[-1]}"
        if reached == len(_SIZES)
        else f"{_SIZES[reached - 1]}<n<{_SIZES[reached]}"
    )
