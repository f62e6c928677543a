"""The two URL lists of the demo: 2,000 rows in Parquet.

The columns are url, caption, photo, credit and license. The rows depend only on the port in their
URLs: every run writes the same bytes.
"""

import os
from io import BytesIO
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from dataset_assets.demo.faults import KINDS, PHOTOS_KIND
from dataset_assets.demo.photos import PHOTOS, Crop, Photo, View

ROWS = 2000
PORT = 8765
HOST = "127.0.0.1"
BUSY_HOST = "localhost"
#: Folder of the archives of shapes on the photo server.
SHAPES = "shapes"
FILES = ("album-1.parquet", "album-2.parquet")

_SEED = 20240607
_SHORT_SIDE_PX = 256  # or the short side of the photograph
_SHAPES = ((1, 1), (4, 3), (3, 2), (16, 9), (3, 4), (2, 3))  # width : height
_EXTENSIONS = (*("jpg",) * 23, "png", "webp")


def write_lists(folder: Path, *, port: int = PORT) -> tuple[Path, ...]:
    """Write the lists. Idempotent: a file with the right bytes is left alone."""
    table = url_table(port=port)
    rows = ROWS // len(FILES)
    paths = tuple(folder / name for name in FILES)
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        out = BytesIO()
        pq.write_table(table.slice(number * rows, rows), out, compression="zstd")
        if not path.is_file() or path.read_bytes() != out.getvalue():
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(out.getvalue())
            os.replace(temporary, path)
    return paths


def url_table(*, port: int = PORT) -> pa.Table:
    """Return all rows. URLs are unique."""
    rng = Random(_SEED)
    kinds = _kinds(rng)
    crops = _crops(rng)
    rows = []
    for kind, (crop, caption) in zip(kinds, crops.items(), strict=True):
        host = BUSY_HOST if KINDS[kind].on_busy_host else HOST
        photo = PHOTOS[crop.photo]
        url = f"http://{host}:{port}/{kind}/{crop.path}"
        rows.append(
            {
                "url": url,
                "caption": caption,
                "photo": crop.photo,
                "credit": photo.credit,
                "license": photo.license,
            }
        )
    return pa.Table.from_pylist(rows)


def _kinds(rng: Random) -> list[str]:
    """Return the kind of each row."""
    kinds = [PHOTOS_KIND] * ROWS
    free = sorted(range(ROWS), key=lambda _: rng.random())
    for name, kind in sorted(KINDS.items(), key=lambda item: item[1].among_first):
        places = [place for place in free if place < ROWS * kind.among_first][: kind.rows]
        for place in places:
            kinds[place] = name
            free.remove(place)
    return kinds


def _crops(rng: Random) -> dict[Crop, str]:
    """Draw distinct crops with their captions."""
    views = [
        (name, view)
        for name, photo in PHOTOS.items()
        for view in photo.views
        for _ in range(view.weight)
    ]
    crops: dict[Crop, str] = {}
    while len(crops) < ROWS:
        name, view = views[_below(rng, len(views))]
        crops[_crop(rng, name, view)] = view.captions[_below(rng, len(view.captions))]
    return crops


def _crop(rng: Random, name: str, view: View) -> Crop:
    """Draw a rectangle of a random shape around the subject of a view."""
    photo = PHOTOS[name]
    least, most = _widths(photo, view, shape := _SHAPES[_below(rng, len(_SHAPES))])
    while least > most:  # the subject does not fit into this shape
        least, most = _widths(photo, view, shape := _SHAPES[_below(rng, len(_SHAPES))])
    width = least + _below(rng, most - least + 1)
    height = min(photo.height, round(width * shape[1] / shape[0]))
    left, top, right, bottom = view.subject
    x = _between(rng, max(0, right - width), min(left, photo.width - width))
    y = _between(rng, max(0, bottom - height), min(top, photo.height - height))
    return Crop(name, x, y, width, height, _EXTENSIONS[_below(rng, len(_EXTENSIONS))])


def _widths(photo: Photo, view: View, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest and largest width of a crop of this shape, in px."""
    left, top, right, bottom = view.subject
    across, down = shape
    short = min(_SHORT_SIDE_PX, photo.width, photo.height)
    for_height = -(-(bottom - top) * across // down)
    for_short_side = -(-short * across // min(across, down))
    least = max(right - left, for_height, for_short_side)
    return least, min(photo.width, photo.height * across // down)


def _below(rng: Random, end: int) -> int:
    # `random` is the only method with the same results on every Python version.
    return int(rng.random() * end)


def _between(rng: Random, first: int, last: int) -> int:
    return first + _below(rng, last - first + 1)
