"""Class dictionaries: which label id of a dataset is trained as which class.

The schema is that of torchdatasetutil, in JSON or YAML:

    {"input_channels": 3, "input_type": "float32", "background": 0, "ignore": 255, "classes": 4,
     "objects": [{"id": 1, "trainId": 1, "name": "person", "category": "person",
                  "display": true, "color": [220, 20, 60]}, ...],
     "sample_weights": {"weights": [1.0, 2.5], "class": 1}}

An id without an object becomes `ignore`. Id 0 means unlabeled: it becomes `background` unless an
object has that id. A trainId of -1 is `ignore` too, as in the table of Cityscapes. Unknown keys are
ignored. How samples are augmented is an option of loaders, not of class dictionaries.
"""

import json
import re
import reprlib
import sys
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import yaml
from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import replace
from numpy.typing import DTypeLike, NDArray

from dataset_assets.errors import ClassDictionaryError, UnknownName

SHIPPED = ("cityscapes", "coco", "imagenet")
MAX_ID = 65535  # of a label: label images have at most 16 bits
_MAX_DEPTH = 32
_MAX_BYTES = 16 << 20
_IGNORED = -1

_Id = Annotated[int, Meta(ge=_IGNORED, le=MAX_ID)]
_TrainId = Annotated[int, Meta(ge=-MAX_ID, le=MAX_ID)]
_Level = Annotated[int, Meta(ge=0, le=255)]
_Weight = Annotated[float, Meta(ge=0, le=sys.float_info.max)]


class ClassObject(Struct, frozen=True, rename={"train_id": "trainId"}):
    """One category of a dataset."""

    id: _Id
    """Id in the label images. -1: never drawn."""
    train_id: _TrainId
    """Class it is trained as."""
    category: str
    """Group of categories."""
    display: bool
    """Whether it is shown where labels are drawn."""
    color: tuple[_Level, _Level, _Level]
    """RGB."""
    name: str = ""
    """Name; by default the id."""


class SampleWeights(Struct, frozen=True, rename={"train_id": "class"}):
    """How often samples are drawn in training, by whether they have a class."""

    weights: tuple[_Weight, _Weight]
    """Of samples without the class, and with it."""
    train_id: Annotated[int, Meta(ge=0, le=MAX_ID)]
    """The class."""


class ClassDictionary(Struct, frozen=True, kw_only=True):
    """A validated class dictionary."""

    background: _TrainId
    """Class of what is not labeled."""
    ignore: _TrainId
    """Train id that losses ignore. 255 if the file has none, with more than 255 classes 65535."""
    classes: Annotated[int, Meta(ge=1, le=MAX_ID)]
    """Number of classes."""
    objects: Annotated[tuple[ClassObject, ...], Meta(min_length=1)]
    """The categories of the dataset."""
    input_channels: Annotated[int, Meta(ge=1, le=1024)] = 3
    """Channels of the model's input."""
    input_type: str = "float32"
    """Type of the model's input."""
    sample_weights: SampleWeights | None = None
    """How often samples are drawn. None: all equally."""

    @classmethod
    def load(
        cls, source: "bytes | str | Path | Mapping[str, Any]", name: str = "class dictionary"
    ) -> Self:
        """Read and validate a dictionary.

        Args:
            source: content of a file, path of a file, or a mapping.
            name: name in messages; of files, their path.

        Raises:
            ClassDictionaryError: it cannot be read, or a key is missing or invalid. The message
                has the path of the key, what was expected, and what it is.
        """
        if isinstance(source, str | Path):
            name = str(source)
        raw = source if isinstance(source, Mapping) else _parse(source, name)
        if isinstance(raw, Mapping) and "ignore" not in raw:
            classes = raw.get("classes")
            is_wide = isinstance(classes, int) and classes > 255
            raw = {**raw, "ignore": MAX_ID if is_wide else 255}
        try:
            read = convert(raw, cls)
        except ValidationError as exc:
            raise ClassDictionaryError(f"{name}: {_explain(str(exc), raw)}") from exc
        _check_ids(read, name)
        return replace(
            read,
            background=_resolved(read, read.background),
            objects=tuple(
                replace(
                    entry,
                    train_id=_resolved(read, entry.train_id),
                    name=entry.name or str(entry.id),
                )
                for entry in read.objects
            ),
        )

    @property
    def trainIds(self) -> dict[int, int]:  # noqa: N802 -- the name in the dictionaries of users
        """Label id -> class."""
        return {entry.id: entry.train_id for entry in self.objects}

    @property
    def colors(self) -> NDArray[np.uint8]:
        """(classes, 3) RGB of each class: that of its first object, black without one."""
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
        used = (self.classes - 1, self.ignore, self.background)
        return np.dtype(np.uint8 if min(used) >= 0 and max(used) <= 255 else np.int32)

    def lut(self, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
        """Return the class of each id that a label image can have: `lut[label_image]`.

        Args:
            dtype: type of the label image, uint8 or uint16.

        Returns:
            (256,) or (65536,) of `label_dtype`.

        Raises:
            ClassDictionaryError: label images do not have this type.
        """
        sizes = {np.dtype(np.uint8): 256, np.dtype(np.uint16): 65536}
        if np.dtype(dtype) not in sizes:
            raise ClassDictionaryError(
                f"expected label images of uint8 or uint16, got {np.dtype(dtype)}; "
                "convert them first"
            )
        table = np.full(sizes[np.dtype(dtype)], self.ignore, self.label_dtype)
        table[0] = self.background
        for entry in self.objects:
            if 0 <= entry.id < len(table):
                table[entry.id] = entry.train_id
        return table

    def unknown(self, ids: Iterable[int]) -> set[int]:
        """Return the label ids that have no object here, and so become `ignore`."""
        return {int(number) for number in ids} - {entry.id for entry in self.objects} - {0}


def shipped(name: str) -> ClassDictionary:
    """Return a dictionary that comes with the package.

    Args:
        name: "coco": background and the 80 things (classes 1 to 80 in the order of their ids).
            "cityscapes": the 19 classes of the benchmark. "imagenet": the 1000 synsets, sorted.

    Raises:
        UnknownName: there is no such dictionary.
    """
    if name not in SHIPPED:
        raise UnknownName(
            f"expected a class dictionary out of {', '.join(SHIPPED)}, got {reprlib.repr(name)}; "
            "give a file or a dict for others"
        )
    folder = resources.files("dataset_assets.loaders.labels").joinpath("class_dictionaries")
    return ClassDictionary.load(folder.joinpath(f"{name}.json").read_bytes(), name)


def _resolved(dictionary: ClassDictionary, train_id: int) -> int:
    return dictionary.ignore if train_id == _IGNORED else train_id


def _check_ids(dictionary: ClassDictionary, name: str) -> None:
    """Check what depends on several keys: ranges of train ids, and unique ids."""
    _check_train_id(dictionary, dictionary.background, f"{name}: background")
    weights = dictionary.sample_weights
    if weights is not None and weights.train_id >= dictionary.classes:
        raise ClassDictionaryError(
            f"{name}: sample_weights.class: expected 0 to {dictionary.classes - 1}, "
            f"got {weights.train_id}"
        )
    seen: dict[int, str] = {}
    for position, entry in enumerate(dictionary.objects):
        where = f"{name}: objects[{position}]"
        _check_train_id(dictionary, entry.train_id, f"{where}.trainId ({reprlib.repr(entry.name)})")
        if entry.id in seen:
            raise ClassDictionaryError(
                f"{where}.id ({reprlib.repr(entry.name)}): {entry.id} is the id of "
                f"{reprlib.repr(seen[entry.id])} too; give each id to one object"
            )
        seen[entry.id] = entry.name


def _check_train_id(dictionary: ClassDictionary, train_id: int, where: str) -> None:
    resolved = _resolved(dictionary, train_id)
    if resolved != dictionary.ignore and not 0 <= resolved < dictionary.classes:
        raise ClassDictionaryError(
            f"{where}: expected 0 to {dictionary.classes - 1} (classes is {dictionary.classes}) or "
            f"{dictionary.ignore} (ignore), got {train_id}; correct it or classes"
        )


def _explain(message: str, raw: Any) -> str:
    """Put an error of msgspec into our words, and add the value.

    "Expected `int`, got `str` - at `$.objects[0].id`" -> "objects[0].id: expected int, got 'a'".
    """
    what, _, path = message.replace("Object missing required field", "missing key").partition(
        " - at `$"
    )
    path = path.strip(".`")
    value = raw
    for key in re.findall(r"\w+", path):
        value = value[key] if isinstance(value, Mapping) else value[int(key)]
    what = what.partition(", got")[0].replace("`", "").replace("Expected", "expected")
    got = "; add it" if what.startswith("missing") else f", got {reprlib.repr(value)}"
    return f"{path}: {what}{got}" if path else f"{what}{got}"


def _parse(source: bytes | str | Path, name: str) -> Any:
    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except (OSError, ValueError) as exc:
        raise ClassDictionaryError(
            f"{name}: expected a class dictionary as JSON or YAML, but it cannot be read: {exc}"
        ) from exc
    if len(data) > _MAX_BYTES:
        raise ClassDictionaryError(
            f"{name}: expected at most {_MAX_BYTES} bytes, got {len(data)}; "
            "this is not a class dictionary"
        )
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text) if text.lstrip().startswith("{") else _parse_yaml(text, name)
    except (ValueError, RecursionError, yaml.YAMLError) as exc:
        raise ClassDictionaryError(
            f"{name}: expected JSON or YAML: {' '.join(str(exc).split())[:300]}"
        ) from exc


def _parse_yaml(text: str, name: str) -> Any:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        # aliases that refer to aliases expand a page to gigabytes
        if isinstance(event, yaml.AliasEvent):
            raise ClassDictionaryError(
                f"{name}: expected YAML without aliases (*name); write the values out"
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:  # the time of the parser grows with the square of the depth
            raise ClassDictionaryError(
                f"{name}: expected at most {_MAX_DEPTH} levels; this is not a class dictionary"
            )
    return yaml.safe_load(text)
