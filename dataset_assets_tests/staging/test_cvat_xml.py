import io
import subprocess
import sys

import pytest

from dataset_assets.errors import ArchiveCorrupt
from dataset_assets.staging.sources.cvat import _annotations, _xml
from dataset_assets.staging.sources.cvat._annotations import XmlAnnotations
from dataset_assets_tests.support import tiny_cvat

BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotations><version>&x;</version></annotations>'


def read(data):
    return [
        (kind, element.tag)
        for kind, element in _xml.read_events(io.BytesIO(data), "annotations.xml")
    ]


def test_elements_come_in_order_when_read():
    body = (
        tiny_cvat.image_element(
            0, "a.jpg", '<box label="car"/><skeleton label="s"><points/></skeleton>'
        )
        + "<track><mask/></track>"
    )
    data = tiny_cvat.document(
        body, labels={"car": "#000000"}, meta="<original_size><width>1</width></original_size>"
    )
    assert read(data) == [
        ("original_size", "original_size"),
        ("label", "label"),
        ("image", "image"),
        ("shape", "box"),
        ("shape", "skeleton"),
        ("end", "image"),
        ("track", "track"),
        ("shape", "mask"),
        ("end", "track"),
    ]


def test_shape_is_complete_when_it_is_given():
    data = tiny_cvat.document(
        tiny_cvat.image_element(
            0, "a.jpg", '<box label="car"><attribute name="n">text</attribute></box>'
        )
    )
    assert [
        element[0].text
        for kind, element in _xml.read_events(io.BytesIO(data), "x")
        if kind == "shape"
    ] == ["text"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            (
                f'<!DOCTYPE a [<!ENTITY l0 "ha">{BOMB}]>'
                "<annotations><version>&l9;</version></annotations>"
            ),
            "got DTDForbidden",
        ),
        (
            (
                f'<!DOCTYPE a [<!ENTITY x "{"a" * 50_000}">]>'
                f"<annotations>{'&x;' * 50_000}</annotations>"
            ),
            "got DTDForbidden",
        ),
        (OUTSIDE, "got DTDForbidden"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><annotations/>', "got DTDForbidden"),
        ("<annotations><image", r"cannot be read \(unclosed token"),
        ("<annotations><image></annotations>", r"cannot be read \(mismatched tag"),
        ("", r"cannot be read \(no element found"),
        ("{}", r"cannot be read"),
        ("<kml/>", "expected the element <annotations>, got <kml>"),
        ('<?xml version="1.0" encoding="klingon"?><annotations/>', "annotations.xml: expected XML"),
        ("<annotations>" + "<a>" * 100, "at most 32 elements in one another"),
        (
            "<annotations><image><box>" + "<attribute/>" * 10_001,
            "at most 10,000 parts of one <box>",
        ),
        (
            "<annotations><image><box>" + "<attribute><b/></attribute>" * 5_001,
            "at most 10,000 parts of one <box>",
        ),
        (
            "<annotations><image><polygon points='" + "1,2;" * (5 << 20),
            "elements of at most 16 MiB",
        ),
        ("<annotations><version>" + "1" * (40 << 20), "elements of at most 16 MiB"),
    ],
)
def test_file_is_refused_in_one_line_when_it_is_broken_or_dangerous(data, message):
    with pytest.raises(ArchiveCorrupt, match=message) as refused:
        read(data.encode())
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_too_many_bytes_and_elements_are_refused_when_limits_are_reached(monkeypatch):
    data = tiny_cvat.document(tiny_cvat.image_element(0, "a.jpg", "<tag/>" * 5000))
    monkeypatch.setattr(_xml, "MAX_BYTES", 10_000)
    with pytest.raises(ArchiveCorrupt, match="GiB of XML, got more"):
        read(data)
    monkeypatch.undo()
    monkeypatch.setattr(_xml, "MAX_ELEMENTS", 4000)
    with pytest.raises(ArchiveCorrupt, match="at most 4,000 elements"):
        read(data)


BOX = '<box label="car" frame="{}" xtl="1" ytl="1" xbr="9" ybr="9"/>'


@pytest.mark.parametrize(
    ("limit", "body", "message"),
    [
        (
            "MAX_SHAPES",
            tiny_cvat.image_element(0, "a", "<tag/>" * 6),
            "at most 5 shapes of one image",
        ),
        (
            "MAX_SHAPES",
            "<track>" + "".join(map(BOX.format, range(6))) + "</track>",
            "at most 5 shapes of one track",
        ),
        ("MAX_SHAPES", f"<track>{BOX.format(0)}</track>" * 6, "at most 5 shapes of one image"),
        ("MAX_RECORDS", f"<track>{BOX.format(0)}</track>" * 2, "and 5 in all"),
        (
            "MAX_IMAGES",
            "".join(tiny_cvat.image_element(n, f"{n}") for n in range(6)),
            "at most 5 images",
        ),
    ],
)
def test_annotations_are_refused_when_there_are_more_than_can_be_drawn(
    monkeypatch, limit, body, message
):
    monkeypatch.setattr(_annotations, limit, 5)
    paths = [f"frame_{number:06d}.png" for number in range(4)]
    with pytest.raises(ArchiveCorrupt, match=message):
        XmlAnnotations(io.BytesIO(tiny_cvat.document(body)), "annotations.xml", paths, 0.0)


MEASURE = """
import io, resource, sys
from dataset_assets.staging.sources.cvat._annotations import XmlAnnotations

class Boxes(io.RawIOBase):
    def __init__(self, images, boxes):
        self.bytes, self.parts, self.rest = 0, self.make(images, boxes), b""
    def make(self, images, boxes):
        box = '<box label="car" occluded="0" xtl="1.00" ytl="2.00" xbr="30.00" ybr="40.00" '
        box = (box + 'z_order="0">\\n</box>\\n') * boxes
        yield "<annotations><meta><task><labels><label><name>car</name></label></labels>"
        yield "</task></meta>"
        for n in range(images):
            yield f'<image id="{n}" name="{n}.jpg" width="96" height="64">{box}</image>'
        yield "</annotations>"
    def read(self, size=-1):
        while len(self.rest) < size and (part := next(self.parts, None)) is not None:
            self.rest += part.encode()
        data, self.rest = self.rest[:size], self.rest[size:]
        self.bytes += len(data)
        return data

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
source = Boxes(int(sys.argv[1]), 500)
annotations = XmlAnnotations(source, "annotations.xml", [], 0.0)
print(source.bytes >> 20, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.parametrize(
    "images", [400, pytest.param(22_000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)  # 20 MB, 1 GB
def test_memory_stays_small_when_a_file_of_boxes_is_large(images):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(images)], capture_output=True, text=True, check=True
    )
    megabytes, grown = map(int, done.stdout.split())
    assert megabytes > images // 25
    assert grown < 60
