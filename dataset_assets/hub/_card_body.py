"""The body of a dataset card: how to load the dataset, what it contains, where it comes from."""

import json
from collections.abc import Sequence
from typing import Any

from dataset_assets.hub.card_options import CardOptions
from dataset_assets.records.splits import SplitManifest
from dataset_assets.redaction import redact

_NOUNS = {"frames": "videos, each a list of frames", "image": "images", "file": "files"}


def card_body(
    manifest: SplitManifest,
    features: dict[str, Any],
    options: CardOptions,
    repo: str,
    *,
    code: str,
    script: str,
) -> str:
    """Return the markdown below the head."""
    columns = [(f"`{name}`", _type_name(feature)) for name, feature in features.items()]
    split_columns = ("split", "samples", "groups", "bytes", "tables", "archives")
    sections = [
        f"# {options.pretty_name or repo.rpartition('/')[2]}",
        f"{manifest.samples:,} {_NOUNS[manifest.media]}, in {len(manifest.splits)} splits.",
        options.text.strip(),
        *_loading(manifest, repo, script),
        "## Splits",
        _table(split_columns, _split_rows(manifest)),
        "No group is in two splits.",
        "## Columns",
        _table(("column", "type"), columns),
        "## Provenance",
        _table(("what", "value"), _provenance(manifest, options, code)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _loading(manifest: SplitManifest, repo: str, script: str) -> list[str]:
    filled = [name for name, count in manifest.splits.items() if count.samples]
    split = next(iter(filled or manifest.splits))
    sections = [
        "## Load it",
        "With datasets 2.14 and later:",
        _code(
            "from datasets import load_dataset",
            "",
            f'dataset = load_dataset("{repo}", split="{split}", streaming=True)',
        ),
        "Pinned to the newest version, from the Hub or a local copy, without stale caches:",
        _code(
            "import dataset_assets",
            "",
            f'dataset = dataset_assets.load_published("{repo}", split="{split}", streaming=True)',
        ),
    ]
    if manifest.media == "image":
        sections += [
            "As batches for MLX:",
            _code(
                "stream = dataset_assets.hf_dataset_to_mlx_stream(",
                "    dataset, shuffle=True, batch_size=32",
                ")",
                "for batch in stream:",
                "    ...",
            ),
        ]
    if any(file.kind != "parquet" for file in manifest.files):
        sections += _archives(manifest, repo, split)
    if script:
        sections += _legacy(repo, split, script)
    return sections


def _archives(manifest: SplitManifest, repo: str, split: str) -> list[str]:
    sections = [
        "The same samples are in tar archives, for readers that read sequentially:",
        _code(
            "from dataset_assets import video_dataset",
            "",
            f'dataset = video_dataset("{repo}", split="{split}", streaming=True)',
        ),
    ]
    suffix = next(file.kind for file in manifest.files if file.kind != "parquet")
    if manifest.media == "image":
        sections.append(
            _code(
                "from datasets import load_dataset",
                "",
                f'archives = {{"{split}": "hf://datasets/{repo}/archives/{split}-*.{suffix}"}}',
                "dataset = load_dataset(",
                f'    "webdataset", data_files=archives, split="{split}", streaming=True',
                ")",
            )
        )
    return sections


def _legacy(repo: str, split: str, script: str) -> list[str]:
    text = (
        "A loading script reads the archives with datasets 2.16 to 3 (earlier versions work "
        "without `trust_remote_code`; later versions run no scripts and need none):"
    )
    return [
        text,
        _code(
            "from datasets import load_dataset",
            "from huggingface_hub import hf_hub_download",
            "",
            f'script = hf_hub_download("{repo}", "{script}", repo_type="dataset")',
            "dataset = load_dataset(",
            f'    script, split="{split}", streaming=True, trust_remote_code=True',
            ")",
        ),
    ]


def _split_rows(manifest: SplitManifest) -> list[tuple[str, ...]]:
    rows = []
    for name, count in manifest.splits.items():
        is_table = [file.kind == "parquet" for file in manifest.files if file.split == name]
        tables = sum(is_table)
        numbers = (count.samples, count.groups, count.bytes, tables, len(is_table) - tables)
        rows.append((name, *(f"{number:,}" for number in numbers)))
    return rows


def _provenance(manifest: SplitManifest, options: CardOptions, code: str) -> list[tuple[str, ...]]:
    rows = [
        ("version", f"`{manifest.version}`"),
        ("fingerprint of the source", f"`{manifest.source_fingerprint}`"),
    ]
    for name, value in manifest.options.items():
        rows.append((name.replace("_", " "), f"`{json.dumps(value, ensure_ascii=False)}`"))
    rows += [("source", redact(url)) for url in options.source_urls]
    if code:
        rows.append(("code", code))
    return [*rows, ("license", options.license)]


def _type_name(feature: dict[str, Any]) -> str:
    kind = feature.get("_type")
    if kind in ("Sequence", "List"):
        return f"list of {_type_name(feature['feature'])}"
    if kind is None:
        return ", ".join(f"{name}: {_type_name(value)}" for name, value in feature.items())
    return str(feature["dtype"]) if kind == "Value" else str(kind).lower()


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```"])
