"""What the payloads of a source are, told from their extensions."""

#: Extensions of payloads that are images.
IMAGES = frozenset(
    {"jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "pbm", "pgm", "ppm", "pnm"}
)


def media_of(extensions: set[str]) -> str:
    """Return `SplitManifest.media` of single-file payloads: "image" or "file"."""
    return "image" if extensions <= IMAGES else "file"
