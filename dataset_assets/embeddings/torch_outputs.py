"""Tensors of models become the arrays that are stored."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def unit_length(vectors: Any) -> Any:
    """Scale (B, D) vectors to length 1, in float32."""
    import torch

    return torch.nn.functional.normalize(vectors.float(), dim=-1)


def to_array(values: Any, dtype: str) -> NDArray[Any]:
    """Return a tensor as an array of a stored type; BF16 are the bits, in uint16.

    Args:
        values: of any float type, on any device.
        dtype: "F32", "F16" or "BF16".
    """
    import torch

    kept = values.detach().to("cpu")
    if dtype == "BF16":
        bits: NDArray[Any] = kept.to(torch.bfloat16).contiguous().view(torch.int16).numpy()
        return bits.view(np.uint16)
    wanted = {"F32": torch.float32, "F16": torch.float16}[dtype]
    array: NDArray[Any] = kept.to(wanted).contiguous().numpy()
    return array


def computed_in(device: Any) -> str:
    """Return the type in which a model runs on a device, for its identity."""
    return "bfloat16" if device.type == "cuda" else "float32"
