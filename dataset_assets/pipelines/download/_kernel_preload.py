"""Imported for its effect, in the process that workers are forked from: they share the compiled area kernel instead of loading one each.

Never imported elsewhere. Without numba there is nothing to load.
"""

from dataset_assets.images.area import area_kernel

area_kernel("auto")
