"""`clip`: vectors of images and captions in one space, of https://arxiv.org/abs/2103.00020.

Any CLIP model of transformers, such as those of OpenAI and LAION.
"""

from dataclasses import dataclass
from typing import ClassVar

from dataset_assets.embeddings.image_text import ImageTextEncoder, ImageTextOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOptions(ImageTextOptions):
    """Which CLIP model."""

    model: str = "openai/clip-vit-large-patch14"
    """A folder with a model, or the id of a repository on the Hub."""


class Encoder(ImageTextEncoder):
    """The projected vectors of both towers."""

    options_class: ClassVar[type] = ClipOptions
    name = "clip"
    model_class = "CLIPModel"
    pads_to_longest = False

    def __init__(self, options: ClipOptions | None = None) -> None:
        super().__init__(options or ClipOptions())
