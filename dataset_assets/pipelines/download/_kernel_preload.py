"""Imported for its effect: loads the compiled area kernel into the process workers are forked from.

They share it instead of loading one each. Without numba there is nothing to load. Never imported
elsewhere.
"""

from dataset_assets.images.resize import load_area_kernel

load_area_kernel("auto")
