"""What the steps of a transform exchange: pixels, or the reason why there are none."""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.records.causes import Cause

#: (height, width, 3) in BGR order, or (height, width) for gray.
Pixels = NDArray[np.uint8]


class RefusedImage(DatasetAssetsError):
    """An image that cannot or must not be used. `ImageTransform` turns it into a cause.

    Messages are counted by their text, so there are few.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
