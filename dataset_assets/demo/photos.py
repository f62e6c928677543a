"""The photographs of the demo: color images from the wheels of scikit-image and scikit-learn.

`photos.yaml` describes them. No image library is imported here, so that the URL lists can be
written without the packages.
"""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import yaml

from dataset_assets.errors import MissingDependency

_PATH = re.compile(
    r"(?P<photo>[a-z-]+)/(?P<x>\d{1,4})-(?P<y>\d{1,4})-(?P<width>\d{1,4})x(?P<height>\d{1,4})"
    r"\.(?P<extension>jpg|png|webp)"
)

Box = tuple[int, int, int, int]  # left, top, right, bottom, px


@dataclass(frozen=True, slots=True)
class View:
    """A subject within a photograph. Every crop of the view contains all of `subject`."""

    subject: Box
    weight: int  # rows of the lists per 100
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph in an installed package."""

    package: str
    file: str
    width: int  # px
    height: int
    credit: str
    license: str
    views: tuple[View, ...]

    @property
    def path(self) -> Path:
        """Where the file is. The package is found, not imported.

        Raises:
            MissingDependency: the package or its file is not installed.
        """
        spec = find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(folder, self.file)).is_file():
                return path
        raise MissingDependency(
            f"the demo: expected {self.package}/{self.file}, which is not installed; "
            "pip install 'dataset-assets[demo]'"
        )


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of a photograph in a file format. `parse` is the inverse of `path`."""

    photo: str
    x: int  # px from the left edge
    y: int
    width: int
    height: int
    extension: str

    @property
    def path(self) -> str:
        """The last two parts of the URL: `astronaut/120-40-480x360.jpg`."""
        return f"{self.photo}/{self.x}-{self.y}-{self.width}x{self.height}.{self.extension}"

    @classmethod
    def parse(cls, path: str) -> Self | None:
        """Parse a path; return None when it is not a part of a photograph."""
        match = _PATH.fullmatch(path)
        photo = PHOTOS.get(match["photo"]) if match else None
        if match is None or photo is None:
            return None
        x, y, width, height = (int(match[name]) for name in ("x", "y", "width", "height"))
        if not (width and height and x + width <= photo.width and y + height <= photo.height):
            return None
        return cls(match["photo"], x, y, width, height, match["extension"])


def _load() -> dict[str, Photo]:
    entries = yaml.safe_load(Path(__file__).with_name("photos.yaml").read_text("utf-8"))
    photos = {}
    for name, entry in entries.items():
        views = (
            View(tuple(view["subject"]), view["weight"], tuple(view["captions"]))
            for view in entry["views"]
        )
        photos[name] = Photo(**{**entry, "views": tuple(views)})
    return photos


PHOTOS = _load()
