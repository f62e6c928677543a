"""Groups of samples that are copies of each other, over one set of embeddings or several.

Samples with equal bytes are one group, and so are samples whose vectors are similar enough, also
through others between them: no copy is left outside of the group of its original, so splits by
group have none across. Vectors are compared in blocks; memory is that of the vectors, 0.9 GB for a
million perceptual ones. A vector without a direction, such as that of an image of one color, is
similar to nothing: such samples are grouped by their bytes only.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dataset_assets import checks
from dataset_assets.embeddings.store.embedding_set import EmbeddingSet
from dataset_assets.errors import ConfigurationError

logger = logging.getLogger(__name__)

#: Columns of the table, a row for each sample of a group.
SCHEMA = pa.schema(
    [
        pa.field("set", pa.int32(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)
_ROWS = 1024
_COLUMNS = 8192
#: Similarities this close to the limit are computed again, so that blocks do not decide.
_ROUNDING = 1e-4
_GROUP_DIGITS = 16
#: A larger group, and larger share of the set, is rather a limit that is too low.
_LARGE_GROUP = 100
_LARGE_SHARE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicateOptions:
    """What counts as a copy.

    Raises:
        ConfigurationError: a value is not valid.
    """

    min_similarity: float = 0.92
    """Least cosine of two vectors. The default is for `perceptual`."""
    field: str = "embedding"
    """Array that is compared."""

    def __post_init__(self) -> None:
        checks.number("min_similarity", self.min_similarity, low=0, high=1)
        checks.text("field", self.field)


def near_duplicates(
    sets: EmbeddingSet | Sequence[EmbeddingSet], options: NearDuplicateOptions | None = None
) -> pa.Table:
    """Find the groups of samples that are copies of each other.

    The result does not depend on the order of samples, shards or sets.

    Args:
        sets: embeddings of one encoder.
        options: what counts as a copy.

    Returns:
        One row for each sample that has a copy, by group: `set` (its position in `sets`), `key`,
        `group` (16 hex digits, from the content of its members), `kind` (`exact`: another member
        has the same bytes; `similar`), `similarity` (to the most similar other member).

    Raises:
        ConfigurationError: the sets are of different encoders, or their arrays are not vectors.

    Example:
        >>> from dataset_assets import EmbeddingSet, embed, near_duplicates
        >>> report = embed("shards", "embeddings")
        >>> near_duplicates(EmbeddingSet("embeddings")).schema.names
        ['set', 'key', 'group', 'kind', 'similarity']
    """
    options = options or NearDuplicateOptions()
    found = [sets] if isinstance(sets, EmbeddingSet) else list(sets)
    samples = _Samples.read(found, options)
    groups = _Groups(len(samples.digests))
    nearest = _join_similar(samples.vectors, options.min_similarity, groups)
    return _table(samples, groups, nearest)


@dataclass(frozen=True, slots=True)
class _Samples:
    """All samples, and the distinct contents among them, sorted by digest."""

    places: list[tuple[int, str]]
    """Set and key of each sample."""
    content: NDArray[np.int64]
    """Position in `digests` of each sample."""
    digests: list[str]
    vectors: NDArray[np.float32]
    """(contents, size), of length 1 or 0."""

    @classmethod
    def read(cls, sets: Sequence[EmbeddingSet], options: NearDuplicateOptions) -> "_Samples":
        _check_comparable(sets, options.field)
        places: list[tuple[int, str]] = []
        of_sample: list[str] = []
        vectors: dict[str, NDArray[np.float32]] = {}
        for number, each in enumerate(sets):
            for keys, digests, values in each.contents(_COLUMNS, options.field):
                places += ((number, key) for key in keys)
                of_sample += digests
                for digest, vector in zip(digests, values, strict=True):
                    vectors.setdefault(digest, np.asarray(vector, np.float32))
        digests = sorted(vectors)
        positions = {digest: position for position, digest in enumerate(digests)}
        content = np.array([positions[digest] for digest in of_sample], np.int64)
        stacked = np.stack([vectors.pop(digest) for digest in digests]) if digests else None
        return cls(places, content, digests, _unit_length(stacked))


class _Groups:
    """Disjoint sets of positions: the smallest position of a set stands for it."""

    def __init__(self, size: int) -> None:
        self._parents = np.arange(size)

    def root(self, position: int) -> int:
        """Return the position that stands for the set of a position."""
        parents = self._parents
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = int(parents[position])
        return position

    def join(self, position: int, others: NDArray[np.int64]) -> None:
        """Make one set of those of some positions."""
        roots = {self.root(position), *(self.root(int(each)) for each in others)}
        least = min(roots)
        for each in roots:
            self._parents[each] = least


def _join_similar(
    vectors: NDArray[np.float32], limit: float, groups: _Groups
) -> NDArray[np.float32]:
    """Join similar contents; return for each the similarity to the most similar other one."""
    nearest = np.zeros(len(vectors), np.float32)
    for rows, columns, similar in _blocks(vectors, limit - _ROUNDING):
        here, there = np.nonzero(similar >= limit - _ROUNDING)
        left, right = rows + here, columns + there
        is_pair = left < right  # each pair once, and nothing with itself
        left, right = left[is_pair], right[is_pair]
        exact = np.einsum(
            "ij,ij->i", vectors[left].astype(np.float64), vectors[right].astype(np.float64)
        )
        is_close = exact >= limit
        left, right, exact = left[is_close], right[is_close], exact[is_close]
        np.maximum.at(nearest, left, exact)
        np.maximum.at(nearest, right, exact)
        of_row, starts = np.unique(left, return_index=True)  # pairs are sorted by row
        for row, others in zip(of_row, np.split(right, starts)[1:], strict=True):
            groups.join(int(row), others)
    return nearest


def _blocks(
    vectors: NDArray[np.float32], least: float
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Yield the blocks of the upper triangle of all similarities that have one of at least this."""
    for rows in range(0, len(vectors), _ROWS):
        part = vectors[rows : rows + _ROWS]
        for columns in range(rows - rows % _COLUMNS, len(vectors), _COLUMNS):
            similar = part @ vectors[columns : columns + _COLUMNS].T
            if similar.max(initial=-1.0) >= least:
                yield rows, columns, similar


def _table(samples: _Samples, groups: _Groups, nearest: NDArray[np.float32]) -> pa.Table:
    counts = np.bincount(samples.content, minlength=len(samples.digests))
    roots = np.array([groups.root(each) for each in range(len(samples.digests))], np.int64)
    members = np.bincount(roots, weights=counts, minlength=len(roots)).astype(np.int64)
    _warn_of_large_groups(members, len(samples.places))
    rows = []
    for (number, key), content in zip(samples.places, samples.content.tolist(), strict=True):
        root = int(roots[content])
        if members[root] < 2:
            continue
        is_exact = counts[content] > 1
        rows.append(
            {
                "set": number,
                "key": key,
                "group": samples.digests[root][:_GROUP_DIGITS],
                "kind": "exact" if is_exact else "similar",
                "similarity": 1.0 if is_exact else float(nearest[content]),
            }
        )
    rows.sort(key=lambda row: (row["group"], row["set"], row["key"]))
    return pa.Table.from_pylist(rows, SCHEMA)


def _warn_of_large_groups(members: NDArray[np.int64], samples: int) -> None:
    largest = int(members.max(initial=0))
    if largest > max(_LARGE_GROUP, _LARGE_SHARE * samples):
        logger.warning(
            "near-duplicates: one group has %d of %d samples; if they are not copies of each other,"
            " raise min_similarity",
            largest,
            samples,
        )


def _unit_length(vectors: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if vectors is None:
        return np.zeros((0, 1), np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    has_direction = lengths > _ROUNDING
    return np.where(has_direction, vectors / np.where(has_direction, lengths, 1), 0)


def _check_comparable(sets: Sequence[EmbeddingSet], field: str) -> None:
    known = {each.description.fingerprint for each in sets}
    if len(known) > 1:
        urls = ", ".join(each.store.url for each in sets)
        raise ConfigurationError(
            f"sets: expected embeddings by one encoder with the same weights, got several ({urls})"
        )
    for each in sets:
        checks.one_of("field", field, each.fields)
        shape = each.fields[field].shape
        if len(shape) != 1 or shape[0] is None:
            raise ConfigurationError(
                f"field: expected vectors of one length, got {field!r} of shape {shape}"
            )
