"""What people read on a dataset card: how to load it, what is in it, where it comes from."""

import json
from typing import TYPE_CHECKING, Any

from dataset_assets.records.splits import SplitManifest
from dataset_assets.redaction import redact

if TYPE_CHECKING:
    from dataset_assets.hub.card import CardOptions

_NOUNS = {"frames": "videos, each a list of frames", "image": "pictures", "file": "files"}


def card_body(
    manifest: SplitManifest, features: dict[str, Any], options: "CardOptions", repo: str
) -> str:
    """Return the markdown below the head."""
    sections = [
        f"# {options.pretty_name or repo.rpartition('/')[2]}",
        f"{manifest.samples:,} {_NOUNS[manifest.media]}, in {len(manifest.splits)} splits.",
        options.text.strip(),
        *_loading(manifest, options, repo),
        "## Splits",
        _table(
            ("split", "samples", "groups", "bytes", "tables", "archives"), _split_rows(manifest)
        ),
        "No group is in two splits.",
        "## Columns",
        _table(
            ("column", "type"),
            [(f"`{name}`", _type_name(feature)) for name, feature in features.items()],
        ),
        "## Provenance",
        _table(("what", "value"), _provenance(manifest, options)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _loading(manifest: SplitManifest, options: "CardOptions", repo: str) -> list[str]:
    split = next(
        (name for name, count in manifest.splits.items() if count.samples),
        next(iter(manifest.splits)),
    )
    sections = [
        "## Load it",
        _code(
            "from datasets import load_dataset",
            "",
            f'dataset = load_dataset("{repo}", split="{split}", streaming=True)  # datasets 2.14 and later',
        ),
        "Or pinned to the newest version, from the Hub or from a local copy, never out of an old cache:",
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
                "for batch in dataset_assets.hf_dataset_to_mlx_stream(dataset, shuffle=True, batch_size=32):",
                "    ...",
            ),
        ]
    if any(file.kind != "parquet" for file in manifest.files):
        sections += _archives(manifest, repo, split)
    if options.legacy_script:
        sections += [
            "A loading script over the archives, for datasets 2.16 to 3 only (before, without the last option; later, none runs and none is needed):",
            _code(
                "from datasets import load_dataset",
                "from huggingface_hub import hf_hub_download",
                "",
                f'script = hf_hub_download("{repo}", "{options.legacy_script}", repo_type="dataset")',
                f'dataset = load_dataset(script, split="{split}", streaming=True, trust_remote_code=True)',
            ),
        ]
    return sections


def _archives(manifest: SplitManifest, repo: str, split: str) -> list[str]:
    sections = [
        "The same samples lie in tar archives, for readers that go through a dataset in order:",
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
                f'dataset = load_dataset("webdataset", data_files=archives, split="{split}", streaming=True)',
            )
        )
    return sections


def _split_rows(manifest: SplitManifest) -> list[tuple[str, ...]]:
    rows = []
    for name, count in manifest.splits.items():
        kinds = [file.kind == "parquet" for file in manifest.files if file.split == name]
        numbers = (count.samples, count.groups, count.bytes, sum(kinds), len(kinds) - sum(kinds))
        rows.append((name, *(f"{number:,}" for number in numbers)))
    return rows


def _provenance(manifest: SplitManifest, options: "CardOptions") -> list[tuple[str, ...]]:
    rows = [
        ("version", f"`{manifest.version}`"),
        ("fingerprint of the source", f"`{manifest.source_fingerprint}`"),
    ]
    rows += [
        (name.replace("_", " "), f"`{json.dumps(value, ensure_ascii=False)}`")
        for name, value in manifest.options.items()
    ]
    rows += [("source", redact(url)) for url in options.source_urls]
    rows += [("code", f"dataset-assets {options.code_version}")] if options.code_version else []
    return [*rows, ("license", options.license)]


def _type_name(feature: dict[str, Any]) -> str:
    kind = feature.get("_type")
    if kind in ("Sequence", "List"):
        return f"list of {_type_name(feature['feature'])}"
    if kind is None:
        return ", ".join(f"{name}: {_type_name(value)}" for name, value in feature.items())
    return str(feature["dtype"]) if kind == "Value" else str(kind).lower()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _code(*lines: str) -> str:
    return "\n".join(["```python", *lines, "```"])
