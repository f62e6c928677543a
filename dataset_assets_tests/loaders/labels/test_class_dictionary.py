import json

import numpy as np
import pytest
import yaml

from dataset_assets.errors import ClassDictionaryError, ConfigurationError, UnknownName
from dataset_assets.loaders.labels.class_dictionary import (
    SHIPPED,
    ClassDictionary,
    SampleWeights,
    shipped,
)


def an_object(number, train_id, **more):
    return {
        "id": number,
        "trainId": train_id,
        "name": f"n{number}",
        "category": "c",
        "display": True,
        "color": [number, 0, 255],
    } | more


def a_dictionary(**more):
    return {
        "input_channels": 3,
        "input_type": "float32",
        "background": 0,
        "ignore": 255,
        "classes": 3,
        "objects": [an_object(1, 1), an_object(7, 2), an_object(8, 2), an_object(9, 255)],
    } | more


def without(key, *, of_object=False):
    raw = a_dictionary()
    del (raw["objects"][1] if of_object else raw)[key]
    return raw


@pytest.mark.parametrize("how", ["dict", "json", "json with a mark", "yaml", "path", "text path"])
def test_dictionary_is_the_same_when_read_in_any_form(how, tmp_path):
    raw = a_dictionary()
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(raw))
    source = {
        "dict": raw,
        "json": json.dumps(raw).encode(),
        "json with a mark": b"\xef\xbb\xbf" + json.dumps(raw).encode(),
        "yaml": yaml.safe_dump(raw).encode(),
        "path": tmp_path / "d.yaml",
        "text path": str(tmp_path / "d.yaml"),
    }[how]
    read = ClassDictionary.load(source)
    assert read == ClassDictionary.load(raw)
    assert (read.classes, read.ignore, read.background, read.input_channels, read.input_type) == (
        3,
        255,
        0,
        3,
        "float32",
    )
    assert read.trainIds == {1: 1, 7: 2, 8: 2, 9: 255}
    assert read.names == ("", "n1", "n7")
    assert read.colors.tolist() == [[0, 0, 0], [1, 0, 255], [7, 0, 255]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_become_classes_when_looked_up(dtype):
    read = ClassDictionary.load(a_dictionary())
    lut = read.lut(dtype)
    assert lut.dtype == np.uint8
    assert len(lut) == np.iinfo(dtype).max + 1
    labels = np.array([[0, 1, 7], [8, 9, np.iinfo(dtype).max]], dtype)
    assert lut[labels].tolist() == [[0, 1, 2], [2, 255, 255]]
    assert set(np.unique(lut)) == {0, 1, 2, 255}


def test_unknown_ids_are_returned_when_some_have_no_object():
    read = ClassDictionary.load(a_dictionary())
    assert read.unknown(np.array([0, 1, 9, 10, 200])) == {10, 200}
    assert read.unknown([0]) == set()


def test_id_zero_is_background_unless_an_object_has_it():
    assert ClassDictionary.load(a_dictionary(background=2)).lut()[0] == 2
    assert ClassDictionary.load(a_dictionary(objects=[an_object(0, 1)])).lut()[0] == 1


def test_ignore_may_be_a_class_or_above_a_byte_when_a_dictionary_says_so():
    read = ClassDictionary.load(
        a_dictionary(ignore=2, objects=[an_object(1, 1), an_object(300, 0, color=[1, 2, 3])])
    )
    assert read.lut()[5] == 2
    assert read.lut(np.uint16)[300] == 0
    wide = ClassDictionary.load(
        a_dictionary(ignore=-100, objects=[an_object(1, -1), an_object(-1, -1, color=[0, 0, 0])])
    )
    assert wide.lut().dtype == np.int32
    assert wide.lut()[[0, 1, 2]].tolist() == [0, -100, -100]


def test_optional_keys_may_be_missing():
    raw = a_dictionary()
    for key in ("input_channels", "input_type", "ignore"):
        del raw[key]
    raw["objects"] = [entry | {"wnid": "n1"} for entry in raw["objects"]]
    del raw["objects"][0]["name"]
    read = ClassDictionary.load(raw | {"more": 1})
    assert (read.input_channels, read.input_type, read.ignore, read.names[1]) == (
        3,
        "float32",
        255,
        "1",
    )


def test_sample_weights_are_read_when_given():
    read = ClassDictionary.load(a_dictionary(sample_weights={"weights": [1, 2.5], "class": 1}))
    assert read.sample_weights == SampleWeights((1.0, 2.5), 1)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (without("background"), "bucket/d.json: missing key background; add it"),
        (without("classes"), "d.json: missing key classes"),
        (without("objects"), "d.json: missing key objects"),
        *[
            (without(key, of_object=True), rf"d.json: objects\[1\]: missing key {key}; add it")
            for key in ("id", "trainId", "category", "display", "color")
        ],
        (
            a_dictionary(objects=[an_object(1, 3)]),
            (
                r"objects\[0\].trainId \('n1'\): "
                r"expected 0 to 2 \(classes is 3\) or 255 \(ignore\), "
                r"got 3"
            ),
        ),
        (a_dictionary(background=4), "background: expected 0 to 2"),
        (
            a_dictionary(objects=[an_object(1, 1), an_object(1, 2)]),
            r"objects\[1\].id \('n1'\): 1 is the id of 'n1' too",
        ),
        (
            a_dictionary(objects=[an_object(65536, 1, color=[0, 0, 0])]),
            r"objects\[0\].id: expected int <= 65535, got 65536",
        ),
        (a_dictionary(objects=[an_object(True, 1)]), r"objects\[0\].id: expected int, got True"),
        (a_dictionary(objects=[]), r"objects: expected array of length >= 1, got \[\]"),
        (a_dictionary(objects=["person"]), r"objects\[0\]: expected object, got 'person'"),
        (a_dictionary(classes="3"), "classes: expected int, got '3'"),
        (
            a_dictionary(objects=[an_object(1, 1, color=[1, 2])]),
            r"objects\[0\].color: expected array of length 3, got \[1, 2\]",
        ),
        (
            a_dictionary(objects=[an_object(1, 1, color=[1, 2, 256])]),
            r"objects\[0\].color\[2\]: expected int <= 255, got 256",
        ),
        (
            a_dictionary(objects=[an_object(1, 1, display="yes")]),
            r"objects\[0\].display: expected bool, got 'yes'",
        ),
        (
            a_dictionary(objects=[an_object(1, 1, name=5)]),
            r"objects\[0\].name: expected str, got 5",
        ),
        (
            a_dictionary(sample_weights={"weights": [1, 2]}),
            "sample_weights: missing key class",
        ),
        (
            a_dictionary(sample_weights={"weights": [1, -1], "class": 0}),
            r"sample_weights.weights\[1\]: expected float >= 0.0, got -1",
        ),
        (
            a_dictionary(sample_weights={"weights": [1, 2, 3], "class": 0}),
            r"sample_weights.weights: expected array of length 2, got \[1, 2, 3\]",
        ),
        (a_dictionary(sample_weights=[1]), r"sample_weights: expected object \| null, got \[1\]"),
        (b"[1]", r"d.json: expected object, got \[1\]"),
        (b"{", "expected JSON or YAML: "),
        (b"\xff\xfe", "expected JSON or YAML: "),
        (b"", "d.json: expected object, got None"),
        (b'{"a":' + b"[" * 100_000, "expected JSON or YAML: "),
        (
            b"!!python/object/apply:os.system ['touch /tmp/never']",
            "could not determine a constructor",
        ),
        (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "expected YAML without aliases"),
        (b"classes: 1\n" + b"#" * (16 << 20), "expected at most 16777216 bytes"),
    ],
)
def test_error_names_the_key_in_one_line_when_a_dictionary_is_invalid(raw, message):
    with pytest.raises(ClassDictionaryError, match=message) as refused:
        ClassDictionary.load(raw, "bucket/d.json")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_file_is_named_when_it_does_not_exist(tmp_path):
    with pytest.raises(ClassDictionaryError, match=r"nowhere\.json: .* cannot be read"):
        ClassDictionary.load(tmp_path / "nowhere.json")


def test_label_image_is_refused_when_its_type_is_unknown():
    with pytest.raises(ClassDictionaryError, match="uint8 or uint16, got int64"):
        shipped("coco").lut(np.int64)


@pytest.mark.parametrize(
    ("name", "classes", "objects"),
    [("coco", 81, 81), ("cityscapes", 19, 35), ("imagenet", 1000, 1000)],
)
def test_shipped_dictionary_has_every_class_when_loaded(name, classes, objects):
    read = shipped(name)
    assert (read.classes, len(read.objects)) == (classes, objects)
    assert all(read.names)
    assert set(range(classes)) <= set(read.lut(np.uint16).tolist())
    assert name in SHIPPED


def test_shipped_dictionaries_map_as_their_datasets_do():
    coco, cityscapes, imagenet = map(shipped, ("coco", "cityscapes", "imagenet"))
    assert [coco.lut()[number] for number in (0, 1, 12, 13, 90, 91)] == [0, 1, 255, 12, 80, 255]
    assert (coco.names[1], coco.names[80], coco.colors[1].tolist()) == (
        "person",
        "toothbrush",
        [220, 20, 60],
    )
    assert [cityscapes.lut()[number] for number in (0, 6, 7, 9, 33, 34)] == [
        255,
        255,
        0,
        255,
        18,
        255,
    ]
    assert imagenet.label_dtype == np.int32
    assert (imagenet.names[0], imagenet.ignore) == ("tench, Tinca tinca", 65535)


def test_error_lists_the_shipped_dictionaries_when_a_name_is_unknown():
    with pytest.raises(UnknownName, match="out of cityscapes, coco, imagenet, got '../x'"):
        shipped("../x")
    assert issubclass(ClassDictionaryError, ConfigurationError)
