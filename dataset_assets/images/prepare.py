"""What a worker process does once, before its first image. Nothing here happens on import: a program that uses the library keeps its own settings."""

import os
import sys

import cv2

from dataset_assets.images.area import area_kernel
from dataset_assets.images.exif import exifread_module
from dataset_assets.images.options import ImageOptions


def warm_up(options: ImageOptions) -> None:
    """Load everything that the first image would have to wait for, and make OpenCV single-threaded and silent.

    Call it in the process that workers are forked from: they share what is loaded, and one thread each is all they need.

    Raises:
        MissingDependency: the area kernel of the options is not installed.
    """
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if options.needs_area_kernel:
        area_kernel(options.area_kernel)
    if options.extract_exif:
        exifread_module()


def silence_codecs() -> None:
    """Send what libjpeg, libpng and libtiff write to file descriptor 2 to nowhere; Python's own `sys.stderr` stays where it was.

    For worker processes only, once: it changes the descriptor for everything else in the process too.
    """
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
