import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.shards.naming import (
    MAX_EXTENSION,
    RESERVED,
    member_extension,
    sample_key,
    shard_name,
)


@pytest.mark.parametrize(
    ("shard_id", "digits", "expected"),
    [(0, 5, "00000"), (12, 5, "00012"), (123456, 5, "123456"), (7, 1, "7")],
)
def test_shard_name_has_the_asked_digits_when_it_is_short(shard_id, digits, expected):
    assert shard_name(shard_id, digits) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),  # as img2dataset 1.47 names them
    [
        ((0, 0, 10000, 5), "000000000"),
        ((0, 7, 1000, 5), "00000007"),
        ((3, 42, 10000, 5), "000030042"),
        ((3, 42, 1001, 5), "000030042"),
        ((3, 0, 1, 5), "00003"),
        ((3, 9, 10, 8), "000000039"),
        ((123456, 9999, 10000, 5), "1234569999"),
    ],
)
def test_sample_key_is_that_of_img2dataset_when_shards_have_any_size(arguments, expected):
    assert sample_key(*arguments) == expected


@given(shard=st.integers(0, 200), size=st.integers(1, 300), data=st.data())
def test_sample_keys_never_collide_when_shards_are_full(shard, size, data):
    other = data.draw(st.integers(0, 200))
    keys = {sample_key(s, i, size, 3) for s in {shard, other} for i in range(size)}
    assert len(keys) == size * len({shard, other})


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ("jpg", "jpg"),
        ("JPG", "jpg"),
        (".mp3", "mp3"),
        ("tar.gz", "tar.gz"),
        ("json", "data.json"),
        ("TXT", "data.txt"),
        ("json.gz", "json.gz"),
        ("pkl", "pkl.bin"),
        ("PyD", "pyd.bin"),
        ("pth.gz", "pth.gz.bin"),
        ("", "bin"),
        ("...", "bin"),
        ("../../etc/passwd", "etcpasswd"),
        ("a b\0c\n/d", "abcd"),
        ("é", "bin"),
        ("x" * 33, "bin"),
    ],
)
def test_member_extension_is_safe_when_it_comes_from_a_url(extension, expected):
    assert member_extension(extension) == expected


@given(
    st.text(max_size=50)
    | st.lists(
        st.sampled_from(["json", "txt", "pkl", "pyd", "gz", "bin", "A", "-"]), max_size=6
    ).map(".".join)
)
def test_member_extension_is_idempotent_and_never_reserved_when_given_anything(text):
    extension = member_extension(text)
    assert member_extension(extension) == extension
    assert extension not in RESERVED
    assert re.fullmatch(r"[a-z0-9_+-]+(\.[a-z0-9_+-]+)*", extension)
    assert len(extension) <= MAX_EXTENSION
    assert not {"pkl", "pickle", "pyd", "pth"} & {
        extension.split(".")[-1],
        extension.removesuffix(".gz").split(".")[-1],
    }
