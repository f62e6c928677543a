"""The labels of an export in CVAT's XML, with the ids under which they are drawn.

Labels have ids from 1 on in the order of the head; those that are parts of a skeleton have none.

Format: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
"""

import re
from xml.etree.ElementTree import Element

from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.records.staged import ClassLabel
from dataset_assets.staging.masks.label_map import MAX_LABEL

_COLOR = re.compile("#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


class LabelTable:
    """The labels of a file. `name` stands in error messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.classes: list[ClassLabel] = []
        self.ids: dict[str, int] = {}
        #: False for files of other tools, whose head has no labels: shapes add them.
        self.has_head = False

    def add_element(self, element: Element) -> None:
        """Add a <label> of the head; not one that is part of a skeleton."""
        self.has_head = True
        name = element.findtext("name") or ""
        if element.find("parent") is not None or name in self.ids:
            return
        match = _COLOR.fullmatch((element.findtext("color") or "").strip())
        color = None
        if match:
            color = (int(match[1], 16), int(match[2], 16), int(match[3], 16))
        self._add(name, color)

    def add_shape(self, label: str) -> None:
        """Add the label of a shape where the head has none."""
        if not self.has_head and label not in self.ids:
            self._add(label, None)

    def _add(self, name: str, color: tuple[int, int, int] | None) -> None:
        if len(self.ids) >= MAX_LABEL:
            raise ArchiveCorrupt(f"{self._name}: expected at most {MAX_LABEL} labels, got more")
        self.ids[name] = len(self.ids) + 1
        self.classes.append(ClassLabel(self.ids[name], name, color=color))
