"""The bytes of one image become the bytes, size and metadata of the stored image.

`transform.ImageTransform` does all of it, with `header`, `decode`, `resize` (and `area`), `blur`,
`encode` and `exif`. Pixels are numpy arrays of (height, width, 3) uint8 in BGR order, or of
(height, width) for gray images. No network, no files, no state.
"""
