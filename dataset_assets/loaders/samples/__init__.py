"""Samples as bytes: where they are, and reading them in place, from a cache or by request.

Decoding an image on request is the last step here; `torch/` and `mlx/` process the pixels.
"""
