"""`img2dataset.resizer` on `dataset_assets.images.transform`."""

from typing import Any, BinaryIO

from dataset_assets.images.options import ImageOptions
from dataset_assets.images.transform import ImageTransform


class Resizer:
    """Resizes and encodes one image. Its arguments are those of `ImageOptions`."""

    def __init__(
        self, image_size: int, resize_mode: str, resize_only_if_bigger: bool, **options: Any
    ) -> None:
        self.options = ImageOptions(
            image_size=image_size,
            resize_mode=resize_mode,
            resize_only_if_bigger=resize_only_if_bigger,
            **options,
        )
        self._transform = ImageTransform(self.options)

    def __call__(self, stream: BinaryIO, boxes: Any = None) -> tuple[Any, ...]:
        """Return the stored bytes, four sizes in px, and the error."""
        media = self._transform.run(stream.read(), bboxes=boxes)
        sizes = media.width, media.height, media.original_width, media.original_height
        return media.payload, *sizes, media.message
