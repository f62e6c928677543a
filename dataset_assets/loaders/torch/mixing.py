"""Mixup and CutMix: batches whose samples are blended with each other, and whose labels become shares of classes.

Sources: https://arxiv.org/abs/1710.09412, https://arxiv.org/abs/1905.04899.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dataset_assets.errors import ConfigurationError
from dataset_assets.loaders.torch.loader import stack


@dataclass(frozen=True, slots=True, kw_only=True)
class MixingCollate:
    """Stacks samples (image, label) and blends each with its neighbour; with both kinds on, each batch gets one of them.

    Raises:
        ConfigurationError: a value that can not work.
    """

    classes: int
    mixup_alpha: float = 0.0  # of the Beta distribution; 0: off
    cutmix_alpha: float = 0.0

    def __post_init__(self) -> None:
        if self.mixup_alpha < 0 or self.cutmix_alpha < 0 or self.classes < 1:
            raise ConfigurationError(
                f"expected mixup_alpha and cutmix_alpha from 0 and at least one class, came {self.mixup_alpha}, {self.cutmix_alpha}, {self.classes}"
            )

    def __call__(
        self, samples: Sequence[tuple[Any, ...]], rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (B, C, H, W), and labels (B, classes) float32 that sum to 1."""
        images, labels = stack(samples)
        shares = torch.nn.functional.one_hot(labels, self.classes).to(torch.float32)
        kinds = [
            kind
            for kind, alpha in ((_mix, self.mixup_alpha), (_cut, self.cutmix_alpha))
            if alpha > 0
        ]
        if not kinds:
            return images, shares
        kind = kinds[int(rng.random() * len(kinds))]
        alpha = self.mixup_alpha if kind is _mix else self.cutmix_alpha
        kept = kind(images, float(rng.beta(alpha, alpha)), rng)
        return images, shares * kept + shares.roll(1, 0) * (1 - kept)


def _mix(images: torch.Tensor, kept: float, rng: np.random.Generator) -> float:
    """Blend in place; return the share that is kept."""
    images.lerp_(images.roll(1, 0), 1 - kept)
    return kept


def _cut(images: torch.Tensor, kept: float, rng: np.random.Generator) -> float:
    """Paste a box of the neighbour; return the share that is kept, which is smaller where the box reaches over the edge."""
    height, width = images.shape[-2:]
    half = 0.5 * np.sqrt(1 - kept)
    x, y = rng.random() * width, rng.random() * height
    left, right = (int(np.clip(x + side * half * width, 0, width)) for side in (-1, 1))
    top, bottom = (int(np.clip(y + side * half * height, 0, height)) for side in (-1, 1))
    images[..., top:bottom, left:right] = images.roll(1, 0)[..., top:bottom, left:right]
    return 1 - (right - left) * (bottom - top) / (width * height)
