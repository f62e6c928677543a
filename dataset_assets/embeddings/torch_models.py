"""What encoders that run torch share: the import, the device, and the mode of inference."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dataset_assets.errors import ConfigurationError, MissingDependency


def import_torch(extra: str) -> Any:
    """Import torch.

    Args:
        extra: the extra of this package that an encoder needs, for the error.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import torch
    except ImportError as exc:
        raise MissingDependency(
            f"this encoder needs torch: pip install 'dataset-assets[{extra}]'"
        ) from exc
    return torch


def choose_device(name: str) -> Any:
    """Return a device of torch; "auto" is a GPU if there is one, else the CPU.

    Raises:
        ConfigurationError: there is no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as exc:
        reason = str(exc).splitlines()[0]
        raise ConfigurationError(
            f"device: expected a device of torch on this machine, got {name!r} ({reason}); "
            "use auto or cpu"
        ) from exc
    return device


@contextmanager
def inference(device: Any) -> Iterator[None]:
    """Run without gradients; on a GPU in bfloat16 where that is safe."""
    import torch

    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"),
    ):
        yield


@contextmanager
def one_cpu_thread() -> Iterator[None]:
    """Let torch, if it is loaded, use one thread of the CPU; the setting is restored.

    Sums depend on the number of threads: with one, values do not depend on the machine's cores, and
    workers do not compete.
    """
    if "torch" not in sys.modules:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
