import subprocess
import sys
from collections import Counter
from itertools import product

import numpy as np
import pytest

from dataset_assets.errors import ConfigurationError, MissingColumn
from dataset_assets.training.captions import (
    LLM_PREFIXES,
    CaptionOptions,
    arrange_columns,
    choose_caption,
    clean_caption,
    decode_byte_text,
    drop_embedding,
    remove_llm_prefix,
)

KEYS = [f"a/{number:05d}" for number in range(4000)]


def test_every_prefix_of_finetrainers_is_removed() -> None:
    nouns = [*product(("This", "The"), ("video", "clip", "image", "picture")), ("The", "animation")]
    verbs = ("shows", "depicts", "features", "captures", "highlights", "introduces", "presents")
    phrases = [" ".join((*noun, verb)) for noun, verb in product(nouns, verbs)]
    assert len(phrases) == 63
    assert len(LLM_PREFIXES) == 68
    for phrase in (*phrases, "In the video,", "In this video,", "In this video clip,", "Caption:"):
        assert remove_llm_prefix(f"{phrase} a goat.") == "a goat."
    assert remove_llm_prefix("In the clip, a goat.") == "a goat."


def test_only_the_beginning_is_removed_and_only_once() -> None:
    assert remove_llm_prefix("A goat. The video shows it.") == "A goat. The video shows it."
    assert remove_llm_prefix("the video shows a goat") == "the video shows a goat"
    text = remove_llm_prefix("In this video, The video shows a goat")
    assert text == "The video shows a goat"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"b'caf\xc3\xa9'", "café"),
        (r'b"it\'s"', "it's"),
        (r"b'a\nb'", "a\nb"),
        ("b'plain'", "plain"),
        ("b'", "b'"),
        ("b'half", "b'half"),
        (r"b'\xff\xfe'", r"b'\xff\xfe'"),
        ("b'a' or b'b'", "b'a' or b'b'"),
        (r"b'\d'", r"b'\d'"),
        ("b'café'", "b'café'"),
        ("bananas", "bananas"),
        ("", ""),
    ],
)
def test_text_of_byte_strings_is_decoded(text: str, expected: str) -> None:
    assert decode_byte_text(text) == expected


def test_steps_have_the_order_of_finetrainers() -> None:
    options = CaptionOptions(id_token="TOK", remove_common_llm_caption_prefixes=True)
    assert clean_caption(r"b'The clip shows a caf\xc3\xa9'", options) == "TOK a café"
    assert clean_caption("The clip shows", options) == "TOK "


def test_caption_column_wins_and_then_the_first() -> None:
    options = CaptionOptions()
    assert choose_caption({"txt": "a", "caption": "b"}, options, key="k").text == "b"
    assert choose_caption({"txt": "a", "long": "b"}, options, key="k").text == "a"
    with pytest.raises(MissingColumn, match="expected a caption, got a sample without any"):
        choose_caption({}, options, key="k")


def test_columns_are_drawn_by_weight() -> None:
    captions = {"short": "s", "long": "l", "none": "n"}
    options = CaptionOptions(
        caption_columns=("short", "long", "none"), caption_weights=(1.0, 3.0, 0.0)
    )
    drawn = Counter(choose_caption(captions, options, key=key).text for key in KEYS)
    assert drawn["n"] == 0
    assert abs(drawn["l"] / len(KEYS) - 0.75) < 0.03
    lacking = Counter(
        choose_caption({"short": "s", "none": "n"}, options, key=key).text for key in KEYS
    )
    assert lacking == {"s": len(KEYS)}


def test_columns_without_weights_are_drawn_alike() -> None:
    options = CaptionOptions(caption_columns=("a", "b"))
    drawn = Counter(choose_caption({"a": "1", "b": "2"}, options, key=key).text for key in KEYS)
    assert abs(drawn["1"] / len(KEYS) - 0.5) < 0.03


def test_choice_depends_on_seed_epoch_and_key_only() -> None:
    captions = {"a": "1", "b": "2"}
    options = CaptionOptions(caption_columns=("a", "b"), caption_dropout_p=0.5)

    def drawn(seed: int, epoch: int) -> list[str]:
        return [
            choose_caption(captions, options, key=key, seed=seed, epoch=epoch).text for key in KEYS
        ]

    first = drawn(0, 0)
    assert first == drawn(0, 0)
    for other in (drawn(1, 0), drawn(0, 1)):
        assert sum(a == b for a, b in zip(first, other, strict=True)) < 0.5 * len(KEYS)


def test_choice_is_the_same_in_another_process() -> None:
    code = (
        "from dataset_assets.training.draws import draw\n"
        "import sys\n"
        "sys.stdout.write(repr([draw('column', f'é/{n}', seed=3, epoch=n) for n in range(5)]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    from dataset_assets.training.draws import draw

    assert run.stdout == repr([draw("column", f"é/{n}", seed=3, epoch=n) for n in range(5)])


@pytest.mark.parametrize("technique", ["empty", "zero"])
def test_share_of_captions_is_dropped(technique: str) -> None:
    options = CaptionOptions(
        id_token="TOK", caption_dropout_p=0.1, caption_dropout_technique=technique
    )
    found = [choose_caption({"caption": "goat"}, options, key=key) for key in KEYS]
    lost = [caption for caption in found if caption.text == "" or caption.drops_embedding]
    assert abs(len(lost) / len(KEYS) - 0.1) < 0.02
    is_zero = technique == "zero"
    assert {(each.text, each.drops_embedding) for each in lost} == {
        ("TOK goat" if is_zero else "", is_zero)
    }


def test_dropped_embeddings_are_zeros_of_their_kind() -> None:
    torch = pytest.importorskip("torch")
    array = np.array([1.0, np.nan], np.float16)
    assert drop_embedding(array, drops_embedding=True).tolist() == [0, 0]
    assert drop_embedding(array, drops_embedding=True).dtype == np.float16
    assert drop_embedding(array, drops_embedding=False) is array
    tensor = torch.tensor([1.0, torch.nan], dtype=torch.bfloat16)
    zeros = drop_embedding(tensor, drops_embedding=True)
    assert (zeros.dtype, zeros.tolist()) == (torch.bfloat16, [0, 0])


def test_columns_are_dropped_and_then_renamed() -> None:
    options = CaptionOptions(
        drop_columns=("caption", "score"), rename_columns={"prompt": "caption", "w": "width"}
    )
    captions, columns = arrange_columns(
        {"caption": "old", "alt": "other"}, {"prompt": "new", "w": 5, "score": 1}, options
    )
    assert captions == {"caption": "new", "alt": "other"}
    assert columns == {"width": 5}
    assert choose_caption(captions, options, key="k").text == "new"


@pytest.mark.parametrize(
    ("captions", "columns"), [({"a": "1", "b": "2"}, {}), ({"a": "1"}, {"b": 2})]
)
def test_two_columns_of_one_name_are_refused(
    captions: dict[str, str], columns: dict[str, object]
) -> None:
    options = CaptionOptions(rename_columns={"a": "b"})
    with pytest.raises(ConfigurationError, match="got two columns 'b'; drop one"):
        arrange_columns(captions, columns, options)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"caption_columns": ("a", "b"), "caption_weights": (1.0,)},
            "caption_weights: expected one for each of 2 caption_columns, got 1",
        ),
        ({"caption_columns": ("a",), "caption_weights": (0.0,)}, "expected one above 0, got none"),
        ({"caption_columns": ("a",), "caption_weights": (-1.0,)}, "a number of at least 0, got -1"),
        ({"caption_columns": "txt"}, "caption_columns: expected a list of texts, got 'txt'"),
        ({"caption_dropout_p": 1.5}, "caption_dropout_p: expected a number from 0 to 1, got 1.5"),
        ({"caption_dropout_technique": "zeros"}, "got 'zeros'; did you mean 'zero'"),
        ({"id_token": ""}, "id_token: expected text, got ''"),
        ({"rename_columns": {"a": "c", "b": "c"}}, "expected distinct new names, got c, c"),
        ({"rename_columns": ["a"]}, "rename_columns: expected a mapping"),
    ],
)
def test_wrong_options_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CaptionOptions(**values)


def test_missing_columns_are_named() -> None:
    options = CaptionOptions(caption_columns=("long", "short"))
    with pytest.raises(MissingColumn, match="one of long, short, got txt; correct the names"):
        choose_caption({"txt": "a"}, options, key="k")
