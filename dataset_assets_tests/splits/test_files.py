import hashlib
import json
import os

import pytest

from dataset_assets.errors import ConfigurationError, UnreadableSource
from dataset_assets.splits.source import SplitSource as SplitSourceContract
from dataset_assets.splits.source import check_sample_key
from dataset_assets.splits.sources.files import FileOptions, SplitSource
from dataset_assets_tests.splits.folders import STORES, local_store


@pytest.fixture(params=STORES)
def make_store(request, tmp_path):
    return lambda files: STORES[request.param](tmp_path, files)


PAIRS = {
    "cats/1.jpg": b"picture 1",
    "cats/1.txt": "\ufeffa cät \n".encode(),
    "cats/1.json": json.dumps(
        {"age": 3, "tame": True, "name": "Mia", "weight": 4, "key": "000", "note": None}
    ).encode(),
    "dogs/1.PNG": b"picture 2",
    "dogs/1.json": json.dumps({"weight": 4.5, "tame": None}).encode(),
    "top.webp": b"picture 3",
}


def test_files_with_one_name_are_one_sample_when_some_are_metadata(make_store):
    source = SplitSource(make_store(PAIRS))
    assert source.columns == {
        "caption": "string",
        "age": "int64",
        "name": "string",
        "note": "string",
        "tame": "bool",
        "weight": "double",
    }
    first, second, third = source.samples()
    assert (first.key, first.group, first.parts, first.bytes) == ("cats/1", "cats", ("jpg",), 9)
    assert first.columns == {
        "caption": "a cät",
        "age": 3,
        "name": "Mia",
        "note": None,
        "tame": True,
        "weight": 4.0,
    }
    assert type(first.columns["weight"]) is float
    assert (second.key, second.parts, second.columns["caption"], second.columns["weight"]) == (
        "dogs/1",
        ("png",),
        None,
        4.5,
    )
    assert (third.key, third.group) == ("top", "top")
    assert [source.read(sample) for sample in source.samples()] == [
        [b"picture 1"],
        [b"picture 2"],
        [b"picture 3"],
    ]
    assert (source.kind, source.media) == ("files", "image")


def test_source_keeps_the_contract_when_it_is_used_as_one(make_store):
    source: SplitSourceContract = SplitSource(make_store(PAIRS))
    assert all(
        check_sample_key(sample.key) and list(sample.columns) == list(source.columns)
        for sample in source.samples()
    )


@pytest.mark.parametrize(
    ("name", "media"), [("a.pgm", "image"), ("a.mp4", "file"), ("a.npy", "file")]
)
def test_media_is_told_by_extensions_when_all_are_images_or_not(make_store, name, media):
    assert SplitSource(make_store({name: b"1", "b.jpg": b"2"})).media == media


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"pattern": "*.jpg"}, ["c"]),
        ({"pattern": "**/*.jpg"}, ["a/b/c", "a/c", "c"]),
        ({"pattern": "a/**/*"}, ["a/b/c", "a/c", "a/d"]),
        ({"pattern": "a/*"}, ["a/c", "a/d"]),
        ({"extensions": ["PNG"]}, ["a/d"]),
        ({"extensions": [".txt"]}, ["c"]),
        ({"ignore": ["b", "*.png"]}, ["a/c", "c"]),
    ],
)
def test_samples_are_chosen_when_options_say_which(make_store, options, keys):
    store = make_store(
        {"c.jpg": b"1", "c.txt": b"text", "a/c.jpg": b"2", "a/b/c.jpg": b"3", "a/d.png": b"4"}
    )
    assert [sample.key for sample in SplitSource(store, FileOptions(**options)).samples()] == keys


def test_captions_come_along_when_the_pattern_names_images_only(make_store):
    source = SplitSource(
        make_store({"1.jpg": b"1", "1.txt": b"one", "2.txt": b"left alone"}),
        FileOptions(pattern="*.jpg"),
    )
    assert [sample.columns for sample in source.samples()] == [{"caption": "one"}]


def test_text_file_is_the_caption_when_the_json_has_one_too(make_store):
    source = SplitSource(
        make_store(
            {
                "1.jpg": b"1",
                "1.txt": b"text",
                "1.json": b'{"caption": "json"}',
                "2.jpg": b"2",
                "2.json": b'{"caption": "json"}',
            }
        )
    )
    assert [sample.columns["caption"] for sample in source.samples()] == ["text", "json"]


def test_group_is_found_in_the_key_when_an_expression_is_given(make_store):
    store = make_store({"p1_a.jpg": b"1", "p1_b.jpg": b"2", "x/p2_a.jpg": b"3"})
    assert [
        sample.group for sample in SplitSource(store, FileOptions(group="(p[0-9]+)_")).samples()
    ] == ["p1", "p1", "p2"]
    with pytest.raises(
        UnreadableSource, match=r"p1_b\.jpg: group '_\(a\)' finds nothing in the key 'p1_b'"
    ):
        SplitSource(store, FileOptions(group="_(a)", extensions=("jpg",)))


def test_equal_files_have_equal_digests_when_asked_for(make_store):
    source = SplitSource(
        make_store({"1.jpg": b"a", "1.json": b'{"sha256": 5}', "2.jpg": b"a", "3.jpg": b"b"}),
        FileOptions(digests=True),
    )
    assert source.columns == {"sha256": "string"}
    assert [sample.columns["sha256"] for sample in source.samples()] == [
        hashlib.sha256(data).hexdigest() for data in (b"a", b"a", b"b")
    ]


def nested(depth):
    return b'{"a": ' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"a/1.png": b"x"}, r"a/1\.png: shares its name with 1\.jpg, but a sample is one file"),
        ({"a/2.txt": b"x"}, r"a/2\.txt: metadata without its file"),
        ({"info.json": b"{}"}, r"info\.json: metadata without its file"),
        ({"a/x.y.jpg": b"x"}, r"a/x\.y\.jpg: a second dot in the name"),
        ({"a/Makefile": b"x"}, r"a/Makefile: a file without a name or an extension"),
        ({"a/.jpg": b"x"}, r"a/\.jpg: hidden"),
        ({".git/HEAD": b"x"}, r"\.git/HEAD: hidden"),
        ({"a/__x.jpg": b"x"}, r"a/__x\.jpg: hidden"),
        ({"a/x\ny.jpg": b"x"}, "control character"),
        ({"a/2.jpg": b""}, r"a/2\.jpg: an empty file"),
        ({"A/1.jpg": b"x"}, r"a/1\.jpg: differs from A/1 only in case"),
        ({"a/1.txt": b"\xff\xfe"}, r"a/1\.txt: .*utf-8"),
        ({"a/1.json": b"{"}, r"a/1\.json: "),
        ({"a/1.json": b"[1]"}, r"a/1\.json: expected one object of fields, got list"),
        ({"a/1.json": b'{"box": [1, 2]}'}, r"a/1\.json: the field 'box' is nested"),
        ({"a/1.json": nested(100_000)}, r"a/1\.json: .*recursion"),
        (
            {"a/1.json": b'{"id": 9223372036854775808}'},
            "the field 'id': expected an integer of 64 bits, got 9223372036854775808",
        ),
        ({"a/1.json": b'{"name": "\\ud800"}'}, "the field 'name' has an unpaired surrogate"),
        ({"a/1.json": b'{"image": "1.jpg"}'}, "the field 'image' has the name of a column"),
        (
            {"a/1.json": b'{"x": 1}', "a/2.jpg": b"x", "a/2.json": b'{"x": "one"}'},
            r"a/2\.jpg: the field 'x' is string, but int64 in a/1",
        ),
        (
            {"a/1.json": b'{"x": 1}', "a/2.jpg": b"x", "a/2.json": b'{"x": true}'},
            "the field 'x' is bool, but int64 in a/1",
        ),
        (
            {"a/1.json": b'{"caption": 1}', "a/2.jpg": b"x", "a/2.txt": b"two"},
            "the field 'caption' is string, but int64 in a/1",
        ),
    ],
)
def test_source_is_refused_with_the_path_when_something_would_be_lost(make_store, extra, message):
    with pytest.raises(UnreadableSource, match=message):
        SplitSource(make_store({"a/1.jpg": b"x"} | extra))


def test_name_that_is_not_utf8_is_refused_in_words_that_can_be_printed(tmp_path):
    store = local_store(tmp_path, PAIRS)
    with open(os.fsencode(tmp_path / "source") + b"/caf\xe9.jpg", "wb") as file:
        file.write(b"x")
    with pytest.raises(UnreadableSource, match="not UTF-8") as refused:
        SplitSource(store)
    assert str(refused.value).encode()


def test_nothing_found_says_what_was_asked_when_no_file_matches(make_store):
    with pytest.raises(
        UnreadableSource,
        match=r"expected files that match '\*\*/\*' with an extension out of mp4, avi, got none",
    ):
        SplitSource(make_store(PAIRS), FileOptions(extensions=("mp4", "avi")))


def test_fingerprint_moves_when_metadata_or_options_change(tmp_path):
    store = local_store(tmp_path, PAIRS)
    seen = [SplitSource(store).fingerprint]
    assert SplitSource(store).fingerprint == seen[0]
    store.write("cats/1.txt", b"another caption")
    seen.append(SplitSource(store).fingerprint)
    store.write("cats/1.jpg", b"another picture")
    seen.append(SplitSource(store).fingerprint)
    seen.append(SplitSource(store, FileOptions(group="(.)")).fingerprint)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "a**b"}, "pattern: expected a glob such as"),
        ({"pattern": None}, "pattern: expected a glob such as"),
        ({"group": "("}, "group: expected a regular expression, got"),
        ({"group": "a+"}, "with a group in parentheses"),
        ({"group": 3}, "group: expected a regular expression, got 3"),
        ({"extensions": "jpg"}, "extensions: expected a list of texts"),
        ({"drop": "key"}, "drop: expected a list of texts"),
        ({"digests": "no"}, "digests: expected true or false"),
    ],
)
def test_option_is_refused_when_it_cannot_work(options, message):
    with pytest.raises(ConfigurationError, match=message):
        FileOptions(**options)
