"""Caption pairs: each image or video beside a text file of its name.

    a.txt  a.mp4  b.txt  b.mp4 ...

Source: docs/dataset/README.md of finetrainers, "Caption-Data filename pair format".
"""

from collections.abc import Iterable, Iterator
from typing import ClassVar

from dataset_assets.errors import UnreadableSource
from dataset_assets.records.training import MediaSample
from dataset_assets.training.layout import (
    CAPTION,
    PAYLOAD,
    Claim,
    LeftOut,
    SourceOptions,
    file_sample,
    payload_files,
    some,
)
from dataset_assets.training.media import medium_of, stem_of, suffix_of
from dataset_assets.training.places import Place

_SUFFIX = ".txt"


class Layout:
    """Reads pairs."""

    is_exclusive: ClassVar[bool] = False

    @staticmethod
    def claim(place: Place) -> Claim | None:
        payloads = payload_files(place.files)
        stems = {stem_of(key) for key in payloads}
        texts = [key for key in _texts(place.files) if stem_of(key) in stems]
        if not texts:
            return None
        first = next(key for key in payloads if stem_of(key) == stem_of(texts[0]))
        return Claim(
            f"{len(texts)} texts beside their images or videos, such as {texts[0]} and {first}",
            frozenset([*texts, *payloads]),
        )

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        searched = _searched(place, options)
        payloads: dict[str, list[str]] = {}
        for key in payload_files(searched):
            if options.wants(medium_of(suffix_of(key))):
                payloads.setdefault(stem_of(key), []).append(key)
        _check_single(place, payloads)
        texts = {stem_of(key): key for key in _texts(searched)}
        paired = sorted(payloads.keys() & texts.keys())
        captions = zip(paired, place.read_texts([texts[stem] for stem in paired]), strict=True)
        for stem, text in captions:
            key = payloads[stem][0]
            if caption := text.strip():
                yield file_sample(place, key, stem, {"caption": caption})
            else:
                left_out.add(CAPTION, key)
        for stem in sorted(payloads.keys() - texts.keys()):
            left_out.add(CAPTION, payloads[stem][0])
        for stem in sorted(texts.keys() - payloads.keys()):
            left_out.add(PAYLOAD, texts[stem])


def _texts(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if key.lower().endswith(_SUFFIX)]


def _searched(place: Place, options: SourceOptions) -> list[str]:
    """Return the keys of the folders that are searched.

    Raises:
        UnreadableSource: subfolders have text files too, and no option says what they are.
    """
    if options.subfolders:
        return list(place.files)
    below = [key for key in _texts(place.files) if "/" in key]
    if below and options.subfolders is None:
        raise UnreadableSource(
            f"{place.url}: expected caption pairs in the folder itself, got {len(below)} text "
            f"files in subfolders ({some(below)}); set subfolders to true to read them too, or to "
            "false to leave them out"
        )
    return place.top()


def _check_single(place: Place, payloads: dict[str, list[str]]) -> None:
    several = [keys for keys in payloads.values() if len(keys) > 1]
    if several:
        got = " and ".join(several[0])
        remedy = "rename or remove all but one"
        if len({medium_of(suffix_of(key)) for key in several[0]}) > 1:
            remedy = "set medium to 'image' or 'video'"
        raise UnreadableSource(
            f"{place.url}: expected one image or video for each text file, got {got} "
            f"({len(several)} such names); {remedy}"
        )
