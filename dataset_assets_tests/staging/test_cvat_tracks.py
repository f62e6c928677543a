import pytest

from dataset_assets.staging.sources.cvat._tracks import interpolate_track


def box(frame, left, *, outside=False, **more):
    return {
        "type": "box",
        "frame": frame,
        "outside": outside,
        "xtl": left,
        "ytl": 0.0,
        "xbr": left + 10.0,
        "ybr": 10.0,
    } | more


def lefts(shapes, frames=range(10)):
    return {frame: shape["xtl"] for frame, shape in interpolate_track(shapes, list(frames))}


def test_box_moves_in_a_straight_line_when_frames_lie_between():
    assert lefts([box(0, 0.0), box(4, 10.0), box(5, 10.0, outside=True)]) == {
        0: 0.0,
        1: 2.5,
        2: 5.0,
        3: 7.5,
        4: 10.0,
    }
    (_, between), *_ = [
        each
        for each in interpolate_track([box(0, 0.0, attributes={"a": "1"}), box(3, 1.0)], range(4))
        if each[0] == 1
    ]
    assert between == box(1, 0.33, attributes={"a": "1"}, keyframe=False) | {"xbr": 10.33}


def test_object_is_gone_when_it_is_outside_and_comes_back():
    assert lefts(
        [box(0, 0.0), box(1, 0.0, outside=True), box(6, 3.0), box(7, 3.0, outside=True)]
    ) == {0: 0.0, 6: 3.0}


def test_object_stays_to_the_end_when_it_never_goes():
    assert lefts([box(7, 1.0)]) == {7: 1.0, 8: 1.0, 9: 1.0}


def test_only_frames_that_exist_are_given_when_a_video_has_every_fifth():
    assert lefts([box(0, 0.0), box(10, 10.0)], [0, 5, 10, 15]) == {
        0: 0.0,
        5: 5.0,
        10: 10.0,
        15: 10.0,
    }
    assert lefts([box(0, 0.0), box(10**15, 10.0, outside=True)], [3]) == {3: 0.0}


def test_shapes_are_sorted_and_the_last_of_a_frame_counts_when_they_are_in_disorder():
    assert lefts([box(2, 9.0, outside=True), box(0, 5.0), box(0, 1.0)]) == {0: 1.0, 1: 5.0}


@pytest.mark.parametrize(
    ("start", "end", "middle"),
    [(0.0, 90.0, 45.0), (350.0, 10.0, 0.0), (10.0, 350.0, 0.0), (0.0, 270.0, 315.0)],
)
def test_rotation_takes_the_shorter_way_when_interpolated(start, end, middle):
    shapes = [box(0, 0.0, rotation=start), box(2, 0.0, rotation=end), box(3, 0.0, outside=True)]
    assert {frame: shape["rotation"] for frame, shape in interpolate_track(shapes, range(3))}[
        1
    ] == middle


def test_polygon_moves_only_when_it_keeps_its_number_of_corners():
    polygons = [
        {"type": "polygon", "frame": frame, "points": points}
        for frame, points in [(0, [0, 0, 4, 0, 4, 4]), (2, [2, 2, 6, 2, 6, 6])]
    ]
    assert dict(interpolate_track(polygons, [1]))[1]["points"] == [1.0, 1.0, 5.0, 1.0, 5.0, 5.0]
    polygons[1]["points"] = [2, 2, 6, 2, 6, 6, 2, 6]
    assert dict(interpolate_track(polygons, [1]))[1]["points"] == [0, 0, 4, 0, 4, 4]


def test_mask_stays_as_it_is_when_frames_lie_between():
    masks = [
        {
            "type": "mask",
            "frame": frame,
            "left": frame,
            "top": 0,
            "width": 1,
            "height": 1,
            "rle": [0, 1],
        }
        for frame in (0, 4)
    ]
    assert [shape["left"] for _, shape in interpolate_track(masks, range(6))] == [0, 0, 0, 0, 4, 4]


def test_skeleton_is_gone_when_all_its_points_are():
    skeletons = [
        {
            "type": "skeleton",
            "frame": frame,
            "elements": [{"outside": outside}, {"outside": frame > 0}],
        }
        for frame, outside in [(0, False), (1, False), (2, True)]
    ]
    assert [frame for frame, _ in interpolate_track(skeletons, range(5))] == [0, 1]
