"""Loads models of transformers, diffusers and sentence-transformers from their files.

Every tensor of the model has to be in the files: the libraries fill what is missing with random
numbers. Files that could run code are refused, and no code of a repository is run.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dataset_assets.embeddings.model_files import find_weights, weights_in
from dataset_assets.embeddings.torch_models import import_torch
from dataset_assets.errors import ConfigurationError, MissingDependency, UnusableWeights


def import_models(package: str, extra: str) -> Any:
    """Import a package that has models of torch.

    Args:
        package: "transformers", "diffusers" or "sentence_transformers".
        extra: the extra of this package that an encoder needs, for the error.

    Raises:
        MissingDependency: it is not installed.
        ConfigurationError: torchvision is installed, but does not work.
    """
    import_torch(extra)
    check_torchvision()
    try:
        return importlib.import_module(package)
    except ImportError as exc:
        raise MissingDependency(
            f"this encoder needs {package} ({exc}): pip install 'dataset-assets[{extra}]'"
        ) from exc


@cache
def check_torchvision() -> None:
    """Check that torchvision is absent or works: a broken one breaks every model of these packages.

    Raises:
        ConfigurationError: it is installed, but cannot be imported.
    """
    if find_spec("torchvision") is None:
        return
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError, AttributeError) as exc:
        raise ConfigurationError(
            f"expected no torchvision or one that fits torch {_version('torch')}, got torchvision "
            f"{_version('torchvision')}, which cannot be imported ({exc}); uninstall it, or "
            "install the build for this torch: no model of transformers can be loaded beside it"
        ) from exc


def load_pretrained(model_class: Any, folder: Path, unused: tuple[str, ...] = ()) -> Any:
    """Load a model of transformers or diffusers in float32, for inference.

    Args:
        model_class: has `from_pretrained`.
        folder: configuration and weights.
        unused: starts of names of tensors that the encoder does not use: they may be missing.

    Raises:
        WeightsMissing: the folder has no weights.
        UnusableWeights: they are damaged, unsafe, or those of another model.
    """
    import torch

    is_safe = weights_in(folder)[0].suffix == ".safetensors"
    check_weights(folder)
    with readable(folder):
        model, info = model_class.from_pretrained(
            str(folder),
            torch_dtype=torch.float32,
            use_safetensors=is_safe,
            local_files_only=True,
            output_loading_info=True,
        )
    names = sorted(info.get("missing_keys") or ())
    missing = [name for name in names if not name.startswith(unused)]
    if missing:
        raise UnusableWeights(
            f"{folder}: expected weights of {model_class.__name__}, got files without "
            f"{len(missing)} of its tensors, such as {missing[0]!r}; choose a model of this kind"
        )
    return model.eval().requires_grad_(requires_grad=False)


def check_weights(folder: Path) -> None:
    """Check that the files with weights, if there are any, load without running code.

    Raises:
        UnusableWeights: a file of torch has other objects than tensors, or is damaged.
    """
    import torch

    for path in find_weights(folder):
        if path.suffix == ".safetensors":
            continue
        try:
            unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except (RuntimeError, ValueError) as exc:
            raise UnusableWeights(
                f"{path}: expected weights saved by torch 1.6 or newer, got other or damaged "
                "bytes; download the model again, or use one that is saved as safetensors"
            ) from exc
        if unsafe:
            raise UnusableWeights(
                f"{path}: expected weights that load without running code, got a file that calls "
                f"{', '.join(sorted(unsafe)[:3])}; use a model that is saved as safetensors"
            )


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise for files that they cannot load into one error.

    Raises:
        UnusableWeights: the body could not load the files.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError, TypeError) as exc:
        reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
        raise UnusableWeights(
            f"{folder}: expected a model that this encoder can load, got an error "
            f"({reason[:300]}); download the model again, or choose another"
        ) from exc


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of an unknown version"
