"""The image set: synthetic JPEGs as expensive as photographs, some broken files, and a URL list.

Here: drawing, writing once into a cache folder, listing. Not here: serving (`_server`). All follows
from the seed. The name of a file starts with its kind (`photo_000012.jpg`,
`truncated_000003.jpg`), so a URL says what the response should be.
"""

import json
import multiprocessing
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import ExifTags, Image

SEED = 20260801
FIELD_PX = 2048  # side of the noise fields that photos are cut from
FIELD_COUNT = 5
PROGRESSIVE_SHARE = 0.10
EXIF_SHARE = 0.30
#: Share of the URLs by kind; the rest are intact photos. `missing` files do not exist (404).
BROKEN_SHARES = {"missing": 0.03, "truncated": 0.01, "random": 0.004, "html": 0.004, "empty": 0.002}
BROKEN_FILES = 50  # of each kind
INTACT = "photo"
WORDS = (
    "sea",
    "old town",
    "OPEN",
    "No 42",
    "summer 2019",
    "cafe",
    "exit",
    "market street",
    "blue",
    "kilometer 7",
)
ASPECT_RATIOS = (4 / 3, 4 / 3, 3 / 2, 3 / 2, 16 / 9, 1.0, 3 / 4, 2 / 3)  # width / height


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """A folder of files to serve, and what it holds."""

    folder: str
    photos: int
    mean_bytes: float
    mean_megapixels: float
    progressive: int
    with_exif: int
    seed: int = SEED
    version: int = 1


def prepare_photos(cache: Path, photos: int) -> PhotoSet:
    """Return the set with `photos` distinct intact photos; draw it unless it is in the cache."""
    folder = cache / f"photos-{photos}"
    record = folder / "set.json"
    expected = PhotoSet(str(folder), photos, 0, 0, 0, 0)
    if record.exists():
        found = PhotoSet(**{**json.loads(record.read_text()), "folder": str(folder)})
        if (found.seed, found.version) == (expected.seed, expected.version):
            return found
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"drawing {photos} photos into {folder} (once)", flush=True)
    # forked processes share the noise fields
    _fields[:] = [
        _pink_noise(np.random.default_rng([SEED, 0, n]), slope)
        for n, slope in enumerate(np.linspace(0.8, 1.5, FIELD_COUNT))
    ]
    with multiprocessing.get_context("fork").Pool() as pool:
        facts = pool.starmap(
            _write_photo, ((str(folder), index) for index in range(photos)), chunksize=50
        )
    _fields.clear()
    _write_broken(folder, photos)
    sizes, areas, progressive, exif = (np.array(column) for column in zip(*facts, strict=True))
    made = PhotoSet(
        str(folder),
        photos,
        float(sizes.mean()),
        float(areas.mean()) / 1e6,
        int(progressive.sum()),
        int(exif.sum()),
    )
    record.write_text(json.dumps(asdict(made), indent=1))
    return made


def write_list(path: Path, photo_set: PhotoSet, origins: list[str], rows: int) -> None:
    """Write a parquet list (columns `url`, `caption`) of distinct URLs in a random order.

    Args:
        path: the list.
        photo_set: the files that the URLs lead to.
        origins: scheme://host:port of each origin; they take turns.
        rows: number of URLs.
    """
    rng = np.random.default_rng([SEED, 2, rows])
    names = []
    for kind, share in BROKEN_SHARES.items():
        names += [_file_name(kind, n % BROKEN_FILES) for n in range(round(share * rows))]
    names += [_file_name(INTACT, n % photo_set.photos) for n in range(rows - len(names))]
    rng.shuffle(names)
    urls = [f"{origins[n % len(origins)]}/{n:06d}/{name}" for n, name in enumerate(names)]
    captions = [
        f"{WORDS[n % len(WORDS)]} near {WORDS[n // 7 % len(WORDS)]}, image {n}" for n in range(rows)
    ]
    pq.write_table(pa.table({"url": urls, "caption": captions}), path)


def kind_of(url: str) -> str:
    """Return the kind of the file that a URL of the list names."""
    return url.rsplit("/", 1)[1].split("_", 1)[0]


def read_into_page_cache(photo_set: PhotoSet) -> None:
    """Read every file once, so that no run waits for the disk."""
    for path in Path(photo_set.folder).iterdir():
        path.read_bytes()


# --- drawing ---

_fields: list[np.ndarray] = []


def _file_name(kind: str, number: int) -> str:
    return f"{kind}_{number:06d}.{'html' if kind == 'html' else 'jpg'}"


def _pink_noise(rng: np.random.Generator, slope: float) -> np.ndarray:
    """Draw noise whose amplitude falls as 1/f**slope.

    Returns:
        (FIELD_PX, FIELD_PX) float32, mean 0, standard deviation 1.
    """
    fy = np.fft.fftfreq(FIELD_PX)[:, None]
    fx = np.fft.rfftfreq(FIELD_PX)[None, :]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1
    spectrum = np.exp(2j * np.pi * rng.random(frequency.shape)) / frequency**slope
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(FIELD_PX, FIELD_PX))
    return (field / field.std()).astype(np.float32)


def _crop(rng: np.random.Generator, field: np.ndarray, width: int, height: int) -> np.ndarray:
    y = rng.integers(0, FIELD_PX - height + 1)
    x = rng.integers(0, FIELD_PX - width + 1)
    return field[y : y + height, x : x + width]


def _draw(rng: np.random.Generator) -> np.ndarray:
    """Draw one image: (H, W, 3) uint8, RGB."""
    ratio = rng.choice(ASPECT_RATIOS)
    width = int(rng.integers(300, 1201))
    height = min(int(width / ratio), 1600)
    ramp = (
        np.linspace(0, 1, width, dtype=np.float32)[None, :] * rng.uniform(-1, 1)
        + np.linspace(0, 1, height, dtype=np.float32)[:, None]
    )
    first, second = rng.uniform(30, 220, (2, 3)).astype(np.float32)
    image = first + ramp[..., None] * (second - first)
    image = np.ascontiguousarray(image, dtype=np.float32)
    _add_shapes(rng, image)
    for number in rng.choice(FIELD_COUNT, 3, replace=False):
        texture = _crop(rng, _fields[number], width, height) * np.float32(rng.uniform(5, 18))
        tint = rng.uniform(0.5, 1.1, 3)
        for channel in range(3):
            image[..., channel] += texture * np.float32(tint[channel])
    flat = np.clip(image, 0, 255).astype(np.uint8)
    _add_text(rng, flat)
    # half the rows, used twice: half the time
    grain = rng.standard_normal((height // 2 + 1, width), dtype=np.float32)
    grain = np.concatenate([grain, grain[::-1]])[:height] * np.float32(rng.uniform(1.3, 4.8))
    return np.clip(flat + grain[..., None], 0, 255).astype(np.uint8)


def _add_shapes(rng: np.random.Generator, image: np.ndarray) -> None:
    """Draw hard edges into (H, W, 3) float32, in place."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(3, 14)):
        color = rng.uniform(0, 255, 3).tolist()
        center = rng.uniform(0, 1, 2) * (width, height)
        extent = rng.uniform(0.03, 0.35) * min(width, height)
        if rng.random() < 0.4:
            cv2.ellipse(
                image,
                (
                    center.tolist(),
                    (extent, extent * rng.uniform(0.3, 1)),
                    float(rng.uniform(0, 180)),
                ),
                color,
                -1,
            )
        else:
            corners = center + rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2)) * extent
            cv2.fillPoly(image, [np.rint(corners).astype(np.int32)], color)


def _add_text(rng: np.random.Generator, image: np.ndarray) -> None:
    """Write words into (H, W, 3) uint8, in place."""
    height, width = image.shape[:2]
    for _ in range(rng.integers(0, 4)):
        where = (int(rng.uniform(0, 0.7) * width), int(rng.uniform(0.1, 1) * height))
        size = rng.uniform(0.5, 2.5) * width / 900
        cv2.putText(
            image,
            str(rng.choice(WORDS)),
            where,
            cv2.FONT_HERSHEY_SIMPLEX,
            size,
            rng.uniform(0, 255, 3).tolist(),
            max(1, round(2 * size)),
        )


def _write_photo(folder: str, index: int) -> tuple[int, int, bool, bool]:
    """Draw and write a photo; return bytes, pixels, is progressive, has EXIF."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([SEED, 1, index])
    image = _draw(rng)
    progressive = rng.random() < PROGRESSIVE_SHARE
    with_exif = rng.random() < EXIF_SHARE
    path = Path(folder, _file_name(INTACT, index))
    # small images are stored at a higher quality
    quality = int(100 - 27 * image.shape[1] / 1200 + rng.integers(-5, 3))
    extra = {"exif": _exif(rng)} if with_exif else {}
    Image.fromarray(image).save(
        path, quality=quality, subsampling="4:2:0", progressive=bool(progressive), **extra
    )
    return (
        path.stat().st_size,
        image.shape[0] * image.shape[1],
        bool(progressive),
        bool(with_exif),
    )


def _exif(rng: np.random.Generator) -> Image.Exif:
    """Return the tags that a camera writes; upright, so that no tool rotates the image."""
    exif = Image.Exif()
    base = ExifTags.Base
    exif.update(
        {
            base.Make: "Synthetic",
            base.Model: f"S{rng.integers(10, 99)}",
            base.Orientation: 1,
            base.XResolution: 72.0,
            base.YResolution: 72.0,
        }
    )
    exif.update(
        {
            base.ResolutionUnit: 2,
            base.Software: "benchmark 1.0",
            base.DateTime: f"20{rng.integers(10, 26)}:06:01 12:30:00",
        }
    )
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details.update(
        {
            base.ExposureTime: 1 / int(rng.integers(30, 2000)),
            base.FNumber: 2.8,
            base.ISOSpeedRatings: int(rng.integers(100, 3200)),
        }
    )
    details.update(
        {
            base.DateTimeOriginal: "2020:06:01 12:30:00",
            base.FocalLength: 35.0,
            base.Flash: 0,
            base.ColorSpace: 1,
            base.LensModel: "35mm F2.8",
        }
    )
    return exif


def _write_broken(folder: Path, photos: int) -> None:
    rng = np.random.default_rng([SEED, 3])
    for number in range(BROKEN_FILES):
        body = (folder / _file_name(INTACT, number % photos)).read_bytes()
        (folder / _file_name("truncated", number)).write_bytes(
            body[: int(len(body) * rng.uniform(0.3, 0.9))]
        )
        (folder / _file_name("random", number)).write_bytes(rng.bytes(len(body)))
        (folder / _file_name("html", number)).write_text(
            f"<!doctype html><title>{number}</title><p>This image was moved.</p>\n" * 20
        )
        (folder / _file_name("empty", number)).write_bytes(b"")
