"""`img2dataset.blurrer` on `dataset_assets.images.blur`."""

from typing import Any

from dataset_assets.images.blur import blur_boxes, check_boxes


class BoundingBoxBlurrer:
    """Blurs the boxes of an image."""

    def __call__(self, image: Any, boxes: Any) -> Any:
        """Return the image with the boxes blurred."""
        return blur_boxes(image, check_boxes(boxes))
