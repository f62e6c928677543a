from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from dataset_assets.records.staged import SampleError
from dataset_assets.staging.masks.label_map import LabelMap
from dataset_assets.staging.masks.polygons import fill_box
from dataset_assets.staging.masks.rle import decode
from dataset_assets.staging.sources.cvat._shapes import draw_shapes, parse_shape
from dataset_assets_tests.support import tiny_cvat

SIZE = (40, 60)  # height, width
IDS = {"a": 1, "b": 2, "c": 300}


def fill(polygon, height, width):
    label_map = LabelMap(height, width)
    label_map.paint(fill_box(polygon, height, width), 1)
    return label_map.pixels > 0


def draw(*elements, size=SIZE, line_width=0.0):
    shapes = [parse_shape(fromstring(element)) for element in elements]
    return draw_shapes(shapes, IDS, size, line_width).pixels


def box(label, left, top, right, bottom, more=""):
    return f'<box label="{label}" xtl="{left}" ytl="{top}" xbr="{right}" ybr="{bottom}" {more}/>'


DISC = """
...#####.....
..#######....
.#########...
###########..
###########..
############.
############.
#############
#############
.############
.############
..###########
...#########.
....#######..
.....#####...
"""


def test_mask_is_drawn_along_rows_when_it_is_that_of_the_documentation():
    sample = fromstring(tiny_cvat.SAMPLE.encode())
    (mask,) = sample.iter("mask")
    drawn = draw_shapes([parse_shape(mask)], {"car": 1}, (1200, 1600), 0.0).pixels
    expected = np.array([[character == "#" for character in line] for line in DISC.split()])
    assert expected.shape == (15, 13)
    assert np.array_equal(drawn[888 : 888 + 15, 707 : 707 + 13], expected)
    assert drawn.sum() == expected.sum()
    assert not np.array_equal(decode(parse_shape(mask)["rle"], 15, 13), expected)  # as COCO counts


def test_documented_image_is_drawn_by_depth_when_shapes_overlap():
    shapes = [parse_shape(each) for each in fromstring(tiny_cvat.SAMPLE.encode()).find("image")]
    drawn = draw_shapes(
        shapes, {"car": 1, "traffic_line": 2, "wheel": 3, "plate": 4}, (1200, 1600), 0.0
    ).pixels
    polygon = fill(next(each for each in shapes if each["type"] == "polygon")["points"], 1200, 1600)
    plate = np.zeros_like(polygon)
    plate[871:929, 797:966] = True
    assert np.array_equal(drawn == 4, plate)
    assert np.array_equal(drawn == 1, polygon & ~plate)  # the mask lies within the polygon
    assert set(np.unique(drawn)) == {0, 1, 4}


def test_box_covers_its_pixels_when_drawn():
    expected = np.zeros(SIZE, np.uint8)
    expected[5:20, 10:30] = 1
    assert np.array_equal(draw(box("a", 10, 5, 30, 20)), expected)
    assert np.array_equal(
        draw(box("a", "10.00", "5.00", "30.00", "20.00", 'rotation="180.00"')), expected
    )


def test_box_turns_clockwise_when_it_has_a_rotation():
    expected = np.zeros(SIZE, np.uint8)
    expected[10:30, 25:35] = 1
    assert np.array_equal(draw(box("a", 20, 15, 40, 25, 'rotation="90"')), expected)
    turned = draw(box("a", 20, 18, 40, 22, 'rotation="45"'))
    assert turned[26, 36]  # its right end went down
    assert not turned[14, 36]


@pytest.mark.parametrize(
    ("rx", "ry", "rotation"), [(18, 9, 0), (9, 18, 0), (18, 6, 30), (5, 5, 77), (0.4, 0.4, 0)]
)
def test_ellipse_covers_the_pixels_whose_middle_is_within_when_drawn(rx, ry, rotation):
    drawn = draw(
        f'<ellipse label="a" cx="30.00" cy="20.00" rx="{rx}" ry="{ry}" rotation="{rotation}"/>'
    )
    y, x = np.mgrid[:40, :60] + 0.5
    angle = np.radians(rotation)
    along, across = (
        (x - 30) * np.cos(angle) + (y - 20) * np.sin(angle),
        -(x - 30) * np.sin(angle) + (y - 20) * np.cos(angle),
    )
    distance = np.sqrt((along / rx) ** 2 + (across / ry) ** 2)
    margin = 1 / min(rx, ry)  # the rasteriser rounds: pixels on the boundary may go either way
    assert drawn[distance < 1 - margin].all()
    assert not drawn[distance > 1 + margin].any()


def test_cuboid_covers_its_faces_when_drawn():
    front, back = [(10, 10), (10, 30), (30, 10), (30, 30)], [(40, 5), (40, 25), (20, 5), (20, 25)]
    names = [f"{corner}{face}" for face in (1, 2) for corner in ("tl", "bl", "tr", "br")]
    corners = dict(zip(names, front + back, strict=True))
    text = " ".join(f'x{name}="{x}" y{name}="{y}"' for name, (x, y) in corners.items())
    faces = [
        (10, 10, 30, 10, 30, 30, 10, 30),
        (10, 10, 20, 5, 40, 5, 30, 10),
        (30, 10, 40, 5, 40, 25, 30, 30),
    ]
    drawn = draw(f'<cuboid label="a" {text}/>').astype(bool)
    visible = np.logical_or.reduce([fill(face, *SIZE) for face in faces])
    assert drawn[visible].mean() > 0.99
    assert abs(int(drawn.sum()) - int(visible.sum())) <= 20  # seams between faces


def test_larger_z_order_wins_and_the_later_of_equals():
    lower, upper, later = (
        box(label, 0, 0, 20, 20, f'z_order="{z}"') for label, z in (("a", 3), ("b", 7), ("c", 3))
    )
    assert set(np.unique(draw(upper, lower)[:20, :20])) == {2}
    assert set(np.unique(draw(lower, later)[:20, :20])) == {300}
    assert set(np.unique(draw(later, lower)[:20, :20])) == {1}
    assert set(
        np.unique(draw(box("a", 0, 0, 20, 20), box("b", 0, 0, 20, 20, 'z_order="-1"'))[:20, :20])
    ) == {1}


@pytest.mark.parametrize(
    "element",
    [
        '<points label="a" points="1,1;20,1;20,20"/>',
        '<polyline label="a" points="1,1;20,1;20,20"/>',
        '<tag label="a"/>',
        '<skeleton label="a"><points label="1" points="5,5"/></skeleton>',
        box("another", 0, 0, 9, 9),
        box("a", 0, 0, 9, 9, 'outside="1"'),
        box("a", 100, 100, 120, 120),
        '<new_shape label="a" points="1,1"/>',
    ],
)
def test_nothing_is_drawn_when_a_shape_has_no_area_here(element):
    assert not draw(element).any()


def test_polyline_is_as_wide_as_asked_when_it_has_a_width():
    drawn = draw('<polyline label="a" points="10,20;40,20"/>', line_width=6.0)
    assert drawn[17:23, 10:40].all()
    assert not drawn[:16].any()
    assert not drawn[24:].any()
    assert drawn[20, 8]  # round ends
    assert not drawn[17, 7]


@pytest.mark.parametrize(
    ("element", "message"),
    [
        ('<box label="a" xtl="1" ytl="1" xbr="5"/>', "box without ybr"),
        ('<box label="a" xtl="one" ytl="1" xbr="5" ybr="5"/>', "box: could not convert"),
        (
            '<box label="a" xtl="nan" ytl="1" xbr="5" ybr="5"/>',
            "box: expected a number below 1e\\+12, got 'nan'",
        ),
        (
            '<box label="a" xtl="1e9" ytl="1" xbr="5" ybr="5"/>',
            "box of label 'a': polygon: expected finite coordinates",
        ),
        (
            '<ellipse label="a" cx="1" cy="1" rx="1e308" ry="5"/>',
            "ellipse: expected a number below",
        ),
        ('<polygon label="a" points="1,2;3"/>', "expected points as x,y;x,y"),
        ('<polygon label="a"/>', "polygon without points"),
        (
            '<mask label="a" rle="1, 2" left="0" top="0" width="2" height="2"/>',
            "mask of label 'a': run lengths",
        ),
        (
            '<mask label="a" rle="0, 4" left="59" top="0" width="2" height="2"/>',
            "does not lie within the image of 60 x 40 px",
        ),
        (
            '<mask label="a" rle="0, 4" left="-1" top="0" width="2" height="2"/>',
            "does not lie within",
        ),
        (
            '<mask label="a" rle="0, 4" left="0" top="0" width="100000000000" height="1"/>',
            "does not lie within",
        ),
        ('<mask label="a" rle="0, x" left="0" top="0" width="2" height="2"/>', "mask: "),
        (
            '<mask label="a" rle="99999999999999999999" left="0" top="0" width="2" height="2"/>',
            "mask: ",
        ),
    ],
)
def test_sample_is_refused_in_words_when_a_shape_can_not_be_drawn(element, message):
    with pytest.raises(SampleError, match=message):
        draw(element)


def test_record_has_everything_when_read():
    record = parse_shape(
        fromstring(
            '<polygon label="a" source="manual" occluded="1" points="1.50,2.00;3,4" '
            'z_order="2" group_id="9">'
            '<attribute name="color">red</attribute><attribute name="empty"></attribute></polygon>'
        )
    )
    expected = {
        "type": "polygon",
        "label": "a",
        "source": "manual",
        "occluded": True,
        "points": [1.5, 2.0, 3.0, 4.0],
        "z_order": 2,
        "group_id": 9,
    }
    assert record == expected | {"attributes": {"color": "red", "empty": ""}}
