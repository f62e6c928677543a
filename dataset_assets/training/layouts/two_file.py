"""Two text files of the same number of lines: captions, and the images or videos in their order.

    prompt.txt  videos.txt  videos/00000.mp4  videos/00001.mp4 ...

Paths are relative to the folder of the lists. Blank lines at the end of a file do not count.
Source: docs/dataset/README.md of finetrainers, "Two file format".
"""

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from dataset_assets.errors import UnreadableSource
from dataset_assets.records.training import MediaSample
from dataset_assets.training.layout import (
    CAPTION,
    PAYLOAD_FILE,
    Claim,
    LeftOut,
    SourceOptions,
    file_sample,
    payload_files,
)
from dataset_assets.training.media import medium_of, stem_of, suffix_of
from dataset_assets.training.places import Place

CAPTION_LISTS = ("captions.txt", "caption.txt", "prompt.txt", "prompts.txt")
#: Medium -> names of its lists.
MEDIA_LISTS = {"image": ("images.txt", "image.txt"), "video": ("videos.txt", "video.txt")}
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


class Layout:
    """Reads the lists."""

    is_exclusive: ClassVar[bool] = False

    @staticmethod
    def claim(place: Place) -> Claim | None:
        lists = [name for name in _all_lists() if name in place.files]
        stems = {stem_of(key) for key in payload_files(place.top())}
        lists = [name for name in lists if stem_of(name) not in stems]  # those are caption pairs
        if not lists:
            return None
        return Claim(" and ".join(lists), frozenset([*lists, *payload_files(place.files)]))

    @staticmethod
    def samples(place: Place, options: SourceOptions, left_out: LeftOut) -> Iterator[MediaSample]:
        captions_name = _only_list(place, CAPTION_LISTS, "list of captions")
        names = [
            name for medium in MEDIA_LISTS if options.wants(medium) for name in MEDIA_LISTS[medium]
        ]
        media_name = _only_list(place, names, "list of images or videos")
        captions = _lines(place, captions_name)
        paths = _lines(place, media_name)
        if len(captions) != len(paths):
            raise UnreadableSource(
                f"{place.url}: expected as many lines in {captions_name} as in {media_name}, got "
                f"{len(captions)} and {len(paths)}; each line must belong to the same line of the "
                "other file"
            )
        for number, (caption, path) in enumerate(zip(captions, paths, strict=True), 1):
            where = f"{media_name}, line {number}"
            key = _key(place, path, media_name, where, options)
            if key not in place.files:
                left_out.add(PAYLOAD_FILE, f"{path} ({where})")
            elif not caption:
                left_out.add(CAPTION, f"{path} ({captions_name}, line {number})")
            else:
                yield file_sample(place, key, stem_of(key), {"caption": caption})


def _all_lists() -> list[str]:
    return [*CAPTION_LISTS, *(name for names in MEDIA_LISTS.values() for name in names)]


def _only_list(place: Place, names: Sequence[str], what: str) -> str:
    """Return the one list that is there.

    Raises:
        UnreadableSource: there is none, or there are several.
    """
    found = [name for name in names if name in place.files]
    if len(found) != 1:
        got = " and ".join(found) or "none"
        remedy = "keep one of them" if found else "add it"
        if set(found) >= {"images.txt", "videos.txt"}:
            remedy = "set medium to 'image' or 'video'"
        raise UnreadableSource(
            f"{place.url}: expected exactly one {what} ({', '.join(names)}), got {got}; {remedy}"
        )
    return found[0]


def _lines(place: Place, key: str) -> list[str]:
    lines = [line.strip() for line in _LINE_BREAK.split(place.read_text(key))]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _key(place: Place, path: str, name: str, where: str, options: SourceOptions) -> str:
    medium = medium_of(suffix_of(path))
    expected = {medium for medium, names in MEDIA_LISTS.items() if name in names}
    if medium not in expected:
        raise UnreadableSource(
            f"{place.url}: expected the path of {_article(expected.pop())} in {where}, got "
            f"{path!r}; correct the line"
        )
    return place.resolve(path, name)


def _article(medium: str) -> str:
    return f"{'an' if medium == 'image' else 'a'} {medium}"
