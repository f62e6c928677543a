"""What every encoder promises. New files in `embeddings/encoders/` are tested too."""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest

from dataset_assets import registry
from dataset_assets.embeddings.encoder import DTYPES, open_encoder, options_of, parse_options
from dataset_assets.errors import ConfigurationError, MissingDependency, UnknownName
from dataset_assets.records.staged import SampleError
from dataset_assets_tests.embeddings.crops import SUBJECTS, crops_of
from dataset_assets_tests.embeddings.tiny_models import options_for

NAMES = registry.names("encoder")
CAPTIONS = ["a rocket at night", "coffee", "one cat that looks at the camera, close up", "a street"]


@cache
def loaded(name):
    """Return an encoder, or why its packages cannot be used here."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return open_encoder(name, options_for(name, folder))
        except MissingDependency as exc:
            return exc


def opened(name):
    encoder = loaded(name)
    if isinstance(encoder, MissingDependency):
        pytest.skip(str(encoder))
    return encoder


def samples(encoder):
    """Return (payload, caption) of four samples; what the encoder does not read is None."""
    bodies = [crops_of(photo, 1)[0] for photo in list(SUBJECTS)[:4]]
    has_image = "image" in encoder.medium
    has_text = "text" in encoder.medium
    return [
        (body if has_image else None, caption if has_text else None)
        for body, caption in zip(bodies, CAPTIONS, strict=True)
    ]


def arrays(encoder, batch):
    """Return the arrays of each sample, encoded in one batch for each group."""
    found = [None] * len(batch)
    groups = {}
    for number, prepared in enumerate(batch):
        groups.setdefault(prepared.group, []).append(number)
    for numbers in groups.values():
        encoded = encoder.encode([batch[number] for number in numbers])
        for place, number in enumerate(numbers):
            found[number] = {name: values[place] for name, values in encoded.items()}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_arrays_have_the_types_and_shapes_of_the_fields(name):
    encoder = opened(name)
    batch = [encoder.prepare(*sample) for sample in samples(encoder)]
    for sample in arrays(encoder, batch):
        assert sample.keys() == encoder.fields.keys()
        for field, values in sample.items():
            expected = encoder.fields[field]
            assert values.dtype == DTYPES[expected.dtype]
            assert len(values.shape) == len(expected.shape)
            assert all(
                size in (None, found)
                for size, found in zip(expected.shape, values.shape, strict=True)
            )
            if values.dtype.kind == "f":
                assert np.isfinite(values).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_has_the_same_arrays_alone_and_in_a_batch(name):
    encoder = opened(name)
    batch = [encoder.prepare(*sample) for sample in samples(encoder)]
    together = arrays(encoder, batch)
    alone = [arrays(encoder, [prepared])[0] for prepared in batch]
    for one, other in zip(together, alone, strict=True):
        for field, values in one.items():
            np.testing.assert_allclose(values, other[field], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_values_are_the_same_again_and_from_threads(name):
    encoder = opened(name)
    given = samples(encoder) * 4
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(lambda sample: encoder.prepare(*sample), given))
    first = arrays(encoder, prepared[:4])
    again = arrays(encoder, [encoder.prepare(*sample) for sample in given[:4]])
    last = arrays(encoder, prepared[12:])
    for one, two, three in zip(first, again, last, strict=True):
        for field, values in one.items():
            np.testing.assert_array_equal(values, two[field])
            np.testing.assert_array_equal(values, three[field])


@pytest.mark.parametrize("name", NAMES)
def test_the_identity_is_json_and_names_the_encoder(name):
    identity = opened(name).identity()
    assert json.loads(json.dumps(identity)) == identity
    assert identity["encoder"] == name


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_that_cannot_be_used_has_a_cause(name):
    encoder = opened(name)
    with pytest.raises(SampleError):
        encoder.prepare(None, None)
    if "image" in encoder.medium:
        with pytest.raises(SampleError):
            encoder.prepare(b"no image", "a caption")
        cut = crops_of("coffee", 1)[0]
        with pytest.raises(SampleError):
            encoder.prepare(cut[: len(cut) // 2], "a caption")


@pytest.mark.parametrize("name", NAMES)
def test_options_of_others_are_refused(name):
    assert isinstance(parse_options(name), options_of(name))
    with pytest.raises(ConfigurationError, match=f"options of {name}"):
        parse_options(name, {"no_such_option": 1})


def test_an_unknown_encoder_is_refused_with_the_names_that_exist():
    with pytest.raises(UnknownName, match="unknown encoder 'perceptul'.*perceptual"):
        open_encoder("perceptul")
