r"""Captions: which of several, cleaned of what language models begin with, with an id token.

The steps and phrases are those of finetrainers 0.2: columns are dropped, then renamed; of several
caption columns one is drawn by weight; text of a byte string ("b'caf\xc3\xa9'") is decoded; a
phrase like "The video shows" is removed; the id token is put in front. Dropout comes last, and like
the column it depends on (seed, epoch, key) only: a cache of captions or embeddings can be made
before it.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple, TypeVar

import numpy as np

from dataset_assets import checks
from dataset_assets.errors import ConfigurationError, MissingColumn
from dataset_assets.training.draws import draw

#: The column that captions have under the name that trainers ask for.
CAPTION = "caption"
DROPOUT_TECHNIQUES = ("empty", "zero")
_BEGINNINGS = (
    "This video",
    "The video",
    "This clip",
    "The clip",
    "The animation",
    "This image",
    "The image",
    "This picture",
    "The picture",
)
_VERBS = ("shows", "depicts", "features", "captures", "highlights", "introduces", "presents")
#: What language models begin captions with. The first that fits is removed.
LLM_PREFIXES = (
    "In the video,",
    "In this video,",
    "In this video clip,",
    "In the clip,",
    "Caption:",
    *(f"{beginning} {verb}" for beginning in _BEGINNINGS for verb in _VERBS),
)
#: What `repr` makes of bytes. Python warns about other escapes.
_BYTE_TEXT = re.compile(r"""b(['"])(?:[^\\]|\\(?:x[0-9a-f]{2}|[nrt\\'"]))*\1""", re.DOTALL)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionOptions:
    """Options for the captions of a dataset, validated on construction.

    Raises:
        ConfigurationError: a value is invalid, or two values contradict each other.

    Example:
        >>> from dataset_assets.training.captions import CaptionOptions, choose_caption
        >>> options = CaptionOptions(id_token="TOK", remove_common_llm_caption_prefixes=True)
        >>> choose_caption({"caption": "The video shows a goat."}, options, key="a").text
        'TOK a goat.'
    """

    caption_columns: tuple[str, ...] = ()
    """Columns of which one is drawn for each sample and epoch. (): the column "caption", or else
    the first caption of the sample."""
    caption_weights: tuple[float, ...] = ()
    """One weight for each of `caption_columns`. (): all alike."""
    id_token: str | None = None
    """Text to put before each caption, with a space."""
    remove_common_llm_caption_prefixes: bool = False
    """Whether to remove beginnings such as "The video shows" and "In this video,"."""
    caption_dropout_p: float = 0.0
    """Share of samples that lose their caption in an epoch, other ones in each."""
    caption_dropout_technique: str = "empty"
    """How: "empty" gives the caption "", "zero" marks the sample so that its embedding is set to
    zero (`drop_embedding`)."""
    drop_columns: tuple[str, ...] = ()
    """Columns to leave out, before any is renamed."""
    rename_columns: Mapping[str, str] = field(default_factory=dict)
    """Column -> its new name."""

    def __post_init__(self) -> None:
        for name in ("caption_columns", "drop_columns"):
            object.__setattr__(self, name, checks.texts(name, getattr(self, name)))
        object.__setattr__(self, "caption_weights", tuple(self.caption_weights))
        checks.number("caption_dropout_p", self.caption_dropout_p, 0, 1)
        checks.one_of(
            "caption_dropout_technique", self.caption_dropout_technique, DROPOUT_TECHNIQUES
        )
        checks.boolean(
            "remove_common_llm_caption_prefixes", self.remove_common_llm_caption_prefixes
        )
        if self.id_token is not None:
            checks.text("id_token", self.id_token)
        _check_weights(self.caption_columns, self.caption_weights)
        _check_renames(self.rename_columns)


class Caption(NamedTuple):
    """The caption of a sample in an epoch."""

    text: str
    column: str
    """The column that it is from."""
    drops_embedding: bool
    """Whether the embedding of the text is to be replaced by zeros."""


def choose_caption(
    captions: Mapping[str, str],
    options: CaptionOptions,
    *,
    key: str,
    seed: int = 0,
    epoch: int = 0,
) -> Caption:
    """Return the caption of a sample: a pure function of the arguments.

    Args:
        captions: column -> text, after `arrange_columns`.
        options: what to do.
        key: key of the sample.
        seed: seed of the run.
        epoch: the epoch.

    Raises:
        MissingColumn: the sample has none of the columns.
    """
    column = _draw_column(captions, options, draw("column", key, seed=seed, epoch=epoch))
    text = clean_caption(captions[column], options)
    is_dropped = draw("dropout", key, seed=seed, epoch=epoch) < options.caption_dropout_p
    if is_dropped and options.caption_dropout_technique == "empty":
        return Caption("", column, drops_embedding=False)
    return Caption(text, column, drops_embedding=is_dropped)


def clean_caption(text: str, options: CaptionOptions) -> str:
    """Decode text of a byte string, remove a common beginning, add the id token."""
    text = decode_byte_text(text)
    if options.remove_common_llm_caption_prefixes:
        text = remove_llm_prefix(text)
    return text if options.id_token is None else f"{options.id_token} {text}"


def remove_llm_prefix(text: str) -> str:
    """Remove the first of `LLM_PREFIXES` that the text begins with, and spaces around the rest."""
    for prefix in LLM_PREFIXES:
        if text.startswith(prefix):
            return text.removeprefix(prefix).strip()
    return text


def decode_byte_text(text: str) -> str:
    r"""Return what a Python byte string says; other text is returned as it is.

    Such texts come from sets whose captions were bytes when somebody made text of them.

    Example:
        >>> decode_byte_text("b'caf\\xc3\\xa9'")
        'café'
    """
    if _BYTE_TEXT.fullmatch(text) is None:
        return text
    try:
        value = ast.literal_eval(text)
        return value.decode() if isinstance(value, bytes) else text
    except (ValueError, SyntaxError, MemoryError):  # a caption that only looks like one
        return text


def arrange_columns(
    captions: Mapping[str, str], columns: Mapping[str, Any], options: CaptionOptions
) -> tuple[dict[str, str], dict[str, Any]]:
    """Drop and rename columns. A text column that is renamed to "caption" becomes a caption.

    Args:
        captions: column -> text.
        columns: the other columns.
        options: which to drop and rename.

    Returns:
        The captions and the other columns, in their order.

    Raises:
        ConfigurationError: two columns would have one name.
    """
    kept = _arrange(captions, options)
    others = _arrange(columns, options)
    both = sorted(kept.keys() & others.keys())
    if both:
        raise ConfigurationError(
            f"rename_columns: expected distinct names, got two columns {both[0]!r}; drop one"
        )
    if isinstance(others.get(CAPTION), str):
        kept = {CAPTION: others.pop(CAPTION), **kept}
    return kept, others


def drop_embedding(embedding: Any, *, drops_embedding: bool) -> Any:
    """Return zeros of the kind of an array or a tensor if a sample lost its caption, else itself.

    Args:
        embedding: of a text.
        drops_embedding: `Caption.drops_embedding`.
    """
    if not drops_embedding:
        return embedding
    # tensors have this method; NumPy has the function
    is_tensor = hasattr(embedding, "new_zeros")
    return embedding.new_zeros(embedding.shape) if is_tensor else np.zeros_like(embedding)


def _draw_column(captions: Mapping[str, str], options: CaptionOptions, number: float) -> str:
    if not options.caption_columns:
        if not captions:
            raise MissingColumn("caption: expected a caption, got a sample without any")
        return CAPTION if CAPTION in captions else next(iter(captions))
    weights = options.caption_weights or (1.0,) * len(options.caption_columns)
    # a sample may lack some of them: the others keep their proportions
    found = [
        (column, weight)
        for column, weight in zip(options.caption_columns, weights, strict=True)
        if column in captions and weight > 0
    ]
    if not found:
        expected = ", ".join(options.caption_columns)
        got = ", ".join(captions) or "none"
        raise MissingColumn(
            f"caption_columns: expected a caption in one of {expected}, got {got}; correct the "
            "names of the columns or their weights"
        )
    limits = list(accumulate(weight for _, weight in found))
    place = number * limits[-1]
    return next(
        (column for (column, _), limit in zip(found, limits, strict=True) if place < limit),
        found[-1][0],
    )


def _arrange(values: Mapping[str, Value], options: CaptionOptions) -> dict[str, Value]:
    arranged: dict[str, Value] = {}
    for column, value in values.items():
        if column in options.drop_columns:
            continue
        name = options.rename_columns.get(column, column)
        if name in arranged:
            raise ConfigurationError(
                f"rename_columns: expected distinct names, got two columns {name!r}; drop one"
            )
        arranged[name] = value
    return arranged


def _check_weights(columns: tuple[str, ...], weights: tuple[float, ...]) -> None:
    if not weights:
        return
    if len(weights) != len(columns):
        raise ConfigurationError(
            f"caption_weights: expected one for each of {len(columns)} caption_columns, got "
            f"{len(weights)}"
        )
    for weight in weights:
        checks.not_negative("caption_weights", weight)
    if not sum(weights) > 0:
        raise ConfigurationError("caption_weights: expected one above 0, got none")


def _check_renames(renames: Mapping[str, str]) -> None:
    if not isinstance(renames, Mapping):
        raise ConfigurationError(f"rename_columns: expected a mapping, got {renames!r}")
    for old, new in renames.items():
        checks.text("rename_columns", old)
        checks.text("rename_columns", new)
    if len(set(renames.values())) < len(renames):
        raise ConfigurationError(
            f"rename_columns: expected distinct new names, got {', '.join(renames.values())}"
        )
