"""What a worker process does once, before its first image.

Importing changes nothing: a program that uses the library keeps its own settings.
"""

import os
import sys

import cv2

from dataset_assets.images.area import load_area_kernel
from dataset_assets.images.exif import load_exifread
from dataset_assets.images.options import ImageOptions


def warm_up(options: ImageOptions) -> None:
    """Load what the first image needs, and make OpenCV single-threaded and silent.

    Call it in the process that workers are forked from, so that they share what is loaded.

    Raises:
        MissingDependency: the area kernel in the options is not installed.
    """
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if options.needs_area_kernel:
        load_area_kernel(options.area_kernel)
    if options.extract_exif:
        load_exifread()


def silence_codecs() -> None:
    """Discard what libjpeg, libpng and libtiff write to file descriptor 2.

    `sys.stderr` keeps its target. Call it once and in worker processes only, since it changes the
    descriptor for the whole process.
    """
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
