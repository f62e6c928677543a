"""Mixup and CutMix: samples of a batch are blended, and labels become shares of classes.

https://arxiv.org/abs/1710.09412, https://arxiv.org/abs/1905.04899
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dataset_assets import checks
from dataset_assets.loaders.torch.loader import stack


@dataclass(frozen=True, slots=True, kw_only=True)
class MixingCollate:
    """Stacks samples (image, label) and blends each with the one before it in the batch.

    If both kinds are on, each batch gets one of them.

    Raises:
        ConfigurationError: a value is invalid.
    """

    classes: int
    """Number of classes."""
    mixup_alpha: float = 0.0
    """Parameter of the Beta distribution for mixup. 0: off."""
    cutmix_alpha: float = 0.0
    """Parameter of the Beta distribution for CutMix. 0: off."""

    def __post_init__(self) -> None:
        checks.integer("classes", self.classes, 1)
        checks.number("mixup_alpha", self.mixup_alpha, 0)
        checks.number("cutmix_alpha", self.cutmix_alpha, 0)

    def __call__(
        self, samples: Sequence[tuple[Any, ...]], rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (B, C, H, W), and labels (B, classes) float32 whose rows sum to 1."""
        images, labels = stack(samples)
        shares = torch.nn.functional.one_hot(labels, self.classes).to(torch.float32)
        alphas = ((_mixup, self.mixup_alpha), (_cutmix, self.cutmix_alpha))
        kinds = [(blend, alpha) for blend, alpha in alphas if alpha > 0]
        if not kinds:
            return images, shares
        blend, alpha = kinds[int(rng.random() * len(kinds))]
        kept = blend(images, float(rng.beta(alpha, alpha)), rng)
        return images, shares * kept + shares.roll(1, 0) * (1 - kept)


def _mixup(images: torch.Tensor, kept: float, rng: np.random.Generator) -> float:
    """Blend images in place; return the share of each that is kept."""
    images.lerp_(images.roll(1, 0), 1 - kept)
    return kept


def _cutmix(images: torch.Tensor, kept: float, rng: np.random.Generator) -> float:
    """Paste a box of another image into each, in place; return the share that is kept.

    It differs from `kept` if the box extends over the edge.
    """
    height, width = images.shape[-2:]
    half = 0.5 * np.sqrt(1 - kept)
    x = rng.random() * width
    y = rng.random() * height
    left, right = (int(np.clip(x + side * half * width, 0, width)) for side in (-1, 1))
    top, bottom = (int(np.clip(y + side * half * height, 0, height)) for side in (-1, 1))
    images[..., top:bottom, left:right] = images.roll(1, 0)[..., top:bottom, left:right]
    return 1 - (right - left) * (bottom - top) / (width * height)
