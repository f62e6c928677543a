"""The bytes of one image become the bytes, size and metadata of the stored image.

`transform.ImageTransform` does all of it, with `header`, `codec`, `resize`, `blur` and `exif`.
Pixels are numpy arrays of (height, width, 3) uint8 in BGR order, or of
(height, width) for gray images. `contact_sheet` and `overlay` draw images for people. No network
and no stores; the compiled area kernel is cached on disk.
"""
