"""Small exports of CVAT with real images, and the sample of its documentation.

Equal arguments give equal bytes.
"""

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np

LABELS = {
    "car": "#3d3df5",
    "traffic_line": "#ff0000",
    "wheel": "#00ff00",
    "plate": "#fa3253",
    "good_frame": "#b83df5",
}
#: Width and height of images.
SIZE = (96, 64)

#: The example of the format's documentation, head shortened: https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
SAMPLE = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>segmentation</name>
      <size>27</size>
      <mode>annotation</mode>
      <overlap>0</overlap>
      <bugtracker></bugtracker>
      <flipped>False</flipped>
      <created>2018-09-25 11:34:24.617558+03:00</created>
      <updated>2018-09-25 11:38:27.301183+03:00</updated>
      <labels>
        <label><name>car</name><attributes></attributes></label>
        <label><name>traffic_line</name><attributes></attributes></label>
        <label><name>wheel</name><attributes></attributes></label>
        <label><name>plate</name><attributes></attributes></label>
        <label><name>s1</name><type>skeleton</type><attributes></attributes><svg>&lt;line x1="36.87"&gt;&lt;/line&gt;</svg></label>
        <label><name>1</name><type>points</type><attributes></attributes><parent>s1</parent></label>
        <label><name>2</name><type>points</type><attributes></attributes><parent>s1</parent></label>
        <label><name>3</name><type>points</type><attributes></attributes><parent>s1</parent></label>
      </labels>
      <owner><username>admin</username><email></email></owner>
    </task>
    <dumped>2018-09-25 11:38:28.799808+03:00</dumped>
  </meta>
  <image id="0" name="filename000.jpg" width="1600" height="1200">
    <box label="plate" xtl="797.33" ytl="870.92" xbr="965.52" ybr="928.94" occluded="0" z_order="4">
    </box>
    <polygon label="car" points="561.30,916.23;561.30,842.77;554.72,761.63;553.62,716.67;565.68,677.20;577.74,566.45;547.04,559.87;536.08,542.33;528.40,520.40;541.56,512.72;559.10,509.43;582.13,506.14;588.71,464.48;583.23,448.03;587.61,434.87;594.19,431.58;609.54,399.78;633.66,369.08;676.43,294.52;695.07,279.17;703.84,279.17;735.64,268.20;817.88,264.91;923.14,266.01;997.70,274.78;1047.04,283.55;1063.49,289.04;1090.90,330.70;1111.74,371.27;1135.86,397.59;1147.92,428.29;1155.60,435.97;1157.79,451.32;1156.69,462.28;1159.98,491.89;1163.27,522.59;1173.14,513.82;1199.46,516.01;1224.68,521.49;1225.77,544.52;1207.13,568.64;1181.91,576.32;1178.62,582.90;1177.53,619.08;1186.30,680.48;1199.46,711.19;1206.03,733.12;1203.84,760.53;1197.26,818.64;1199.46,840.57;1203.84,908.56;1192.88,930.49;1184.10,939.26;1162.17,944.74;1139.15,960.09;1058.01,976.54;1028.40,969.96;1002.09,972.15;931.91,974.35;844.19,972.15;772.92,972.15;729.06,967.77;713.71,971.06;685.20,973.25;659.98,968.86;644.63,984.21;623.80,983.12;588.71,985.31;560.20,966.67" occluded="0" z_order="1">
    </polygon>
    <polyline label="traffic_line" points="462.10,0.00;126.80,1200.00" occluded="0" z_order="3">
    </polyline>
    <polyline label="traffic_line" points="1212.40,0.00;1568.66,1200.00" occluded="0" z_order="2">
    </polyline>
    <points label="wheel" points="574.90,939.48;1170.16,907.90;1130.69,445.26;600.16,459.48" occluded="0" z_order="5">
    </points>
    <tag label="good_frame" source="manual">
    </tag>
    <skeleton label="s1" source="manual" z_order="0">
      <points label="1" occluded="0" source="manual" outside="0" points="54.47,94.81">
      </points>
      <points label="2" occluded="0" source="manual" outside="0" points="68.02,162.34">
      </points>
      <points label="3" occluded="0" source="manual" outside="0" points="125.87,62.85">
      </points>
    </skeleton>
    <mask label="car" source="manual" occluded="0" rle="3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3" left="707" top="888" width="13" height="15" z_order="0">
    </mask>
  </image>
</annotations>
"""

#: Shapes of the first image of `write_images`: the mask covers the ellipse, the ellipse the box.
SHAPES = """
    <box label="car" source="manual" occluded="0" xtl="4.00" ytl="6.00" xbr="44.00" ybr="30.00" z_order="0">
      <attribute name="brand">&lt;ä&gt;</attribute>
    </box>
    <mask label="plate" source="manual" occluded="0" rle="0, 2, 2, 4" left="10" top="10" width="4" height="2" z_order="2"></mask>
    <ellipse label="wheel" source="manual" occluded="1" cx="16.00" cy="14.00" rx="8.00" ry="5.00" rotation="30.00" z_order="1"></ellipse>
    <polyline label="traffic_line" source="manual" occluded="0" points="50.00,10.00;80.00,10.00" z_order="0"></polyline>
    <tag label="good_frame" source="manual"></tag>
"""


def document(body, *, labels=LABELS, meta=""):
    """Return an annotations.xml with these labels and this body."""
    entries = "".join(
        f"<label><name>{name}</name><color>{color}</color><type>any</type><attributes></attributes></label>"
        for name, color in labels.items()
    )
    head = f"<version>1.1</version><meta><task><id>7</id>{meta}<labels>{entries}</labels></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{head}{body}</annotations>\n'.encode()


def image_element(number, name, body="", *, more="", size=SIZE):
    """Return an <image> element."""
    return f'<image id="{number}" name="{name}" {more} width="{size[0]}" height="{size[1]}">{body}</image>'


def encoded_image(seed=0, *, size=SIZE, extension=".jpg"):
    """Return the bytes of an image."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return bytes(
        cv2.imencode(extension, cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))[1]
    )


def write_zip(path, files):
    """Write a zip with fixed times, in the order of the files."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(
                zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED
            )
    return str(path)


def write_images(path, *, images=5):
    """Write "CVAT for images 1.1" of a project.

    It has the subsets train and val. The last image has no shapes.
    """
    files, entries = {}, []
    for number in range(images):
        subset, name = (
            ("val" if number % 3 == 2 else "train"),
            f"cam/{number:03d}.{'png' if number == 1 else 'jpg'}",
        )
        body = (
            SHAPES
            if number == 0
            else f'<box label="plate" occluded="0" xtl="{number}" ytl="2" xbr="{number + 10}" ybr="9" z_order="0"></box>'
        )
        more = f'subset="{subset}" task_id="{40 + number % 2}"'
        entries.append(image_element(number, name, body if number < images - 1 else "", more=more))
        files[f"images/{subset}/{name}"] = encoded_image(number, extension=Path(name).suffix)
    return write_zip(path, files | {"annotations.xml": document("".join(entries))})


def write_video(path, *, frames=8, size=SIZE):
    """Write "CVAT for video 1.1".

    A box moves from frame 0 to 4 and is outside from 6 on; a polygon lasts from frame 5 to the end.
    """
    body = """
    <track id="0" label="car" source="manual">
      <box frame="0" keyframe="1" outside="0" occluded="0" xtl="0.00" ytl="0.00" xbr="10.00" ybr="10.00" z_order="0">
        <attribute name="moving">true</attribute></box>
      <box frame="4" keyframe="1" outside="0" occluded="0" xtl="40.00" ytl="20.00" xbr="50.00" ybr="30.00" z_order="0"></box>
      <box frame="6" keyframe="1" outside="1" occluded="0" xtl="40.00" ytl="20.00" xbr="50.00" ybr="30.00" z_order="0"></box>
    </track>
    <track id="1" label="wheel" source="manual">
      <polygon frame="5" keyframe="1" outside="0" occluded="0" points="60.00,40.00;70.00,40.00;70.00,50.00;60.00,50.00" z_order="1"></polygon>
    </track>"""
    meta = f"<size>{frames}</size><mode>interpolation</mode><original_size><width>{size[0]}</width><height>{size[1]}</height></original_size>"
    files = {
        f"images/frame_{number:06d}.PNG": encoded_image(number, extension=".png", size=size)
        for number in range(frames)
    }
    return write_zip(path, {"annotations.xml": document(body, meta=meta)} | files)


def write_coco(path):
    """Write "COCO 1.0".

    It has a polygon, run lengths of a crowd, a rotated box without segmentation, and an image
    without annotations.
    """
    width, height = SIZE
    base = {"iscrowd": 0, "attributes": {"occluded": False, "rotation": 0.0}}
    annotations = [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [[4.0, 4.0, 24.0, 4.0, 24.0, 14.0, 4.0, 14.0]],
            "area": 200.0,
            "bbox": [4, 4, 20, 10],
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 2,
            "segmentation": {
                "counts": [0, height * 2, height * (width - 2)],
                "size": [height, width],
            },
        }
        | {"area": height * 2, "bbox": [0, 0, 2, height], "iscrowd": 1},
        {
            "id": 3,
            "image_id": 2,
            "category_id": 2,
            "segmentation": [],
            "area": 200.0,
            "bbox": [30.0, 20.0, 20.0, 10.0],
        }
        | {"attributes": {"occluded": False, "rotation": 90.0}},
    ]
    images = [
        {"id": number, "width": width, "height": height, "file_name": f"{number}.jpg"}
        for number in (1, 2, 3)
    ]
    categories = [
        {"id": 1, "name": "car", "supercategory": ""},
        {"id": 2, "name": "plate", "supercategory": ""},
    ]
    content = {
        "licenses": [],
        "info": {},
        "categories": categories,
        "images": images,
        "annotations": [base | each for each in annotations],
    }
    files = {f"images/default/{number}.jpg": encoded_image(number) for number in (1, 2, 3)}
    return write_zip(
        path, files | {"annotations/instances_default.json": json.dumps(content).encode()}
    )


class FolderAccess:
    """Access to paths only. Kept files stay in memory and are counted."""

    def __init__(self):
        self.kept, self.copies = {}, 0

    def open(self, url):
        return open(url, "rb")

    def keep(self, name, read, digest=""):
        if (name, digest) not in self.kept:
            self.copies += 1
            with read() as file:
                self.kept[name, digest] = file.read()
        return io.BytesIO(self.kept[name, digest])
