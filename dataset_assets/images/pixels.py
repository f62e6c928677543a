"""What passes between the steps of this folder: pixels, or the reason why there are none."""

import numpy as np
from numpy.typing import NDArray

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.records.causes import Cause

#: (height, width, 3) in BGR order, or (height, width) for gray.
Pixels = NDArray[np.uint8]


class RefusedImage(DatasetAssetsError):
    """An image can not or must not be used. `transform` makes a `Media` with a cause of it; messages are counted, so they are few and short."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
