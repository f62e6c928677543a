"""The files of a model: in a folder, or from the Hub at one commit; and their digests.

Weights are safetensors, or files of torch that load without running code; nothing else is looked
at. A model from the Hub is downloaded with `huggingface_hub`, its cache and its login.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dataset_assets.errors import MissingDependency, UnusableWeights, WeightsMissing
from dataset_assets.records.typed_json import load_object

_SAFE = "*.safetensors"
_TORCH = "*.bin"
#: Configurations, tokenizers and their vocabularies.
_SMALL = ("*.json", "*.txt", "*.model")
#: Copies of the weights at other precisions, and in the formats of other libraries.
_OTHERS = (
    "*.fp16.*",
    "*.bf16.*",
    "*.non_ema.*",
    "*onnx/*",
    "*openvino/*",
    "*coreml/*",
    "flax_*",
    "tf_*",
    "rust_*",
)


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model is on this machine."""

    root: Path
    repository: str = ""
    """Id on the Hub; "" for a folder."""
    commit: str = ""
    """Of the repository."""

    def folder(self, name: str = "") -> Path:
        """Return a folder of the model.

        Raises:
            WeightsMissing: there is no such folder.
        """
        found = self.root / name
        if not found.is_dir():
            raise WeightsMissing(
                f"{self.repository or self.root}: expected a folder {name!r}, got none; "
                "correct the option that names it, or choose another model"
            )
        return found

    def json(self, name: str) -> Mapping[str, Any] | None:
        """Read a JSON file; None: there is none.

        Raises:
            UnusableWeights: it is no JSON object.
        """
        path = self.root / name
        if not path.is_file():
            return None
        try:
            return load_object(path.read_bytes())
        except ValueError as exc:
            raise UnusableWeights(f"{path}: {exc}; download the model again") from None

    def identity(self, *folders: str) -> Mapping[str, Any]:
        """Return the commit and the SHA-256 of the files that decide what the model computes.

        A folder on this machine is described by its files alone: its path changes no value.
        """
        found = sorted({path for name in folders or ("",) for path in self._used(name)})
        digests = {path.relative_to(self.root).as_posix(): digest_of(path) for path in found}
        return {"repository": self.repository, "commit": self.commit, "files": digests}

    def _used(self, name: str) -> Iterator[Path]:
        folder = self.folder(name)
        yield from find_weights(folder)
        for pattern in _SMALL:
            yield from folder.glob(pattern)


def find_weights(folder: Path) -> Sequence[Path]:
    """Return the files with weights: safetensors if there are any, else those of torch."""
    for pattern in (_SAFE, _TORCH):
        found = [path for path in sorted(folder.glob(pattern)) if not _is_other(path.name)]
        if found:
            return found
    return ()


def weights_in(folder: Path) -> Sequence[Path]:
    """Return the files with weights, as `find_weights` does.

    Raises:
        WeightsMissing: there are none.
    """
    found = find_weights(folder)
    if not found:
        raise WeightsMissing(
            f"{folder}: expected files {_SAFE} or {_TORCH} with the weights of a model, got none; "
            "give the folder that a model was saved to"
        )
    return found


def find_model(model: str, revision: str, folders: Sequence[str] = ("",)) -> ModelFiles:
    """Return the files of a model; they are downloaded unless they are on this machine.

    Args:
        model: a folder, or the id of a repository on the Hub: "openai/clip-vit-base-patch32".
        revision: branch, tag or commit of that repository; a folder has none.
        folders: folders of the repository that are needed; "" is its root.

    Raises:
        WeightsMissing: there is no such folder and no such repository, or no network.
        MissingDependency: a package for the Hub is not installed.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return ModelFiles(path)
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise WeightsMissing(
            f"model: expected a folder with a model, got {model!r}, which does not exist; "
            "correct the path, or give the id of a repository on the Hub"
        )
    root = _download(model, revision, folders)
    # The cache of the client names a snapshot after its commit.
    return ModelFiles(root, model, root.name)


def _download(model: str, revision: str, folders: Sequence[str]) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
        from huggingface_hub.utils import httpx  # type: ignore[attr-defined]
    except ImportError as exc:
        raise MissingDependency(
            "models from the Hub need huggingface_hub: pip install 'dataset-assets[transformers]'"
        ) from exc
    inside = [f"{name}/" if name else "" for name in folders]
    # Modules of sentence-transformers: some have safetensors and others not, in one repository.
    modules = [f"{name}/{_TORCH}" for name in folders if name.endswith("*")]
    others = [*_OTHERS, *(["*/*"] if list(folders) == [""] else [])]

    def download(*patterns: str) -> Path:
        wanted = [f"{folder}{pattern}" for folder in inside for pattern in patterns] + modules
        return Path(
            snapshot_download(
                model, revision=revision, allow_patterns=wanted, ignore_patterns=others
            )
        )

    try:
        root = download(_SAFE, *_SMALL)
        if not any(path for folder in inside for path in root.glob(f"{folder}{_SAFE}")):
            root = download(_TORCH, *_SMALL)
    except (HFValidationError, LocalEntryNotFoundError, OSError, httpx.HTTPError) as exc:
        reason = str(exc).strip().splitlines()[0]
        raise WeightsMissing(
            f"model: expected a folder, or a repository that the Hub lets this machine read, got "
            f"{model!r} at revision {revision!r} ({reason}); where there is a network, run "
            f"`hf download {model} --revision {revision} --local-dir FOLDER`, copy the folder to "
            "this machine, and give its path as model"
        ) from exc
    return root


def _is_other(name: str) -> bool:
    return any(Path(name).match(pattern) for pattern in (*_OTHERS, "training_args.bin"))


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex; computed once while the file is the same."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed_ns: int) -> str:
    """Return the SHA-256 of a file; size and time say whether it is still the same."""
    del size, changed_ns
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
