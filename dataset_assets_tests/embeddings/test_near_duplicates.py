"""Planted copies are found, and images that only look alike are not joined."""

from itertools import combinations

import cv2
import numpy as np
import pytest

from dataset_assets import EmbeddingSet, embed, near_duplicates
from dataset_assets.embeddings.near_duplicates import NearDuplicateOptions
from dataset_assets.errors import ConfigurationError
from dataset_assets.pipelines.embed.options import EmbedOptions
from dataset_assets.storage.store import open_store
from dataset_assets_tests.embeddings.crops import SUBJECTS, crops_of, reencoded, resized
from dataset_assets_tests.loaders import staged_partitions
from dataset_assets_tests.loaders.staged_partitions import SetSpec, write_set

OPTIONS = EmbedOptions(distributor="serial")


def cropped(body, share):
    pixels = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    rows, columns = (round(side * share / 2) for side in pixels.shape[:2])
    part = pixels[rows : pixels.shape[0] - rows, columns : pixels.shape[1] - columns]
    return cv2.imencode(".jpg", part)[1].tobytes()


def flat(value):
    return cv2.imencode(".png", np.full((40, 50, 3), value, np.uint8))[1].tobytes()


#: Name of the original -> copies of it.
COPIES = {
    photo: [
        body,
        body,
        reencoded(body, 30),
        resized(body, 0.4),
        resized(body, 1.6),
        cropped(body, 0.025),
    ]
    for photo in SUBJECTS
    for body in crops_of(photo, 1)
}


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """Write images as shard sets and embed them; return the open sets."""

    def make(*sets, encoder="perceptual"):
        found = []
        for number, bodies in enumerate(sets):
            monkeypatch.setattr(staged_partitions, "payload", lambda _, each, b=bodies: b[each])
            store = open_store(str(tmp_path / f"{encoder}-{number}"))
            half = len(bodies) // 2
            counts = (half, len(bodies) - half) if half else (len(bodies),)
            write_set(store, SetSpec(counts=counts, images=True, prefix=f"{number}-"))
            out = str(tmp_path / f"{encoder}-{number}-out")
            embed(store, out, encoder, options=OPTIONS)
            found.append(EmbeddingSet(out))
        return found

    return make


def groups_of(table):
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["group"], set()).add((row["set"], row["key"]))
    return sorted(map(sorted, found.values()))


def test_copies_are_one_group_each_and_nothing_else_is(embedded):
    bodies = [body for copies in COPIES.values() for body in copies]
    bodies += [flat(value) for value in (0, 128, 255)]
    (found,) = embedded(bodies)
    table = near_duplicates(found)
    size = len(next(iter(COPIES.values())))
    expected = [
        sorted((0, f"0-{first + number:06}") for number in range(size))
        for first in range(0, size * len(COPIES), size)
    ]
    assert groups_of(table) == sorted(expected)
    for row in table.to_pylist():
        is_exact = int(row["key"][2:]) % size < 2
        assert row["kind"] == ("exact" if is_exact else "similar")
        assert row["similarity"] == 1.0 if is_exact else 0.92 <= row["similarity"] <= 1


def test_groups_do_not_depend_on_order_or_on_how_samples_are_divided(embedded):
    bodies = [body for copies in COPIES.values() for body in copies]
    shuffled = [bodies[each] for each in np.random.default_rng(1).permutation(len(bodies))]
    (whole,) = embedded(bodies)
    names = {row["group"] for row in near_duplicates(whole).to_pylist()}
    first, second = embedded(shuffled[:20], shuffled[20:])
    table = near_duplicates([first, second])
    assert {row["group"] for row in table.to_pylist()} == names
    assert table.num_rows == len(bodies)
    assert {row["set"] for row in table.to_pylist()} == {0, 1}


def test_images_of_one_color_are_joined_by_their_bytes_only(embedded):
    (found,) = embedded([flat(0), flat(255), flat(255), flat(90)])
    assert groups_of(near_duplicates(found)) == [[(0, "0-000001"), (0, "0-000002")]]


def test_copies_of_copies_are_in_the_group_of_the_original(embedded, caplog):
    body = crops_of("coffee", 1)[0]
    chain = [body]
    for _ in range(6):
        chain.append(cropped(chain[-1], 0.02))
    (found,) = embedded(chain)
    assert len(groups_of(near_duplicates(found))) == 1


def test_similarities_are_those_of_all_pairs(embedded):
    bodies = [crop for photo in SUBJECTS for crop in crops_of(photo, 4)]
    (found,) = embedded(bodies)
    vectors = found.take(range(len(found))).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    limit = 0.8
    close = [
        (i, j) for i, j in combinations(range(len(vectors)), 2) if vectors[i] @ vectors[j] >= limit
    ]
    table = near_duplicates(found, NearDuplicateOptions(min_similarity=limit))
    grouped = {row["key"]: row["group"] for row in table.to_pylist()}
    assert grouped.keys() == {found.keys[each] for pair in close for each in pair}
    for i, j in close:
        assert grouped[found.keys[i]] == grouped[found.keys[j]]


def test_sets_that_cannot_be_compared_are_refused(embedded):
    bodies = [crops_of("rocket", 1)[0]]
    (perceptual,) = embedded(bodies)
    (features,) = embedded(bodies, encoder="efficientnet_lite0")
    with pytest.raises(ConfigurationError, match="expected embeddings by one encoder"):
        near_duplicates([perceptual, features])
    with pytest.raises(ConfigurationError, match="field: expected one of"):
        near_duplicates(perceptual, NearDuplicateOptions(field="nothing"))
    assert near_duplicates(features, NearDuplicateOptions(min_similarity=0.9)).num_rows == 0
    with pytest.raises(ConfigurationError, match="min_similarity: expected"):
        NearDuplicateOptions(min_similarity=2)
