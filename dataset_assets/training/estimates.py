"""What embeddings of a training set will take on disk, before anything is computed.

Sizes are those of common models: they are estimates, and the fields of an encoder are what counts.
"""

from collections.abc import Mapping

from dataset_assets.training.buckets import Bucket

#: Kind -> values of one sample, if it does not depend on the bucket.
_VECTORS = {
    "image vector, 768 x float32": 768 * 4,
    "text condition, 512 tokens x 4096 x bfloat16": 512 * 4096 * 2,
}
LATENT = "latent, 16 channels, 8 x 8 pixels, 4 frames, bfloat16"
_CHANNELS = 16
_PIXELS = 8
_FRAMES = 4


def estimate_embedding_bytes(buckets: Mapping[Bucket, int]) -> dict[str, int]:
    """Estimate the size of embeddings by kind.

    Args:
        buckets: bucket -> samples.

    Returns:
        Kind, with the sizes that were assumed -> bytes.

    Example:
        >>> estimate_embedding_bytes({Bucket(1, 512, 512): 1000})[LATENT]
        131072000
    """
    samples = sum(buckets.values())
    estimates = {kind: samples * size for kind, size in _VECTORS.items()}
    estimates[LATENT] = sum(count * _latent_bytes(bucket) for bucket, count in buckets.items())
    return estimates


def _latent_bytes(bucket: Bucket) -> int:
    # the first frame has a latent of its own
    frames = 1 + -(-(bucket.frames - 1) // _FRAMES)
    return _CHANNELS * frames * -(-bucket.height // _PIXELS) * -(-bucket.width // _PIXELS) * 2
