"""The photographs of the demo: color images from the wheels of scikit-image and scikit-learn.

A `View` is a part of a photograph with a subject of its own, and captions that describe it. This
file is data and imports no image library, so that the URL lists can be written without the
packages. Licenses are those that scikit-image and scikit-learn state for the files.
"""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

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


_SCIENCE = "skimage"
_LEARN = "sklearn"
_MIDDLEBURY = (
    "Nesic, Westling, Wang, Kitajima, Krathwohl and Scharstein, Middlebury 2014 stereo benchmark"
)
_CC_BY = "CC BY 2.0"

_MOTORCYCLE = (
    View(
        (95, 75, 690, 455),
        4,
        (
            "A red motorcycle parked in a garage",
            "A vintage red motorcycle on a concrete floor",
            "A motorcycle in front of wooden shelves",
        ),
    ),
    View(
        (235, 150, 445, 400),
        2,
        ("The engine of a red motorcycle", "The chrome engine and black seat of a motorcycle"),
    ),
    View((480, 60, 700, 460), 1, ("The handlebar, headlight and front wheel of a motorcycle",)),
)

PHOTOS: dict[str, Photo] = {
    "astronaut": Photo(
        _SCIENCE,
        "data/astronaut.png",
        512,
        512,
        "NASA",
        "public domain",
        (
            View(
                (140, 10, 280, 220),
                5,
                (
                    "A smiling astronaut with short hair",
                    "Portrait of an astronaut in an orange suit",
                    "A NASA astronaut looks at the camera",
                ),
            ),
            View(
                (60, 10, 470, 330),
                5,
                (
                    (
                        "An astronaut in an orange suit in front of a flag and a model of the "
                        "Space Shuttle"
                    ),
                    "An astronaut next to a model of the Space Shuttle",
                    "An official portrait of an astronaut, with a flag and a shuttle model",
                ),
            ),
            View(
                (270, 200, 500, 512),
                2,
                (
                    "The white and black helmet of an astronaut",
                    "A helmet beside an orange space suit",
                ),
            ),
            View(
                (340, 0, 475, 250),
                1,
                (
                    "A model of the Space Shuttle with its orange tank",
                    "A model of the Space Shuttle ready for launch",
                ),
            ),
        ),
    ),
    "chelsea": Photo(
        _SCIENCE,
        "data/chelsea.png",
        451,
        300,
        "Stefan van der Walt",
        "CC0 1.0",
        (
            View(
                (100, 55, 345, 265),
                12,
                (
                    "A tabby cat with green eyes",
                    "The face of a ginger tabby cat",
                    "A cat looks to the side",
                    "Close view of a cat with long whiskers",
                ),
            ),
        ),
    ),
    "china": Photo(
        _LEARN,
        "datasets/images/china.jpg",
        640,
        427,
        "danielbuechele",
        _CC_BY,
        (
            View(
                (70, 25, 350, 370),
                9,
                (
                    "A Chinese pagoda above a lake",
                    "A tower with red and green roofs among trees",
                    "The Summer Palace under a hazy sky",
                ),
            ),
            View(
                (75, 25, 330, 200),
                2,
                (
                    "The roofs of a Chinese pagoda",
                    "Painted roofs with upturned corners against the sky",
                ),
            ),
            View(
                (300, 190, 600, 330),
                2,
                ("A lake with boats behind the trees", "View over a calm lake on a hazy day"),
            ),
        ),
    ),
    "coffee": Photo(
        _SCIENCE,
        "data/coffee.png",
        600,
        400,
        "Rachel Michetti, Pikolo Espresso Bar",
        "CC0 1.0",
        (
            View(
                (80, 10, 475, 375),
                8,
                (
                    "A red cup of espresso on a wooden table",
                    "Coffee in a red cup with a saucer and a spoon",
                    "An espresso served on a wooden table",
                ),
            ),
            View(
                (165, 10, 430, 260),
                4,
                (
                    "An espresso seen from above",
                    "A red and white coffee cup",
                    "Close view of a cup of coffee",
                ),
            ),
        ),
    ),
    "flower": Photo(
        _LEARN,
        "datasets/images/flower.jpg",
        640,
        427,
        "vultilion",
        _CC_BY,
        (
            View(
                (165, 80, 440, 355),
                12,
                (
                    "An orange dahlia in bloom",
                    "A round orange flower in front of dark leaves",
                    "A dahlia with many petals",
                    "Close view of an orange flower",
                ),
            ),
        ),
    ),
    "hubble": Photo(
        _SCIENCE,
        "data/hubble_deep_field.jpg",
        1000,
        872,
        "NASA, ESA",
        "public domain",
        (
            View(
                (550, 350, 800, 600),
                3,
                ("Spiral galaxies in the Hubble deep field", "Thousands of distant galaxies"),
            ),
            View(
                (100, 50, 420, 350),
                3,
                (
                    "Distant galaxies seen by the Hubble Space Telescope",
                    "Blue and orange galaxies on a black sky",
                ),
            ),
            View(
                (250, 500, 600, 800),
                3,
                ("The Hubble extreme deep field", "A patch of sky filled with galaxies"),
            ),
        ),
    ),
    "motorcycle-left": Photo(
        _SCIENCE, "data/motorcycle_left.png", 741, 500, _MIDDLEBURY, "not stated", _MOTORCYCLE
    ),
    "motorcycle-right": Photo(
        _SCIENCE, "data/motorcycle_right.png", 741, 500, _MIDDLEBURY, "not stated", _MOTORCYCLE
    ),
    "retina": Photo(
        _SCIENCE,
        "data/retina.jpg",
        1411,
        1411,
        "Mikael Häggström",
        "CC0 1.0",
        (
            View(
                (150, 250, 1260, 1160),
                3,
                ("The fundus of a normal left eye", "Blood vessels of a human retina"),
            ),
            View((30, 450, 420, 850), 1, ("The optic disc of a human eye",)),
        ),
    ),
    "rocket": Photo(
        _SCIENCE,
        "data/rocket.jpg",
        640,
        427,
        "SpaceX",
        "public domain",
        (
            View(
                (270, 110, 370, 427),
                8,
                (
                    "A rocket on its launch pad at dusk",
                    "A Falcon 9 rocket before launch",
                    "A white rocket lit by floodlights",
                ),
            ),
            View(
                (60, 100, 560, 427),
                4,
                (
                    "A rocket between lightning towers at night",
                    "Floodlights around a rocket on the launch pad",
                ),
            ),
        ),
    ),
}
