"""`siglip`: vectors of images and captions in one space, of https://arxiv.org/abs/2303.15343.

SigLIP, and SigLIP 2 of a fixed resolution.
"""

from dataclasses import dataclass
from typing import ClassVar

from dataset_assets.embeddings.image_text import ImageTextEncoder, ImageTextOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SiglipOptions(ImageTextOptions):
    """Which SigLIP model."""

    model: str = "google/siglip2-base-patch16-224"
    """A folder with a model, or the id of a repository on the Hub."""


class Encoder(ImageTextEncoder):
    """The pooled vectors of both towers."""

    options_class: ClassVar[type] = SiglipOptions
    name = "siglip"
    model_class = "SiglipModel"
    pads_to_longest = True

    def __init__(self, options: SiglipOptions | None = None) -> None:
        super().__init__(options or SiglipOptions())
