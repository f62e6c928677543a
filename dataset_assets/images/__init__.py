"""Bytes of one image in, bytes, size and metadata of the stored image out. No network, no files, no state.

`transform.ImageTransform` is the whole of it: header (`header`), decode (`decode`), size (`resize`, with `area` underneath), `blur`, `encode`, `exif`.
Pixels travel as numpy arrays of (height, width, 3) uint8 in BGR order, or (height, width) for gray pictures.
"""
