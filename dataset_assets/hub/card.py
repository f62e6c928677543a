"""The dataset card: README.md of a publication, with a YAML head and a markdown body.

The head decides what `load_dataset` reads. It always names every file pattern, feature and count:
without them `datasets` guesses, and guesses wrong beside archives and markdown. Feature lists have
the form that datasets 2.14 to 5 all read. There is no date: equal versions give equal cards.
Format: https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
"""

import re
from typing import Any

from dataset_assets.errors import ConfigurationError, ShardIncomplete
from dataset_assets.hub._card_body import card_body
from dataset_assets.hub.card_options import CardOptions
from dataset_assets.records.splits import ArchiveFile, SplitManifest

# From 10^3 on, ten times each.
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_SHARD_NUMBER = re.compile(r"-\d{5}-of-")


def card_text(
    manifest: SplitManifest,
    features: dict[str, Any],
    options: CardOptions,
    repo: str,
    *,
    code_version: str = "",
    legacy_script: str = "",
) -> str:
    """Return the card of a version.

    Args:
        manifest: the version.
        features: JSON form of its features, as `datasets` stores them in a table's metadata.
        options: what a person says about the dataset.
        repo: `org/name`.
        code_version: version of this package, "" when unknown.
        legacy_script: path of the loading script in the repository, "" when there is none.

    Raises:
        ShardIncomplete: the tables do not hold what the manifest counts.
        ConfigurationError: there are no tables, or old versions of `datasets` do not know the type
            of a feature.
    """
    import yaml

    head = _head(manifest, features, options, repo)
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    code = f"dataset-assets {code_version}" if code_version else ""
    body = card_body(manifest, features, options, repo, code=code, script=legacy_script)
    return f"---\n{text}---\n\n{body}"


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
        "dataset_info": _dataset_info(manifest, features, tables),
        "configs": [
            {
                "config_name": "default",
                "version": "1.0.0",
                # The cache of a local folder is keyed by this head, not by its files. Without the
                # version in it, `datasets` returns old rows.
                "description": f"snapshot {manifest.version}",
                "data_files": [
                    {"split": name, "path": _pattern(files)} for name, files in tables.items()
                ],
            }
        ],
    }
    return {name: value for name, value in head.items() if value != []}


def _dataset_info(
    manifest: SplitManifest, features: dict[str, Any], tables: dict[str, list[ArchiveFile]]
) -> dict[str, Any]:
    splits = [
        {
            "name": name,
            "num_bytes": manifest.splits[name].bytes,
            "num_examples": manifest.splits[name].samples,
        }
        for name in tables
    ]
    return {
        "features": [
            {"name": name, **_feature(name, feature)} for name, feature in features.items()
        ],
        "splits": splits,
        "download_size": sum(file.bytes for files in tables.values() for file in files),
        "dataset_size": sum(count.bytes for count in manifest.splits.values()),
    }


def _tables(manifest: SplitManifest) -> dict[str, list[ArchiveFile]]:
    """Return the tables of each split that has samples.

    Every version of `datasets` fails to load an empty split, and the other splits with it.
    """
    tables = {}
    for name, count in manifest.splits.items():
        if not count.samples:
            continue
        files = [each for each in manifest.files if each.kind == "parquet" and each.split == name]
        if not files:
            raise ConfigurationError(
                f"split {name!r} has no table to publish; make the split archives with tables=True"
            )
        rows = sum(file.samples for file in files)
        if rows != count.samples:
            raise ShardIncomplete(
                f"split {name!r}: its tables hold {rows} samples, but the manifest counts "
                f"{count.samples}; verify the split and recreate it"
            )
        tables[name] = files
    return tables


def _pattern(files: list[ArchiveFile]) -> str | list[str]:
    """Return one pattern for the tables of a split, or all their names.

    The pattern keeps the number of tables, so it cannot match those of another version.
    """
    patterns = {_SHARD_NUMBER.sub("-*-of-", file.name) for file in files}
    return patterns.pop() if len(patterns) == 1 else [file.name for file in files]


def _feature(name: str, feature: dict[str, Any]) -> dict[str, Any]:
    kind = feature.get("_type")
    if kind is None:
        fields = [{"name": inner, **_feature(inner, value)} for inner, value in feature.items()]
        return {"struct": fields}
    if kind == "Value":
        return {"dtype": feature["dtype"]}
    if kind == "Image":
        return {"dtype": "image"}
    if kind in ("Sequence", "List"):
        inner = _feature(name, feature["feature"])
        return {"list": inner["dtype"] if set(inner) == {"dtype"} else inner}
    raise ConfigurationError(
        f"column {name!r}: expected a feature that every version of datasets knows, got {kind!r}"
    )


def size_category(samples: int) -> str:
    """Return the Hub's name for a number of samples, such as `1K<n<10K`."""
    reached = sum(samples >= 10 ** (3 + i) for i in range(len(_SIZES)))
    if reached == 0:
        return f"n<{_SIZES[0]}"
    if reached == len(_SIZES):
        return f"n>{_SIZES[-1]}"
    return f"{_SIZES[reached - 1]}<n<{_SIZES[reached]}"
