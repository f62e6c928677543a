from dataset_assets.training.buckets import Bucket
from dataset_assets.training.estimates import LATENT, estimate_embedding_bytes


def test_latents_follow_frames_and_sides() -> None:
    one = estimate_embedding_bytes({Bucket(1, 512, 768): 1})
    assert one[LATENT] == 16 * 64 * 96 * 2
    assert estimate_embedding_bytes({Bucket(49, 512, 768): 1})[LATENT] == 13 * one[LATENT]
    assert estimate_embedding_bytes({Bucket(2, 12, 9): 1})[LATENT] == 16 * 2 * 2 * 2 * 2


def test_vectors_follow_the_number_of_samples() -> None:
    several = estimate_embedding_bytes({Bucket(1, 256, 256): 3, Bucket(49, 256, 256): 7})
    assert several["image vector, 768 x float32"] == 10 * 3072
    assert several["text condition, 512 tokens x 4096 x bfloat16"] == 10 * 4_194_304
    assert set(estimate_embedding_bytes({}).values()) == {0}
