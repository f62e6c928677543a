"""Class dictionaries: which label id of a dataset is trained as which class. The schema is that of torchdatasetutil, in JSON or YAML.

    {"input_channels": 3, "input_type": "float32", "background": 0, "ignore": 255, "classes": 4,
     "objects": [{"id": 1, "trainId": 1, "name": "person", "category": "person", "display": true, "color": [220, 20, 60]}, ...],
     "sample_weights": {"weights": [1.0, 2.5], "class": 1}}

An id without an object becomes `ignore`. Id 0 is what nobody labeled: it becomes `background` unless an object has that id. A trainId of -1
is `ignore` too, as in the table of Cityscapes. Other keys are passed over. How samples are augmented is told to a loader, not here.
"""

import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
import yaml
from numpy.typing import DTypeLike, NDArray

from dataset_assets.errors import ClassDictionaryError, UnknownName

SHIPPED = ("cityscapes", "coco", "imagenet")
MAX_ID = 65535  # of a label: label images have at most 16 bits
_MAX_BYTES = 16 << 20
_IGNORED = -1
_MISSING = object()


@dataclass(frozen=True, slots=True)
class ClassObject:
    """One category of a dataset."""

    id: int  # as in its label images; -1: never drawn
    train_id: int  # of the class it is trained as
    name: str
    category: str
    display: bool  # whether it is shown when labels are drawn
    color: tuple[int, int, int]  # RGB


@dataclass(frozen=True, slots=True)
class SampleWeights:
    """How often samples are drawn in training, by whether a class is in them."""

    weights: tuple[float, float]  # of samples without it, with it
    train_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassDictionary:
    """A checked class dictionary."""

    background: int
    ignore: int
    classes: int
    objects: tuple[ClassObject, ...]
    input_channels: int = 3
    input_type: str = "float32"
    sample_weights: SampleWeights | None = None

    @classmethod
    def load(
        cls, source: "bytes | str | Path | Mapping[str, Any]", name: str = "class dictionary"
    ) -> Self:
        """Read a dictionary from its bytes, from a file, or as it came out of a parser. `name` stands in messages.

        Raises:
            ClassDictionaryError: a key is missing or wrong, or it can not be read.
        """
        if isinstance(source, str | Path):
            name = str(source)
        fields = _Fields(_parse(source, name), name)
        classes = fields.whole("classes", 1, MAX_ID)
        ignore = fields.whole("ignore", -MAX_ID, MAX_ID, default=255 if classes <= 255 else MAX_ID)
        weights = fields.get("sample_weights", None)
        return cls(
            classes=classes,
            ignore=ignore,
            background=fields.train_id("background", classes, ignore),
            objects=_objects(fields, classes, ignore),
            input_channels=fields.whole("input_channels", 1, 1024, default=3),
            input_type=fields.text("input_type", "float32"),
            sample_weights=None
            if weights is None
            else _weights(_Fields(weights, f"{name}, sample_weights"), classes),
        )

    @property
    def trainIds(self) -> dict[int, int]:  # noqa: N802 -- the name in the dictionaries of users
        """Label id -> class."""
        return {entry.id: entry.train_id for entry in self.objects}

    @property
    def colors(self) -> NDArray[np.uint8]:
        """RGB of each class, (classes, 3): that of its first object, black without one."""
        colors = np.zeros((self.classes, 3), np.uint8)
        for entry in reversed(self.objects):
            if 0 <= entry.train_id < self.classes:
                colors[entry.train_id] = entry.color
        return colors

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each class: that of its first object, "" without one."""
        found = {entry.train_id: entry.name for entry in reversed(self.objects)}
        return tuple(found.get(train_id, "") for train_id in range(self.classes))

    @property
    def label_dtype(self) -> "np.dtype[Any]":
        """Smallest type for train ids that torch computes with: uint8 or int32."""
        highest = max(self.classes - 1, self.ignore, self.background)
        return np.dtype(
            np.uint8 if min(self.ignore, self.background) >= 0 and highest <= 255 else np.int32
        )

    def lut(self, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
        """Return the class of each id that a label image of this type can have: `lut[label_image]`; 256 or 65536 entries of `label_dtype`.

        Raises:
            ClassDictionaryError: a type that label images do not have.
        """
        sizes = {np.dtype(np.uint8): 256, np.dtype(np.uint16): 65536}
        if np.dtype(dtype) not in sizes:
            raise ClassDictionaryError(
                f"expected label images of uint8 or uint16, came {np.dtype(dtype)}; convert them first"
            )
        table = np.full(sizes[np.dtype(dtype)], self.ignore, self.label_dtype)
        table[0] = self.background
        for entry in self.objects:
            if 0 <= entry.id < len(table):
                table[entry.id] = entry.train_id
        return table

    def unknown(self, ids: Iterable[int]) -> set[int]:
        """Return those of some label ids that have no object here, and so become `ignore`."""
        return {int(number) for number in ids} - {entry.id for entry in self.objects} - {0}


def shipped(name: str) -> ClassDictionary:
    """Return a dictionary that comes with the package.

    `coco`: background and the 80 things (classes 1 to 80 in the order of their ids). `cityscapes`: the 19 classes of the benchmark.
    `imagenet`: the 1000 synsets, in sorted order.

    Raises:
        UnknownName: it is none of them.
    """
    if name not in SHIPPED:
        raise UnknownName(
            f"expected a class dictionary out of {', '.join(SHIPPED)}, came {reprlib.repr(name)}; give a file or a dict for others"
        )
    folder = resources.files("dataset_assets.loaders.labels").joinpath("class_dictionaries")
    return ClassDictionary.load(folder.joinpath(f"{name}.json").read_bytes(), name)


class _Fields:
    """The keys of one object, and where it stands: for values that are checked, and messages that name them."""

    def __init__(self, raw: Any, where: str) -> None:
        self.where = where
        self._raw: Mapping[str, Any] = (
            raw
            if isinstance(raw, Mapping)
            else self.refuse(f"expected keys with values, came {reprlib.repr(raw)}")
        )

    def refuse(self, why: str) -> Any:
        raise ClassDictionaryError(f"{self.where}: {why}")

    def get(self, key: str, default: Any = _MISSING) -> Any:
        value = self._raw.get(key, default)
        return self.refuse(f"the key {key!r} is missing; add it") if value is _MISSING else value

    def whole(self, key: str, lowest: int, highest: int, *, default: Any = _MISSING) -> int:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            self.refuse(
                f"{key}: expected a whole number from {lowest} to {highest}, came {reprlib.repr(value)}"
            )
        return int(value)

    def text(self, key: str, default: Any = _MISSING) -> str:
        value = self.get(key, default)
        return (
            value
            if isinstance(value, str)
            else str(self.refuse(f"{key}: expected a text, came {reprlib.repr(value)}"))
        )

    def switch(self, key: str) -> bool:
        value = self.get(key)
        return (
            value
            if isinstance(value, bool)
            else bool(self.refuse(f"{key}: expected true or false, came {reprlib.repr(value)}"))
        )

    def color(self, key: str) -> tuple[int, int, int]:
        value = self.get(key)
        if (
            not isinstance(value, list | tuple)
            or len(value) != 3
            or not all(
                isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255
                for part in value
            )
        ):
            self.refuse(
                f"{key}: expected [red, green, blue] from 0 to 255, came {reprlib.repr(value)}"
            )
        return (value[0], value[1], value[2])

    def train_id(self, key: str, classes: int, ignore: int) -> int:
        value = self.whole(key, -MAX_ID, MAX_ID)
        if value == _IGNORED:
            return ignore
        if value != ignore and not 0 <= value < classes:
            self.refuse(
                f"{key}: expected 0 to {classes - 1} (classes is {classes}) or {ignore} (ignore), came {value}; correct it or classes"
            )
        return value


def _objects(fields: _Fields, classes: int, ignore: int) -> tuple[ClassObject, ...]:
    raw = fields.get("objects")
    if not isinstance(raw, list | tuple) or not raw:
        fields.refuse(f"objects: expected a list of at least one, came {reprlib.repr(raw)}")
    objects: dict[int, ClassObject] = {}
    for position, entry in enumerate(raw):
        read = _object(
            _Fields(entry, f"{fields.where}, object {position}{_named(entry)}"), classes, ignore
        )
        if read.id in objects:
            fields.refuse(
                f"object {position}{_named(entry)}: id {read.id} is that of {objects[read.id].name!r} too; an id has one class"
            )
        objects[read.id] = read
    return tuple(objects.values())


def _object(fields: _Fields, classes: int, ignore: int) -> ClassObject:
    number = fields.whole("id", _IGNORED, MAX_ID)
    return ClassObject(
        number,
        fields.train_id("trainId", classes, ignore),
        fields.text("name", str(number)),
        fields.text("category"),
        fields.switch("display"),
        fields.color("color"),
    )


def _weights(fields: _Fields, classes: int) -> SampleWeights:
    raw = fields.get("weights")
    if (
        not isinstance(raw, list | tuple)
        or len(raw) != 2
        or not all(_is_weight(value) for value in raw)
    ):
        fields.refuse(
            f"weights: expected two numbers from 0, of samples without and with the class, came {reprlib.repr(raw)}"
        )
    without, has = raw
    return SampleWeights((float(without), float(has)), fields.whole("class", 0, classes - 1))


def _is_weight(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    )


def _named(entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, Mapping) else None
    return f" ({reprlib.repr(name)})" if name else ""


def _parse(source: "bytes | str | Path | Mapping[str, Any]", name: str) -> Any:
    if isinstance(source, Mapping):
        return source
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except (OSError, ValueError) as exc:
        raise ClassDictionaryError(
            f"{name}: expected a class dictionary as JSON or YAML, but it can not be read: {exc}"
        ) from exc
    if len(data) > _MAX_BYTES:
        raise ClassDictionaryError(
            f"{name}: expected at most {_MAX_BYTES} bytes, came {len(data)}; this is no class dictionary"
        )
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text) if text.lstrip().startswith("{") else _parse_yaml(text, name)
    except (ValueError, RecursionError, yaml.YAMLError) as exc:
        raise ClassDictionaryError(
            f"{name}: expected JSON or YAML, came neither: {' '.join(str(exc).split())[:300]}"
        ) from exc


def _parse_yaml(text: str, name: str) -> Any:
    # aliases that refer to aliases make gigabytes out of a page
    if any(
        isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)
    ):
        raise ClassDictionaryError(
            f"{name}: expected YAML without aliases (*name); write the values out"
        )
    return yaml.safe_load(text)
