"""Descriptors of copies are close, those of other images are not."""

import numpy as np
import pytest

from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets_tests.embeddings.crops import SUBJECTS, crops_of, reencoded, resized

ENCODER = open_encoder("perceptual")


def describe(bodies):
    found = ENCODER.encode([ENCODER.prepare(body, None) for body in bodies])
    return found["embedding"], np.unpackbits(found["phash"], axis=1)


@pytest.mark.parametrize("photo", SUBJECTS)
def test_copies_are_close(photo):
    body = crops_of(photo, 1)[0]
    copies = [reencoded(body, 30), reencoded(body, 95), resized(body, 0.4), resized(body, 1.7)]
    vectors, bits = describe([body, *copies])
    assert (vectors @ vectors[0]).min() > 0.98
    assert (bits != bits[0]).sum(axis=1).max() <= 6


def test_other_images_are_not_close():
    vectors, bits = describe([crops_of(photo, 1)[0] for photo in SUBJECTS])
    apart = ~np.eye(len(vectors), dtype=bool)
    assert (vectors @ vectors.T)[apart].max() < 0.8
    assert (bits[:, None] != bits[None]).sum(axis=2)[apart].min() > 10


def test_an_image_of_one_color_is_near_nothing():
    import cv2

    flat = [
        cv2.imencode(".png", np.full((80, 90, 3), value, np.uint8))[1].tobytes()
        for value in (0, 128, 255)
    ]
    vectors, _ = describe([*flat, crops_of("rocket", 1)[0]])
    assert np.abs(vectors[:3]).max() < 0.01
