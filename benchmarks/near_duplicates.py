"""Measure which planted copies the perceptual descriptor finds, and which other images it joins.

    python benchmarks/near_duplicates.py                      700 originals, 20 edits of each
    python benchmarks/near_duplicates.py --originals 100      quick
    python benchmarks/near_duplicates.py --min-similarity 0.9

Recall: the share of edits that are similar enough to their own original. False pairs: originals, or
an edit and another original, that are similar enough. Originals are photographs of scikit-image and
scikit-learn, parts of them that share a quarter of their width, textures, papers, and drawn
landscapes, documents, icons and plain colors (`_planted`).
"""

import argparse
import sys
from collections import Counter, defaultdict

import numpy as np
from _planted import EDITS, encode, mirrored, originals

from dataset_assets.embeddings.encoder import open_encoder
from dataset_assets.embeddings.near_duplicates import NearDuplicateOptions

NATURAL = ("photo", "part", "landscape")
EXPECTED_APART = "mirrored (another image by design)"


def main() -> int:
    options = _parse()
    encoder = open_encoder("perceptual")

    def describe(body: bytes) -> np.ndarray:
        return encoder.encode([encoder.prepare(body, None)])["embedding"][0]

    images = list(originals(options.originals))
    vectors = np.stack([describe(encode(each.pixels)) for each in images])
    kinds = np.array([each.kind for each in images])
    limit = options.min_similarity
    found: defaultdict[str, list[bool]] = defaultdict(list)
    false_pairs: Counter[str] = Counter()
    compared = 0
    for number, image in enumerate(images):
        for name, edit in {**EDITS, EXPECTED_APART: mirrored}.items():
            similar = vectors @ describe(edit(image.pixels)) >= limit
            found[name].append(bool(similar[number]))
            similar[number] = False
            compared += len(images) - 1
            false_pairs[name] += int(similar.sum())
    similar = vectors @ vectors.T >= limit
    pairs = int(np.triu(similar, 1).sum())
    is_natural = np.isin(kinds, NATURAL)
    print(f"{len(images)} originals: {dict(Counter(kinds.tolist()))}")
    print(f"min_similarity {limit}; photographs, parts and landscapes: {int(is_natural.sum())}\n")
    print("| edit | recall, photographs and landscapes | recall, all | false pairs |")
    print("|---|---|---|---|")
    for name, hits in found.items():
        marks = np.array(hits)
        natural = marks[is_natural].mean() if is_natural.any() else float("nan")
        print(f"| {name} | {natural:.3f} | {marks.mean():.3f} | {false_pairs[name]} |")
    print(f"\noriginals among themselves: {pairs} false of {len(images) * (len(images) - 1) // 2}")
    print(f"edits with other originals: {false_pairs.total()} false of {compared}")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Recall and false pairs of the perceptual descriptor on planted copies."
    )
    parser.add_argument("--originals", type=int, default=700, help="distinct images (700)")
    parser.add_argument(
        "--min-similarity",
        type=float,
        default=NearDuplicateOptions().min_similarity,
        help="least cosine of a copy (%(default)s)",
    )
    options = parser.parse_args()
    if options.originals < 2:
        parser.error(f"--originals: expected at least 2, got {options.originals}")
    return options


if __name__ == "__main__":
    sys.exit(main())
