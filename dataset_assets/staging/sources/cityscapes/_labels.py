"""The 35 labels of Cityscapes.

Source: `cityscapesscripts/helpers/labels.py` of https://github.com/mcordts/cityscapesScripts
"""

from dataset_assets.records.staged import ClassLabel

#: Id, name, category, RGB. License plates (-1) are never drawn: label maps show the vehicle there.
LABELS = tuple(
    ClassLabel(*entry)
    for entry in (
        (0, "unlabeled", "void", (0, 0, 0)),
        (1, "ego vehicle", "void", (0, 0, 0)),
        (2, "rectification border", "void", (0, 0, 0)),
        (3, "out of roi", "void", (0, 0, 0)),
        (4, "static", "void", (0, 0, 0)),
        (5, "dynamic", "void", (111, 74, 0)),
        (6, "ground", "void", (81, 0, 81)),
        (7, "road", "flat", (128, 64, 128)),
        (8, "sidewalk", "flat", (244, 35, 232)),
        (9, "parking", "flat", (250, 170, 160)),
        (10, "rail track", "flat", (230, 150, 140)),
        (11, "building", "construction", (70, 70, 70)),
        (12, "wall", "construction", (102, 102, 156)),
        (13, "fence", "construction", (190, 153, 153)),
        (14, "guard rail", "construction", (180, 165, 180)),
        (15, "bridge", "construction", (150, 100, 100)),
        (16, "tunnel", "construction", (150, 120, 90)),
        (17, "pole", "object", (153, 153, 153)),
        (18, "polegroup", "object", (153, 153, 153)),
        (19, "traffic light", "object", (250, 170, 30)),
        (20, "traffic sign", "object", (220, 220, 0)),
        (21, "vegetation", "nature", (107, 142, 35)),
        (22, "terrain", "nature", (152, 251, 152)),
        (23, "sky", "sky", (70, 130, 180)),
        (24, "person", "human", (220, 20, 60)),
        (25, "rider", "human", (255, 0, 0)),
        (26, "car", "vehicle", (0, 0, 142)),
        (27, "truck", "vehicle", (0, 0, 70)),
        (28, "bus", "vehicle", (0, 60, 100)),
        (29, "caravan", "vehicle", (0, 0, 90)),
        (30, "trailer", "vehicle", (0, 0, 110)),
        (31, "train", "vehicle", (0, 80, 100)),
        (32, "motorcycle", "vehicle", (0, 0, 230)),
        (33, "bicycle", "vehicle", (119, 11, 32)),
        (-1, "license plate", "vehicle", (0, 0, 142)),
    )
)
